"""The command that writes reports of a saved run, and scores them against reporting checklists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli.arguments import Run, pairs_of
from bayeskit.cli.frame import app, exit_code, leave
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    from bayeskit.report.checklist import Score

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


@app.command()
def report(
    run: Run,
    out: Out = None,
    prob: Annotated[float, typer.Option(help="Probability of the intervals.")] = 0.95,
    kind: Annotated[str, typer.Option(metavar="eti|hdi", help="Equal-tailed or highest-density intervals.")] = "eti",
    author: Author = None,
    author_file: AuthorFile = None,
    suppress_below: Annotated[int, typer.Option(metavar="N", help="Print counts of people below N as '< N'.")] = 0,
    on_fail: Annotated[
        str, typer.Option(metavar="mark|raise|allow", help="Failed checks: mark the numbers, write nothing, or do not mark.")
    ] = "mark",
    sensitivity: Annotated[bool, typer.Option(help="Say what the answer rests on, from the draws of the run.")] = True,
    replicate: Annotated[int, typer.Option(metavar="N", help="Tables replicated for predictive checks; 0 for none.")] = 100,
    checklist: Annotated[
        bool, typer.Option("--checklist", help="Print which items of reporting checklists the report answers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --checklist: print the items as JSON.")] = False,
) -> None:
    """Write the report of a saved run, or score it against reporting checklists.

    A failed or partial run gets its report too, which says so first. Sensitivity is that of 'bayeskit sensitivity RUN'; results
    with refits are added in Python: fit.report(path, sensitivity=[...]).

    Examples
    --------
      bayeskit report run.nc --out report.html --out report.json

      bayeskit report run.nc --checklist --author 'goal=Which model to deploy'
    """
    from bayeskit.report import build_report, render, score
    from bayeskit.report.render import check_suffix
    from bayeskit.storage import load

    files = list(out or ())
    if not files and not checklist:
        raise SpecificationError("Nothing is asked for: give --out FILE, --checklist or both.")
    for file in files:
        check_suffix(file)
    loaded = load(run)
    content = build_report(
        loaded, prob, _word("--kind", kind, ("eti", "hdi")),
        sensitivity=None if sensitivity else (), author=_texts(author, author_file), suppress_below=suppress_below,
        on_fail=_word("--on-fail", on_fail, ("mark", "raise", "allow")), replicate=replicate,
    )  # fmt: skip
    scored = score(content) if checklist else None
    if scored is not None and as_json:
        print(scored.to_json())
    else:
        print(loaded.verdict.headline)
        if scored is not None:
            _show(scored)
    for file in files:
        written = render(content, file)
        if not as_json:
            print(f"Report: {written}")
    leave(exit_code(loaded.verdict))


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
