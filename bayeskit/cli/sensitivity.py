"""The command that asks what a saved run rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli import completion
from bayeskit.cli.arguments import Progress, Run
from bayeskit.cli.frame import FAILED, app, exit_code, leave
from bayeskit.errors import SpecificationError, suggest
from bayeskit.progress import SamplingProgress

if TYPE_CHECKING:
    from bayeskit.report.answers import Answered

_FAIL_ON = {"sensitive": ("sensitive", "conflict"), "unreliable": ("unreliable", "not computed")}
_MOST = 100  # values of one dial
_SHOWN = 30  # lines of each answer on a terminal


Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where to write: .html, .md, .tex, .json (all) or .csv (first table).")
]
Quantity = Annotated[
    list[str] | None, typer.Option("--quantity", metavar="NAME", help="An estimand to look at; the headline ones if none.")
]
Assumptions = Annotated[str, typer.Option(metavar="top|all|NAME", help="Which assumptions.")]
Ladder = Annotated[str, typer.Option(metavar="reweight|auto", help="'auto' refits the rows that draws cannot tell.")]
Verify = Annotated[bool, typer.Option("--verify", help="Refit the most important row and compare.")]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep", metavar="DIAL=A:B:N", help="Refit at N values from A to B, or at values A,B,C.",
        autocompletion=completion.sweeps,
    ),
]  # fmt: skip
Grid = Annotated[bool, typer.Option("--grid", help="Every combination of several sweeps.")]
Tipping = Annotated[
    str | None, typer.Option("--tipping", metavar="CLAIM", help="Where does this claim flip? 'P(A > B) > 0.95'")
]
Dial = Annotated[
    str | None,
    typer.Option("--dial", metavar="DIAL", help="The dial to turn for --tipping.", autocompletion=completion.dials),
]
Units = Annotated[
    str | None, typer.Option("--influence", metavar="UNIT", help="Leave out each row, judge, item ...: which data matter?")
]
Bounds = Annotated[
    list[str] | None, typer.Option("--bounds", metavar="QUANTITY", help="What the data alone allow for a quantity.")
]
FailOn = Annotated[
    list[str] | None,
    typer.Option("--fail-on", metavar="sensitive|unreliable", help="End with exit code 2 if a headline quantity is so."),
]


@app.command()
def sensitivity(
    run: Run,
    out: Out = None,
    quantity: Quantity = None,
    assumptions: Assumptions = "top",
    ladder: Ladder = "reweight",
    verify: Verify = False,
    sweep: Sweeps = None,
    grid: Grid = False,
    tipping: Tipping = None,
    dial: Dial = None,
    low: Annotated[float | None, typer.Option(help="Lowest value of that dial.")] = None,
    high: Annotated[float | None, typer.Option(help="Highest value of that dial.")] = None,
    influence: Units = None,
    bounds: Bounds = None,
    prob: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    draws: Annotated[int | None, typer.Option(help="Draws per chain of refits; as in the run if not given.")] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that keeps refits, so that they can resume.")
    ] = None,
    fail_on: FailOn = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    progress: Progress = True,
) -> None:
    """Say what a saved run rests on: assumptions, dials, claims, data, bounds.

    Examples
    --------
      bayeskit sensitivity run.nc --out rests-on.html

      bayeskit sensitivity run.nc --tipping "P(A > B) > 0.95" --dial judge_quality.alpha

      bayeskit sensitivity run.nc --sweep constancy_scale.sigma=0.1:1:4 --out sweep.json
    """
    from bayeskit.storage import load

    states = _states(fail_on)
    if (tipping is None) != (dial is None):
        raise SpecificationError("--tipping and --dial go together: the claim, and the dial that is turned until it flips.")
    settings = _values(sweep)
    fit = load(run)
    wanted = quantity or None
    refits = {} if draws is None else {"draws": draws}
    results: dict[str, Answered] = {}
    with SamplingProgress(progress) as bar:
        bar.stage("Every assumption against every quantity")
        refitting = refits if verify or ladder != "reweight" else {}
        found = fit.sensitivity(wanted, _names(assumptions), prob, ladder=ladder, verify=verify, **refitting)
        results["Assumptions"] = found
        if settings:
            bar.stage("Refits under other dials")
            results["Sweep"] = fit.sweep(settings, grid=grid, cache=cache, prob=prob, **refits)
        if tipping is not None:
            bar.stage("Looking for the place where the claim flips")
            results["Tipping point"] = fit.tipping_point(tipping, dial, low, high, cache=cache, **refits)
        if influence is not None:
            bar.stage("Leaving out data")
            results["Influence"] = fit.influence(influence, wanted, prob=prob)
        for name in bounds or ():
            bar.stage("What the data alone allow")
            results[f"Bounds of {name}"] = fit.bounds(name, prob=prob)
    _show(fit, results, as_json)
    if out is not None:
        from bayeskit.sensitivity.document import write_sensitivity

        print(f"Written to {write_sensitivity(fit, results, out)}.") if not as_json else write_sensitivity(fit, results, out)
    rests = any(row.state in states for row in found.rows)
    lost = bool(settings) and bool(getattr(results["Sweep"], "failed", ()))
    leave(FAILED if rests or lost else exit_code(fit.verdict))


def _show(fit: Any, results: dict[str, Answered], as_json: bool) -> None:
    if as_json:
        parts = {title: json.loads(found.to_json()) for title, found in results.items()}
        print(json.dumps({"verdict": fit.verdict.headline, "results": parts}, indent=2, ensure_ascii=False, allow_nan=False))
        return
    print(fit.verdict.headline)
    for title, found in results.items():
        lines = repr(found).splitlines()
        more = f"\n  ... {len(lines) - _SHOWN} more lines: --out FILE writes all of it." if len(lines) > _SHOWN else ""
        print(f"\n{title}\n" + "\n".join(lines[:_SHOWN]) + more)


def _names(assumptions: str) -> str | list[str]:
    return assumptions if assumptions in ("top", "all") else [name.strip() for name in assumptions.split(",")]


def _states(asked: Sequence[str] | None) -> tuple[str, ...]:
    found: list[str] = []
    for name in asked or ():
        if name not in _FAIL_ON:
            raise SpecificationError(f"--fail-on {name}: one of {', '.join(_FAIL_ON)}.{suggest(name, _FAIL_ON)}")
        found += _FAIL_ON[name]
    return tuple(found)


def _values(given: Sequence[str] | None) -> dict[str, list[float]]:
    """Read ``dial=a:b:n`` (n values from a to b) and ``dial=a,b,c``."""
    out: dict[str, list[float]] = {}
    for text in given or ():
        name, equals, told = text.partition("=")
        try:
            if not equals or not name:
                raise ValueError
            if ":" in told:
                start, stop, number = told.split(":")
                count = int(number)
                if not 1 <= count <= _MOST:
                    raise ValueError
                step = (float(stop) - float(start)) / max(count - 1, 1)
                values = [float(start) + step * i for i in range(count)]
            else:
                values = [float(v) for v in told.split(",")]
        except ValueError:
            raise SpecificationError(
                f"--sweep {text}: write it as DIAL=FIRST:LAST:NUMBER (at most {_MOST}), or DIAL=VALUE,VALUE,..."
            ) from None
        if name in out:
            raise SpecificationError(f"--sweep {name}: given twice.")
        out[name] = values
    return out
