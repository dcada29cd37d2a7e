"""From a fit to the content tree: verdict, results, what they rest on, data, assumptions, checks, limits, how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from bayeskit.errors import UnreliableDrawsError
from bayeskit.report.answers import Answered, sensitivity_section
from bayeskit.report.appendix import appendix_section, machine_facts
from bayeskit.report.card import card_section
from bayeskit.report.chains import chain_blocks
from bayeskit.report.content import Report, Section, marked
from bayeskit.report.counts import counted, suppressing
from bayeskit.report.data import data_section, rows_of
from bayeskit.report.gate import checks_section, verdict_note
from bayeskit.report.limits import limits_section
from bayeskit.report.model_checks import model_checks_section
from bayeskit.report.request import OnFail, Request
from bayeskit.report.results import results_sections
from bayeskit.verdict import Status, Verdict

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = ["build_report"]

FAILED = "Failed checks: not for use"
PARTIAL = "Partial run: provisional"
UNCHECKED = "Checks incomplete: provisional"


def build_report(
    fit: Fit,
    prob: float = 0.95,
    kind: Literal["eti", "hdi"] = "eti",
    *,
    sensitivity: Mapping[str, Answered] | Sequence[Answered] | None = None,
    author: Mapping[str, str] | None = None,
    suppress_below: int = 0,
    on_fail: OnFail = "mark",
    replicate: int = 100,
) -> Report:
    """Build the content of a report.

    Parameters
    ----------
    fit : Fit
        A finished or partial fit, whatever its verdict.
    prob : float
        Probability of the intervals, strictly between 0 and 1.
    kind : {"eti", "hdi"}
        Equal-tailed or highest-density intervals.
    sensitivity : mapping of str to result, or sequence of results, optional
        By heading: what `Fit.sensitivity`, `sweep`, `tipping_point`, `influence`, `smallest_set`, `bounds` and the like return.
        None asks `Fit.sensitivity` of the draws at hand, which takes no refit; an empty one leaves the section out.
    author : mapping of str to str, optional
        Texts for the blanks that only the author can fill, by the keys of `bayeskit.report.BLANKS`.
    suppress_below : int
        Numbers of rows or people from 1 to one less are printed as "< suppress_below"; 0 prints all.
    on_fail : {"mark", "raise", "allow"}
        Where checks failed, could not be computed, or the run is partial: mark the numbers, refuse the report, or print the
        numbers without marks. The first line and the status say what happened in any case.
    replicate : int
        Tables that are replicated from the prior, and from the posterior, for the predictive checks; 0 leaves them out.

    Returns
    -------
    Report
        For :func:`bayeskit.report.render`. A failed or partial run says so first, and its numbers are marked.

    Raises
    ------
    SpecificationError
        For an argument that is not as above.
    UnreliableDrawsError
        With ``on_fail="raise"``, where the draws are not to be relied on.
    """
    request = Request(prob, kind, sensitivity, dict(author or {}), suppress_below, on_fail, replicate)
    with suppressing(suppress_below):
        # checks tell counts too, and a verdict that was worked out before tells them all: a copy works out its own
        fit = replace(fit) if suppress_below else fit
        verdict = fit.verdict
        if on_fail == "raise" and verdict.exit_code:
            raise UnreliableDrawsError(f"No report is written (on_fail='raise'). {verdict}")
        asked = sensitivity_section(fit, request)
        answers = (*results_sections(fit, request), *asked, *model_checks_section(fit, request))
        (chains,) = _marked((Section("", "", chain_blocks(fit)),), verdict, request)
        sections = (
            *_marked(answers, verdict, request),
            data_section(fit),
            card_section(fit),
            checks_section(verdict, chains.blocks),
            limits_section(fit, verdict, request, answers),
            appendix_section(fit, request),
        )
        subtitle, facts = _subtitle(fit), machine_facts(fit, verdict, request)
    title = f"{type(fit.spec).__name__} report"
    return Report(title, verdict_note(verdict), sections, subtitle, facts)


def _marked(sections: tuple[Section, ...], verdict: Verdict, request: Request) -> tuple[Section, ...]:
    """Label every number that rests on draws which are not to be relied on."""
    if request.on_fail == "allow":
        return sections
    if not verdict.exit_code:
        return sections
    failed = verdict.status is Status.FAIL
    label = FAILED if failed else PARTIAL if verdict.partial else UNCHECKED
    return marked(sections, label, not failed, lambda section: section.id != "results")


def _subtitle(fit: Fit) -> str:
    rows = rows_of(fit)
    parts = [f"{counted(rows)} rows"] if rows is not None else []
    parts += [f"{len(labels):,d} {_plural(role)}" for role, labels in fit.levels.items()]
    started = str(fit.provenance.get("started", ""))[:10]
    return " · ".join([*parts, *([f"fitted {started}"] if started else [])])


def _plural(role: str) -> str:
    word = role.replace("_", " ")
    return word if word.endswith("s") else f"{word}s"
