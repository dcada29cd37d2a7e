"""What a report says of a risk fit: who was tested, prevalence, risk, testing, and what the constraints did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeskit.convergence import mean_errors
from bayeskit.report.content import (
    Block,
    Cell,
    Note,
    Number,
    Paragraph,
    Section,
    Table,
    interval_phrase,
    probability,
    quantile_mcse,
)
from bayeskit.report.counts import counted
from bayeskit.report.figures import interval_plot
from bayeskit_models.risk.conflict import untested_identity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["sections_of"]


def sections_of(fit: RiskFit, prob: float) -> tuple[Section, ...]:
    """Sections in the order of the questions."""
    found = [_prevalence(fit, prob), _risk(fit, prob), _testing(fit, prob), _constraints(fit)]
    return tuple(s for s in found if s is not None)


def _numbers(draws: NDArray[np.float64], prob: float) -> tuple[Cell, Cell, Cell]:
    """Median and ends of the equal-tailed interval of draws of shape (chain, draw), with their Monte Carlo errors."""
    tail = (1.0 - prob) / 2.0
    error = float(mean_errors(draws[..., None])[0])
    low, mid, high = np.quantile(draws, (tail, 0.5, 1.0 - tail))
    edge = quantile_mcse(error, tail)
    return Number(float(mid), quantile_mcse(error, 0.5)), Number(float(low), edge), Number(float(high), edge)


def _prevalence(fit: RiskFit, prob: float) -> Section:
    draws = fit.means.transpose("chain", "draw", "population").values
    name = "Prevalence" if fit.spec.family == "bernoulli" else "Mean outcome"
    blocks: list[Block] = []
    if fit.aggregate is not None:
        counts, seen = fit.aggregate["counts"].values, float(fit.aggregate["tested_mean"])
        told = f"of whom {seen:.1%} had the outcome" if fit.spec.family == "bernoulli" else f"with mean outcome {seen:.4g}"
        blocks.append(
            Paragraph(
                f"{counted(counts.sum())} people, {counted(counts[1:].sum())} of them tested, {told}. Nothing was "
                f"seen of the other {counted(counts[0])}: what is said of them rests on the assumptions below."
            )
        )
    rows = tuple((str(p), *_numbers(draws[..., k], prob)) for k, p in enumerate(fit.estimands["population"].values))
    caption = f"{name} among people with these covariates, medians with {interval_phrase(prob, 'eti')} intervals."
    blocks.append(Table(("among", "median", "lower", "upper"), rows, caption))
    if fit.aggregate is not None:
        found = untested_identity(fit)
        whose = "stated" if found.stated else "fitted"
        blocks.append(
            Paragraph(
                f"Total probability alone: the {whose} {name.lower()} of all leaves {found.implied:.3g} (standard error "
                f"{found.sd:.2g}) for the untested, whatever the model."
            )
        )
    return Section(name, "prevalence", tuple(blocks))


def _coefficients(fit: RiskFit, name: str, prob: float) -> list[Block]:
    if name not in fit.estimands:
        return []
    variable = fit.estimands[name].transpose("chain", "draw", ...)
    rows: list[tuple[Cell, ...]] = []
    drawn = []
    for k, term in enumerate(variable[variable.dims[-1]].values):
        draws = variable.values[..., k]
        rows.append((str(term), *_numbers(draws, prob), probability(float((draws > 0).mean()), float(draws.size))))
        drawn.append(np.quantile(draws, (0.5, (1 - prob) / 2, (1 + prob) / 2)))
    label = str(variable.attrs["label"])
    caption = f"{label[:1].upper()}{label[1:]}, medians with {interval_phrase(prob, 'eti')} intervals."
    table = Table(("term", "median", "lower", "upper", "P(above 0)"), tuple(rows), caption)
    if len(rows) < 2:
        return [table]
    mid, low, high = np.array(drawn).T
    figure = interval_plot([str(r[0]) for r in rows], mid, low, high, prob=prob, reference=0.0, xlabel=label, caption=caption)
    return [table, figure]


def _risk(fit: RiskFit, prob: float) -> Section:
    blocks = _coefficients(fit, "risk_coefficient", prob)
    if fit.spec.family == "gaussian":
        return (
            Section("Outcome", "risk", tuple(blocks)) if blocks else Section("Outcome", "risk", (Paragraph("No covariates."),))
        )
    if fit.statistics is not None:
        blocks.append(fit.plot_risk(prob=prob))
    else:
        blocks.append(Note("not computed", "The run was loaded without its rows: risks by group are not computed."))
    return Section("Risk", "risk", tuple(blocks))


def _testing(fit: RiskFit, prob: float) -> Section:
    blocks: list[Block] = [
        Paragraph(
            "How testing departs from risk: of two people at equal risk, who is tested sooner. 0 is a policy that follows risk "
            "alone. A departure may be a written rule, a barrier, or a wrong formula of the risk."
        )
    ]
    blocks += _coefficients(fit, "departure", prob) if fit.spec.family == "gaussian" else []
    blocks += _coefficients(fit, "testing_coefficient", prob) + _coefficients(fit, "held_coefficient", prob)
    if fit.spec.expertise is not None and fit.spec.tau is None:
        named = ", ".join(fit.spec.expertise) or "no feature"
        blocks.append(Paragraph(f"By assumption (expertise) testing departs along {named} and along no other feature."))
    if fit.statistics is not None and fit.spec.family == "bernoulli":
        found = fit.misallocation()
        rows = tuple(
            (str(name), Number(float(r["median"])), Number(float(r["lower"])), Number(float(r["upper"])))
            for name, r in found.summary(prob).iterrows()
        )
        caption = (
            f"As many tests, given to those of highest risk by their covariates, against the present policy; "
            f"{interval_phrase(prob, 'eti')} intervals. The decision maker also sees what the table lacks, so the gain may be "
            "negative."
        )
        blocks.append(Table(("expected outcomes found", "median", "lower", "upper"), rows, caption))
    return Section("Testing", "testing", tuple(blocks))


def _constraints(fit: RiskFit) -> Section | None:
    if not fit.spec.stated:
        return None
    if fit.statistics is None:
        note = Note("not computed", "Whether the data contradict the stated prevalence needs the rows: give the table again.")
        return Section("Constraints", "constraints", (note,))
    found = fit.usual_conflict
    kind = "warn" if found.conflict else "pass"
    advice = ("Under a wrong prevalence intervals are narrower and answers wrong: narrow intervals are no comfort here.",)
    blocks: list[Block] = [Note(kind, found.sentence(), advice if found.conflict else ())]  # type: ignore[arg-type]
    heads = ("group", "stated, low", "stated, high", "sd", "without it", "lower", "upper", "z")
    rows = tuple(
        (str(g), *(Number(float(v)) for v in row)) for g, row in zip(found.groups, found.table.to_numpy(), strict=True)
    )
    blocks.append(
        Table(heads, rows, "Stated prevalence against the one that is implied without it (median, 95% equal-tailed interval).")
    )
    return Section("Constraints", "constraints", tuple(blocks))
