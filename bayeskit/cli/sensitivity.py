"""The command that asks what a saved run rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli import questions
from bayeskit.cli.arguments import Progress, Run
from bayeskit.cli.frame import FAILED, app, exit_code, leave
from bayeskit.errors import SpecificationError, suggest
from bayeskit.progress import SamplingProgress

if TYPE_CHECKING:
    from bayeskit.report.answers import Answered

_FAIL_ON = {"sensitive": ("sensitive", "conflict"), "unreliable": ("unreliable", "not computed")}
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
    sweep: questions.Sweeps = None,
    grid: questions.Grid = False,
    tipping: questions.Tipping = None,
    dial: questions.Dial = None,
    low: questions.Low = None,
    high: questions.High = None,
    influence: questions.Units = None,
    bounds: questions.Bounds = None,
    prob: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    draws: questions.Draws = None,
    cache: questions.Cache = None,
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
    asked = questions.Questions(
        questions.sweep_values(sweep), grid, tipping, dial, low, high, influence, tuple(bounds or ()), draws, cache
    )
    fit = load(run)
    wanted = quantity or None
    with SamplingProgress(progress) as bar:
        bar.stage("Every assumption against every quantity")
        refitting = asked.refits if verify or ladder != "reweight" else {}
        found = fit.sensitivity(wanted, _names(assumptions), prob, ladder=ladder, verify=verify, **refitting)
    results: dict[str, Answered] = {"Assumptions": found, **asked.answers(fit, prob, progress, wanted)}
    _show(fit, results, as_json)
    if out is not None:
        from bayeskit.sensitivity.document import write_sensitivity

        print(f"Written to {write_sensitivity(fit, results, out)}.") if not as_json else write_sensitivity(fit, results, out)
    rests = any(row.state in states for row in found.rows)
    leave(FAILED if rests or questions.lost(results) else exit_code(fit.verdict))


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
