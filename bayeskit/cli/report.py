"""The command that writes reports of a saved run, and scores them against reporting checklists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli import questions
from bayeskit.cli.arguments import Progress, Run, pairs_of
from bayeskit.cli.frame import FAILED, app, exit_code, leave
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    from bayeskit.fit import Fit
    from bayeskit.report.answers import Answered
    from bayeskit.report.checklist import Score
    from bayeskit.report.content import Report

Out = Annotated[
    list[Path] | None,
    typer.Option("--out", metavar="FILE", help="Report to write: .html, .md, .tex, .csv or .json; may be given several times."),
]
Author = Annotated[
    list[str] | None,
    typer.Option("--author", metavar="KEY=TEXT", help="Fill a blank that only the author can: 'goal=Which model to deploy'."),
]
AuthorFile = Annotated[
    Path | None, typer.Option("--author-file", metavar="FILE.json", help="The same as one JSON object; --author goes over it.")
]

OnFail = Annotated[
    str, typer.Option(metavar="mark|raise|allow", help="Failed checks: mark the numbers, write nothing, or do not mark.")
]
Checklist = Annotated[bool, typer.Option("--checklist", help="Print which items of reporting checklists the report answers.")]


@app.command()
def report(
    run: Run,
    out: Out = None,
    prob: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    kind: Annotated[str, typer.Option(metavar="eti|hdi", help="Equal-tailed or highest-density intervals.")] = "eti",
    author: Author = None,
    author_file: AuthorFile = None,
    suppress_below: Annotated[int, typer.Option(metavar="N", help="Print counts of people below N as '< N'.")] = 0,
    on_fail: OnFail = "mark",
    sensitivity: Annotated[bool, typer.Option(help="Say what the answer rests on, from the draws of the run.")] = True,
    sweep: questions.Sweeps = None,
    grid: questions.Grid = False,
    tipping: questions.Tipping = None,
    dial: questions.Dial = None,
    low: questions.Low = None,
    high: questions.High = None,
    influence: questions.Units = None,
    bounds: questions.Bounds = None,
    draws: questions.Draws = None,
    cache: questions.Cache = None,
    replicate: Annotated[int, typer.Option(metavar="N", help="Tables replicated for predictive checks; 0 for none.")] = 100,
    checklist: Checklist = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --checklist: print the items as JSON.")] = False,
    progress: Progress = True,
) -> None:
    """Write the report of a saved run, or score it against reporting checklists.

    A failed or partial run gets its report too, which says so first. What 'bayeskit sensitivity RUN' answers, refits among it,
    can be asked for here as well: it then stands in the section "What the answer rests on". Exit code 2 where a refit failed.

    Examples
    --------
      bayeskit report run.nc --out report.html --out report.json

      bayeskit report run.nc --sweep spread.sigma=0.5,1,2 --out report.html

      bayeskit report run.nc --checklist --author 'goal=Which model to deploy'
    """
    from bayeskit.report import build_report
    from bayeskit.report.render import check_suffix
    from bayeskit.report.request import Request
    from bayeskit.storage import load

    files = list(out or ())
    if not files and not checklist:
        raise SpecificationError("Nothing is asked for: give --out FILE, --checklist or both.")
    for file in files:
        check_suffix(file)
    asked = questions.Questions(
        questions.sweep_values(sweep), grid, tipping, dial, low, high, influence, tuple(bounds or ()), draws, cache
    )
    wording: dict[str, Any] = {
        "prob": prob, "kind": _word("--kind", kind, ("eti", "hdi")), "author": _texts(author, author_file),
        "suppress_below": suppress_below, "on_fail": _word("--on-fail", on_fail, ("mark", "raise", "allow")),
        "replicate": replicate,
    }  # fmt: skip
    Request(**wording)  # refuses what is not as it should be before anything is refitted
    loaded = load(run)
    results = _answers(loaded, asked, sensitivity, prob, progress)
    content = build_report(loaded, sensitivity=results, **wording)
    _deliver(content, loaded.verdict.headline, files, checklist, as_json)
    leave(FAILED if questions.lost(results or {}) else exit_code(loaded.verdict))


def _deliver(content: Report, headline: str, files: list[Path], checklist: bool, as_json: bool) -> None:
    """Write the files; print where they are, and the items of checklists."""
    from bayeskit.report import render, score

    scored = score(content) if checklist else None
    if scored is not None and as_json:
        print(scored.to_json())
    else:
        print(headline)
        if scored is not None:
            _show(scored)
    for file in files:
        written = render(content, file)
        if not as_json:
            print(f"Report: {written}")


def _answers(
    fit: Fit, asked: questions.Questions, sensitivity: bool, prob: float, progress: bool
) -> dict[str, Answered] | None:
    """What the report says the answer rests on: the report's own look at the draws, or that and what was asked."""
    if not asked.asked:
        return None if sensitivity else {}
    first: dict[str, Answered] = {"Assumptions": fit.sensitivity(prob=prob)} if sensitivity else {}
    return {**first, **asked.answers(fit, prob, progress)}


def _word(option: str, given: str, allowed: tuple[str, ...]) -> Any:
    if given not in allowed:
        raise SpecificationError(f"{option} {given!r}: one of {', '.join(allowed)}.{suggest(given, allowed)}")
    return given


def _texts(given: list[str] | None, path: Path | None) -> dict[str, str]:
    """Texts of the author from a file, from ``--author`` or from both."""
    texts: dict[str, str] = {}
    if path is not None:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            stored = None
        if not isinstance(stored, dict) or not all(isinstance(v, str) for v in stored.values()):
            raise SpecificationError(f'--author-file: {path.name!r} must hold one JSON object {{"goal": "...", ...}}.')
        texts.update(stored)
    return {**texts, **pairs_of(given, "--author")}


def _show(scored: Score) -> None:
    """Print items as one table for each checklist; counts come first."""
    for line in scored.headlines:
        print(line)
    for name in scored.checklists:
        print(f"\n{name}")
        for answer in scored.answers:
            if answer.checklist == name:
                print(f"  {answer.id:<4} {answer.state:<14} {answer.label}: {answer.where}")
