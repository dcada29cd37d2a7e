"""The commands that fit, check, report and calibrate."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bayeskit.cli import completion
from bayeskit.cli.arguments import (
    Model,
    Progress,
    Run,
    Seed,
    Settings,
    SpecFile,
    number_of,
    pairs_of,
    sizes_of,
    specification,
    value_of,
)
from bayeskit.cli.frame import FAILED, PASSED, app, console, exit_code, leave
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    from bayeskit.verdict import Verdict

DEMOS = "bayeskit.demos"
"""Entry point group of demonstrations.

Name -> ``callable(out: Path, console: Console, progress: bool) -> int``, which returns the exit code.
"""


@app.command()
def demo(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]", help="Which demonstration.", show_default=True, autocompletion=completion.demonstrations
        ),
    ] = "judges",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what it writes; made if need be.")] = Path(
        "bayeskit-demo"
    ),
    progress: Progress = True,
) -> None:
    """Run a demonstration with a report: nine LLMs by nine LLM judges, or 'benchmarks', 'risk', 'survival'.

    Examples
    --------
      bayeskit demo

      bayeskit demo survival --out survival-demo
    """
    points = {point.name: point for point in entry_points(group=DEMOS)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise SpecificationError(f"There is no demonstration {name!r}.{suggest(name, points)} Installed: {known}.")
    out.mkdir(parents=True, exist_ok=True)
    leave(_demo(points[name])(out, console(), progress))


def _demo(point: EntryPoint) -> Callable[[Path, Console, bool], int]:
    found = point.load()
    if not callable(found):
        raise SpecificationError(f"The entry point {point.name!r} of group {DEMOS} is not a function.")
    return found  # type: ignore[no-any-return]


@app.command()
def fit(
    model: Model,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV, TSV or Parquet files, or logs: a path, a folder or a glob.")
    ],
    out: Annotated[Path, typer.Option(metavar="RUN.nc", help="Where to save the run.")],
    settings: Settings = None,
    spec: SpecFile = None,
    dial: Annotated[
        list[str] | None,
        typer.Option("--dial", metavar="NAME=NUMBER", help="Another value for a dial of an assumption."),
    ] = None,
    read: Annotated[
        list[str] | None,
        typer.Option("--read", metavar="KEY=VALUE", help="A choice for reading logs, such as metric=acc: see bayeskit.read."),
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
    statistics: Annotated[
        bool | None,
        typer.Option(
            "--statistics/--no-statistics",
            show_default=False,
            help="Keep in the run what refits need. Not given: kept, unless it is row by row (rows may be patients).",
        ),
    ] = None,
    progress: Progress = True,
) -> None:
    """Fit a model to a table, check it and save the run.

    Examples
    --------
      bayeskit fit MODEL table.csv -s item=question -s levels=2 --seed 1 --out run.nc

      bayeskit fit MODEL table.parquet -s 'judge=["GPT-4", "JudgeLM"]' --dial spread.sigma=0.5 --out run.nc

      bayeskit fit MODEL logs/ --read metric=acc --out run.nc
    """
    built = specification(model, settings, spec)
    dials = {key: number_of(key, value) for key, value in pairs_of(dial, "--dial").items()}
    if not out.parent.is_dir():  # before the fit, not after it
        raise SpecificationError(f"--out: there is no folder {str(out.parent)!r}.")
    result = built.fit(
        _table(table, read),
        draws=draws,
        tune=tune,
        chains=chains,
        seed=seed,
        cores=cores,
        store=store,
        progress=progress,
        dials=dials,
    )
    result.save(out, statistics=statistics)
    for note in result.notes:
        print(f"Note: {note}")
    print(result.verdict)
    print("\n".join(repr(result).splitlines()[1:]))
    print(f"Saved to {out} (seed {result.provenance['sampling']['seed']}).")
    leave(exit_code(result.verdict))


def _table(path: str, choices: list[str] | None) -> Any:
    """The path itself, or the long table of logs where choices say how to read them."""
    if not choices:
        return path
    from bayeskit.readers.reading import read

    given = {key: value_of(value) for key, value in pairs_of(choices, "--read").items()}
    known = [name for name in inspect.signature(read).parameters if name != "source"]
    for key in given:
        if key not in known:
            raise SpecificationError(
                f"--read {key}: there is no such choice.{suggest(key, known)} There are {', '.join(known)}."
            )
    return read(path, **given)


@app.command()
def check(
    run: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Print the verdict on a saved run, and what to do about it.

    Examples
    --------
      bayeskit check run.nc

      bayeskit check run.nc --json
    """
    from bayeskit.storage import load

    verdict: Verdict = load(run).verdict
    code = exit_code(verdict)
    if as_json:
        payload = {"headline": verdict.headline, "exit_code": code, **verdict.to_dict()}
        print(json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join([verdict.headline, *(f"  {result}" for result in verdict.results)]))
    leave(code)


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

    Examples
    --------
      bayeskit calibrate MODEL -s levels=2 --size items=50 --plot calibration.svg
    """
    if plot is not None and plot.suffix.lower() != ".svg":
        raise SpecificationError(f"--plot: the file {plot.name!r} must end in .svg.")
    built = specification(model, settings, spec)
    result = built.calibrate(simulations=simulations, seed=seed, progress=progress, **sizes_of(built, size))
    print(result)
    if plot is not None:
        plot.write_bytes(result.plot().data)
        print(f"Plot: {plot}")
    leave(PASSED if result.passed else FAILED)
