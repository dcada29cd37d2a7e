"""The command line: the names of the Python interface, and exit codes that a script can rely on.

Exit codes: 0 the checks passed (warnings are printed and count as passed), 1 a fault of the usage, the
specification or the data, 2 a check that failed or could not be computed, or a partial run. Heavy libraries
are imported inside the commands, so that ``bayeskit --help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bayeskit.errors import BayeskitError, SpecificationError, suggest

if TYPE_CHECKING:
    from rich.console import Console

    from bayeskit.builder import ModelBuilder
    from bayeskit.verdict import Verdict

__all__ = ["app", "exit_code", "main"]

DEMOS = "bayeskit.demos"
"""Entry point group of demonstrations.

Name -> ``callable(out: Path, console: Console, progress: bool) -> int``, which returns the exit code.
"""

PASSED, FAULT, FAILED = 0, 1, 2

_EPILOG = (
    "Exit codes: 0 the checks passed (warnings are printed), 1 a fault of the usage, the specification or "
    "the data, 2 a check failed or could not be computed, or the run is partial."
)
_NOT_SIZES = ("rng", "like", "parameters", "dials")


class _Failed(SystemExit):
    """Exit code 2 on purpose: the only road to it, because typer itself ends usage errors with 2."""

    def __init__(self) -> None:
        super().__init__(FAILED)


class _Group(TyperGroup):
    """Print faults without a traceback and keep the exit codes."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except _Failed:
            raise
        except SystemExit as stop:
            raise SystemExit(FAULT if stop.code == FAILED else stop.code) from None
        except BayeskitError as error:
            fault = str(error)
        except OSError as error:
            fault = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(fault, file=sys.stderr)
        raise SystemExit(FAULT)


app = typer.Typer(
    name="bayeskit",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; `arguments` are those of the process unless given."""
    app(args=None if arguments is None else list(arguments), prog_name="bayeskit")


# -- options that several commands have

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model: see 'bayeskit models'.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A saved run, or the folder of a streamed one.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="A setting of the model: JSON where it is JSON, else text."),
]
SpecFile = Annotated[
    Path | None,
    typer.Option("--spec", metavar="FILE.json", help="A specification as JSON; --set goes over it."),
]
Seed = Annotated[int | None, typer.Option(help="Seed; taken from the system and recorded if not given.")]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")]


def _version(asked: bool) -> None:
    if asked:
        import bayeskit

        print(f"bayeskit {bayeskit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Fit, check and report Bayesian models whose answers rest on assumptions that data cannot test."""


@app.command()
def demo(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which demonstration.", show_default=True)] = "judges",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what it writes; made if need be.")] = Path(
        "bayeskit-demo"
    ),
    progress: Progress = True,
) -> None:
    """Run a demonstration on real data: rank nine LLMs by nine LLM judges, with a report."""
    points = {point.name: point for point in entry_points(group=DEMOS)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise SpecificationError(f"There is no demonstration {name!r}.{suggest(name, points)} Installed: {known}.")
    out.mkdir(parents=True, exist_ok=True)
    _leave(_demo(points[name])(out, _console(), progress))


def _demo(point: EntryPoint) -> Callable[[Path, Console, bool], int]:
    found = point.load()
    if not callable(found):
        raise SpecificationError(f"The entry point {point.name!r} of group {DEMOS} is not a function.")
    return found  # type: ignore[no-any-return]


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Explain the settings of this model.")] = None,
) -> None:
    """List the installed models, or explain the settings of one."""
    from rich.table import Table
    from rich.text import Text

    from bayeskit.registry import load_model, model_names

    console = _console()
    if name is None:
        table = Table("Model", "What it is for", "Settings", title="Installed models", title_justify="left")
        for known in model_names():
            model = load_model(known)
            settings = ", ".join(field.name for field in _fields(model))
            table.add_row(Text(known), Text(_summary(model)), Text(settings))
        console.print(table)
        console.print("Settings in full: bayeskit models NAME", markup=False)
        return
    model = load_model(name)
    table = Table(
        "Setting",
        "Default",
        "Meaning",
        title=Text(f"{name}: {_summary(model)}"),
        title_justify="left",
        show_lines=True,
    )
    told = _parameters(model)
    for field in _fields(model):
        kind, text = told.get(field.name, ("", ""))
        table.add_row(Text(field.name), Text(_default(field)), Text("\n".join(part for part in (kind, text) if part)))
    console.print(table)


@app.command()
def fit(
    model: Model,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A CSV, TSV or Parquet file, or a glob of them.")],
    out: Annotated[Path, typer.Option(metavar="RUN.nc", help="Where to save the run.")],
    settings: Settings = None,
    spec: SpecFile = None,
    dial: Annotated[
        list[str] | None,
        typer.Option("--dial", metavar="NAME=NUMBER", help="Another value for a dial of an assumption."),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws kept per chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Draws of warm-up per chain.")] = 1000,
    chains: Annotated[int, typer.Option(help="Chains; fewer than four cannot pass the checks.")] = 4,
    seed: Seed = None,
    cores: Annotated[int | None, typer.Option(help="Chains that run at the same time.")] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="New folder to stream draws into, so that a killed run can be read."),
    ] = None,
    progress: Progress = True,
) -> None:
    """Fit a model to a table, check it and save the run."""
    built = _specification(model, settings, spec)
    dials = {key: _number(key, value) for key, value in _pairs(dial, "--dial").items()}
    if not out.parent.is_dir():  # before the fit, not after it
        raise SpecificationError(f"--out: there is no folder {str(out.parent)!r}.")
    result = built.fit(
        table,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        cores=cores,
        store=store,
        progress=progress,
        dials=dials,
    )
    result.save(out)
    for note in result.notes:
        print(f"Note: {note}")
    print(result.verdict)
    print("\n".join(repr(result).splitlines()[1:]))
    print(f"Saved to {out} (seed {result.provenance['sampling']['seed']}).")
    _leave(exit_code(result.verdict))


@app.command()
def check(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Print the verdict on a saved run, and what to do about it."""
    from bayeskit.storage import load

    verdict: Verdict = load(run).verdict
    code = exit_code(verdict)
    if as_json:
        payload = {"headline": verdict.headline, "exit_code": code, **verdict.to_dict()}
        print(json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join([verdict.headline, *(f"  {result}" for result in verdict.results)]))
    _leave(code)


@app.command()
def report(
    run: Run,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Report to write: .html or .md.")],
    prob: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
) -> None:
    """Write the report of a saved run. A failed or partial run gets its report too, which says so first."""
    from bayeskit.storage import load

    loaded = load(run)
    path = loaded.report(out, prob=prob)
    print(loaded.verdict.headline)
    print(f"Report: {path}")
    _leave(exit_code(loaded.verdict))


@app.command()
def calibrate(
    model: Model,
    settings: Settings = None,
    spec: SpecFile = None,
    simulations: Annotated[int, typer.Option(help="Simulated tables.")] = 200,
    seed: Annotated[int, typer.Option(help="Root seed.")] = 0,
    size: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="KEY=NUMBER", help="Design of the simulated tables, as 'items=50'."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Plot of the worst quantities.")] = None,
    progress: Progress = True,
) -> None:
    """Check by simulation whether the fit recovers what tables were simulated from.

    Simulation-based calibration on one compiled model.
    """
    if plot is not None and plot.suffix.lower() != ".svg":
        raise SpecificationError(f"--plot: the file {plot.name!r} must end in .svg.")
    built = _specification(model, settings, spec)
    result = built.calibrate(simulations=simulations, seed=seed, progress=progress, **_sizes(built, size))
    print(result)
    if plot is not None:
        plot.write_bytes(result.plot().data)
        print(f"Plot: {plot}")
    _leave(PASSED if result.passed else FAILED)


# -- verdicts


def exit_code(verdict: Verdict) -> int:
    """Return 2 for FAIL, for a partial run and where any check could not be computed, else 0.

    A check that could not be computed is never good news, even where a warning outranks it in the verdict.
    """
    from bayeskit.verdict import Status

    bad = {Status.FAIL, Status.NOT_COMPUTED}
    found = {verdict.status, *(result.status for result in verdict.results)}
    return FAILED if verdict.partial or bad & found else PASSED


def _leave(code: int) -> None:
    if code == FAILED:
        raise _Failed
    if code != PASSED:
        raise typer.Exit(code)


# -- settings


def _pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """Split KEY=VALUE; a key may be given once."""
    out: dict[str, str] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SpecificationError(f"{option} {text!r}: write it as KEY=VALUE.")
        if key.strip() in out:
            raise SpecificationError(f"{option} {key.strip()}: given twice.")
        out[key.strip()] = value
    return out


def _value(text: str) -> Any:
    """Read a value as JSON where it is JSON, else as text.

    NaN and Infinity are no JSON, though Python's parser takes them: a column may be called NaN.
    """
    try:
        return json.loads(text, parse_constant=_not_json)
    except ValueError:
        return text


def _not_json(word: str) -> Any:
    raise ValueError(word)


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecificationError(f"--dial {key}={text}: the value of a dial is a number.") from None


def _specification(name: str, given: Sequence[str] | None, path: Path | None) -> ModelBuilder:
    """Build the specification from a file, from ``--set`` or from both."""
    from bayeskit.registry import from_json, load_model

    model = load_model(name)
    settings: dict[str, Any] = {}
    if path is not None:
        stored = _stored(path)
        if stored["model"] != name:
            raise SpecificationError(f"--spec: {path.name!r} specifies {stored['model']!r}, not {name!r}.")
        settings.update(stored["settings"])
    settings.update({key: _value(value) for key, value in _pairs(given, "--set").items()})
    missing = [f.name for f in _fields(model) if _required(f) and f.name not in settings]
    unknown = [key for key in settings if key not in {f.name for f in _fields(model)}]
    if missing and not unknown:  # an unknown one is probably a missing one misspelt: the model itself says so
        raise SpecificationError(f"{name} needs the setting {missing[0]!r}: add '-s {missing[0]}=...'.")
    return from_json(json.dumps({"model": name, "settings": settings}))  # type: ignore[no-any-return]


def _stored(path: Path) -> Mapping[str, Any]:
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
        if set(payload) == {"model", "settings"} and isinstance(payload["settings"], dict):
            return payload  # type: ignore[no-any-return]
    except (ValueError, TypeError):
        pass
    raise SpecificationError(f'--spec: {path.name!r} must hold one JSON object {{"model": NAME, "settings": {{...}}}}.')


def _sizes(spec: ModelBuilder, given: Sequence[str] | None) -> dict[str, int]:
    known = [key for key in inspect.signature(spec.simulate).parameters if key not in _NOT_SIZES]
    out: dict[str, int] = {}
    for key, text in _pairs(given, "--size").items():
        if key not in known:
            raise SpecificationError(
                f"--size {key}: {type(spec).__name__} has no such size.{suggest(key, known)} Its sizes: {', '.join(known)}."
            )
        if not text.isdecimal() or int(text) < 1:
            raise SpecificationError(f"--size {key}={text}: must be a whole number of at least 1.")
        out[key] = int(text)
    return out


# -- what a model says of itself


def _console() -> Console:
    from rich.console import Console

    return Console()


def _fields(model: type[ModelBuilder]) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(model) if f.init]  # type: ignore[arg-type]


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> str:
    if _required(field):
        return "required"
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return "none" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _summary(model: type[ModelBuilder]) -> str:
    return (inspect.getdoc(model) or "").partition("\n\n")[0].replace("\n", " ")


def _parameters(model: type[ModelBuilder]) -> dict[str, tuple[str, str]]:
    """Type and meaning of every setting, from the section Parameters of the numpydoc docstring."""
    lines = (inspect.getdoc(model) or "").splitlines()
    start = next(
        (i for i, line in enumerate(lines) if line == "Parameters" and lines[i + 1 : i + 2] == ["-" * 10]),
        None,
    )
    out: dict[str, tuple[str, str]] = {}
    if start is None:
        return out
    names: list[str] = []
    for place, line in enumerate(lines[start + 2 :], start + 2):
        if lines[place + 1 : place + 2] and set(lines[place + 1]) == {"-"}:
            break  # the heading of the next section
        if line and not line.startswith(" "):
            head, _, kind = line.partition(" : ")
            names = [name.strip() for name in head.split(",")]
            out.update({name: (kind, "") for name in names})
        elif line.strip():
            for name in names:
                kind, text = out[name]
                out[name] = (kind, f"{text} {line.strip()}".strip())
    return out


if __name__ == "__main__":
    main()
