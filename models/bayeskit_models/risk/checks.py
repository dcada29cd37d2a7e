"""What the draws of a risk fit cannot tell by themselves: constraints against data, fit to what was seen, separation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit.checks import overlap_note
from bayeskit.errors import StorageError
from bayeskit.report.counts import counted
from bayeskit.verdict import CheckResult, Status
from bayeskit_models.risk.conflict import LIMIT, untested_identity
from bayeskit_models.risk.population import coefficients_of, pooled, testing_columns
from bayeskit_models.risk.simulate import draw_prior_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["risk_checks"]

_P_LEAST = 0.01  # two-sided, of the predictive checks
_QUADRATURE = 0.1  # error of the log likelihood that leaves a posterior as it is
_RESIDUAL = 2.5  # standard deviations; coefficients take up most of what there is
_DRAWS = 100
_SHARP = 0.5  # of the sampling noise of a prevalence


def risk_checks(fit: RiskFit) -> tuple[CheckResult, ...]:
    """Overlap with the prior, then what concerns the specification: predictive, identity, conflict, quadrature, separation."""
    design = fit.aggregate
    if design is None:
        return ()
    found = [_overlap(fit, design), _predictive(fit), _identity(fit)]
    if fit.spec.stated:
        found += [_conflict(fit), *_sharpness(fit, design)]
    if fit.statistics is not None:
        found += [_residuals(fit, fit.statistics), *_quadrature(fit), *_separated(fit.statistics)]
    return tuple(found)


def _overlap(fit: RiskFit, design: xr.Dataset) -> CheckResult:
    """Against the priors without the constraints, which are knowledge as data are."""
    batch = draw_prior_batch(fit.spec, design, np.random.default_rng(0), fit.dials, 400)
    dims = {a.name: a.prior.dims for a in fit.spec.assumptions(design) if a.prior is not None}
    prior = xr.Dataset({n: (("chain", "draw", *dims[n]), v[None]) for n, v in batch.items()})
    return overlap_note(prior, fit.posterior[list(batch)])


def _predictive(fit: RiskFit) -> CheckResult:
    """Share tested and prevalence among the tested: observed against replicated tables of the same size."""
    if fit.statistics is None:
        text = "Replicated tables need the rows, which are not stored with this run."
        return CheckResult("predictive", Status.NOT_COMPUTED, text, "Fit again, or give the table: fit.refit(table=...).")
    counts = fit.statistics["counts"].values
    n, tested = round(counts.sum()), counts[1:].sum()
    part = pooled(fit.posterior.thin(draw=max(1, fit.posterior.sizes["draw"] // 250)))
    c = coefficients_of(fit.spec, part, fit.statistics, fit.dials)
    _, both, untested = c.sums(fit.statistics, testing_columns(fit.statistics)).T
    rng = np.random.default_rng(0)
    share = rng.binomial(n, np.clip(1.0 - untested, 0.0, 1.0))
    size, inside = np.maximum(share, 1), both / (1.0 - untested)
    if fit.spec.family == "bernoulli":
        rate = rng.binomial(size, np.clip(inside, 0.0, 1.0)) / size
    else:
        rate = inside + float(fit.statistics["tested_sd"]) / np.sqrt(size) * rng.normal(size=len(inside))
    told = "prevalence among the tested" if fit.spec.family == "bernoulli" else "mean outcome of the tested"
    rows = []
    for name, replicated, seen in (
        ("share tested", share / n, tested / n),
        (told, rate, float(fit.statistics["tested_mean"])),
    ):
        below = float((replicated < seen).mean() + 0.5 * (replicated == seen).mean())
        p = max(2.0 * min(below, 1.0 - below), 1.0 / len(replicated))  # so many draws show no smaller one
        low, high = np.quantile(replicated, (0.025, 0.975))
        rows.append({"quantity": name, "observed": float(seen), "lower": float(low), "upper": float(high), "p": p})
    worst = min(rows, key=lambda r: r["p"])
    text = (
        f"The {worst['quantity']} is {worst['observed']:.3g}; replicated tables have {worst['lower']:.3g} to "
        f"{worst['upper']:.3g} (central 95%), two-sided p = {worst['p']:.2g} (limit {_P_LEAST:g})."
    )
    if worst["p"] >= _P_LEAST:
        return CheckResult("predictive", Status.PASS, text, "", tuple(rows))
    advice = (
        "The fit does not give back what was seen: a constraint or a formula is wrong. Fit without the constraint, and let "
        "the formulas bend."
    )
    return CheckResult("predictive", Status.WARN, text, advice, tuple(rows))


def _residuals(fit: RiskFit, statistics: xr.Dataset) -> CheckResult:
    """Tests, and outcomes of the tested, along every covariate: what is left of them after the fit.

    A sum of covariate times residual over its standard deviation. The coefficients take up most of what there is, so that large
    sums are left only where two demands on one coefficient contradict each other: a covariate that expertise holds back, say.
    """
    weight, seen = statistics["weight"].values, testing_columns(statistics)
    columns = np.concatenate([statistics["risk_columns"].values, seen])
    names = [str(t) for c in ("risk", "testing", "held") for t in statistics[f"{c}_term"].values]
    c, _ = fit.thinned(len(weight), _DRAWS)
    _, both, untested = np.moveaxis(c.rows(statistics["risk_columns"].values, seen).mean(0), -1, 0)
    kind = np.repeat([0, 1, 2], np.diff(statistics["kind_ptr"].values))
    # where nobody can have been tested nobody was, and the row has no part in the sums
    mean = np.divide(both, 1.0 - untested, out=np.zeros_like(both), where=untested < 1.0)
    if fit.spec.family == "bernoulli":
        outcome, spread = kind == 1, mean * (1.0 - mean)
    else:
        centre, unit = statistics["unit"].values
        outcome = centre + unit * statistics["outcome"].values
        spread = np.full(len(mean), float(statistics["tested_sd"]) ** 2)
    parts = {
        "tests": (weight, (kind > 0) - (1.0 - untested), untested * (1.0 - untested)),
        "outcomes of the tested": (weight * (kind > 0), outcome - mean, spread),
    }
    rows = []
    for what, (w, residual, variance) in parts.items():
        for name, x in dict(zip(names, columns, strict=True)).items():
            z = float((w * x) @ residual / math.sqrt(max((w * x**2) @ variance, 1e-300)))
            rows.append({"quantity": f"{what} along {name}", "z": z})
    if not rows:
        return CheckResult("residuals", Status.PASS, "There are no covariates along which residuals could go.")
    rows.sort(key=lambda r: -abs(r["z"]))
    worst = rows[0]
    text = (
        f"Of {len(rows)} sums of residuals the largest, of {worst['quantity']}, is {worst['z']:.1f} standard deviations (limit "
        f"{_RESIDUAL:g})."
    )
    if abs(worst["z"]) <= _RESIDUAL:
        return CheckResult("residuals", Status.PASS, text, "", tuple(rows[:5]))
    advice = (
        "Two demands on one coefficient contradict each other. Let testing depart along this covariate (expertise), and look "
        "at the sign of alpha."
    )
    return CheckResult("residuals", Status.WARN, text, advice, tuple(rows[:5]))


def _identity(fit: RiskFit) -> CheckResult:
    """What total probability leaves for the untested, whatever the model."""
    found = untested_identity(fit)
    whose = "The stated prevalence" if found.stated else "The fitted prevalence"
    text = (
        f"{whose}, with {found.share:.3g} tested of whom {found.rate:.3g} had the outcome, leaves {found.implied:.3g} "
        f"(standard error {found.sd:.2g}) for the untested, whatever the model; the fit says {found.fitted:.3g}."
    )
    if found.holds:
        return CheckResult("identity", Status.PASS, text)
    if not found.possible:
        text += " That is no probability."
    advice = "Check whom the prevalence is of: it must be of the people in the table, tested and untested together."
    return CheckResult("identity", Status.WARN, text, advice)


def _conflict(fit: RiskFit) -> CheckResult:
    try:
        found = fit.usual_conflict
    except StorageError:
        text = "Whether the data contradict the stated prevalence needs a fit without it, and the rows are not at hand."
        return CheckResult("conflict", Status.NOT_COMPUTED, text, "Give the table: fit.refit(table=...).")
    table = tuple({"group": str(g), **{str(k): float(v) for k, v in row.items()}} for g, row in found.table.iterrows())
    if found.conflict:
        advice = (
            "Narrow intervals are no comfort here: under a wrong prevalence they are narrower, and answers wrong. Check whom "
            "the prevalence is of, widen its sd (dial prevalence.sd), and report fit.plot_prevalence_path(...)."
        )
        return CheckResult("conflict", Status.WARN, found.sentence(), advice, table)
    assert np.abs(found.z).max() <= LIMIT
    return CheckResult("conflict", Status.PASS, found.sentence(), "", table)


def _sharpness(fit: RiskFit, design: xr.Dataset) -> list[CheckResult]:
    """A prevalence known better than the table itself could show it."""
    n = float(design["counts"].values.sum())
    out = []
    for label, stated in fit.spec.stated:
        if label is not None:
            continue
        middle = 0.5 * (stated.low + stated.high)
        binary = fit.spec.family == "bernoulli"
        noise = math.sqrt(max(middle * (1.0 - middle), 1e-12) / n) if binary else float(design["tested_sd"]) / math.sqrt(n)
        sd = fit.dials["prevalence.sd"]
        text = (
            f"The stated prevalence has sd {sd:.2g}; of {counted(n)} people drawn from a population it varies by {noise:.2g}."
        )
        if sd >= _SHARP * noise:
            out.append(CheckResult("sharpness", Status.PASS, text))
        else:
            text += f" (At least {_SHARP:g} of that is the limit.)"
            advice = "Is it known of these very people so well? If it is of a population, an sd below the noise ruins coverage."
            out.append(CheckResult("sharpness", Status.WARN, text, advice))
    return out


def _quadrature(fit: RiskFit, draws: int = 8) -> list[CheckResult]:
    """Are the nodes enough? The log likelihood with twice as many, at the draws of smallest to largest scale."""
    spec, statistics = fit.spec, fit.statistics
    assert statistics is not None
    if spec.link == "probit" or (spec.unobserved == "uniform" and spec.alpha == 1.0):
        return []
    values = pooled(fit.posterior)
    order = np.argsort(values["unobserved_scale"])
    chosen = order[np.linspace(0, len(order) - 1, draws).astype(int)]
    part = {n: v[chosen] for n, v in values.items()}
    totals = []
    for refine in (1, 2):
        rows = coefficients_of(spec, part, statistics, fit.dials, refine).log_rows(statistics, testing_columns(statistics))
        totals.append(rows @ statistics["weight"].values)
    error = float(np.abs(totals[0] - totals[1]).max())
    text = f"Doubling the nodes over the unobservable moves the log likelihood by at most {error:.2g} at {draws} draws"
    if error <= _QUADRATURE:
        return [CheckResult("quadrature", Status.PASS, f"{text} (limit {_QUADRATURE:g}).")]
    advice = "The unobservable is spread so widely that the nodes are too coarse: a tighter prior on unobserved_scale helps."
    return [CheckResult("quadrature", Status.WARN, f"{text}, over the limit {_QUADRATURE:g}.", advice)]


def _separated(statistics: xr.Dataset) -> list[CheckResult]:
    """Covariates along which outcomes, or tests, do not overlap."""
    ptr = statistics["kind_ptr"].values
    found = []
    binary = bool(ptr[3] > ptr[2])
    pairs = (
        ("tested and untested", slice(0, ptr[1]), slice(ptr[1], ptr[3])),
        ("outcomes", slice(ptr[1], ptr[2]), slice(ptr[2], ptr[3])),
    )
    for what, one, two in pairs if binary else pairs[:1]:
        for component in ("risk", "testing"):
            names = statistics[f"{component}_term"].values
            for name, column in zip(names, statistics[f"{component}_columns"].values, strict=True):
                if _apart(column[one], column[two]) and (what, str(name)) not in found:
                    found.append((what, str(name)))
    if not found:
        return []
    told = "; ".join(f"{what} by {name}" for what, name in found[:5])
    text = f"{len(found)} covariates separate completely (none should): {told}."
    advice = "The likelihood bounds such an effect on one side only; its size is the prior's. Read fit.sensitivity()."
    return [CheckResult("separated", Status.WARN, text, advice)]


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    if not (len(a) and len(b)):
        return False
    return bool(a.max() < b.min() or b.max() < a.min())
