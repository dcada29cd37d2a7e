"""The gate: whether the draws converged, so that anybody may read numbers off them.

PyMC runs no convergence check when nutpie samples, and ArviZ's own `diagnose` passes constant and all-NaN
variables, looks for tree depth under a name that nutpie does not use, and accepts one chain. So the gate is
ours; R-hat and effective sample sizes are ArviZ's arithmetic. Thresholds follow Vehtari, Gelman, Simpson,
Carpenter and Buerkner (2021, Bayesian Analysis 16:667) for R-hat and sample sizes and the Stan reference
manual for E-BFMI and tree depth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeskit.convergence import Survey, diagnostics, element_name
from bayeskit.verdict import CheckResult, Status, Verdict

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CheckResult", "Status", "Verdict", "diagnostics", "overlap", "overlap_note", "run_checks"]

R_HAT_MAX = 1.01
ESS_MIN = 400.0
MCSE_MAX = 0.05  # of the posterior sd, for headline quantities
CHAINS_MIN = 4
DIVERGENT_FAIL = 0.001  # share of draws; any divergence at all is a warning
DEPTH_WARN = 0.05  # share of the draws of one chain
BFMI_WARN = 0.3  # Stan's limit
BFMI_FAIL = 0.2  # posteriordb admits no reference draws at or below it
OVERLAP_NOTE = 0.35  # Gimenez, Morgan and Brooks (2009): weak identifiability above it
WORST = 5

DEPTH_NAMES = ("maxdepth_reached", "reached_max_treedepth")  # nutpie's and PyMC's


def run_checks(
    draws: xr.DataTree,
    *,
    fixed: Collection[str] = (),
    headline: Collection[str] = (),
    partial: bool = False,
    extra: Iterable[CheckResult] = (),
    approximation: CheckResult | None = None,
) -> Verdict:
    """Check draws: chains, NaN, movement, R-hat, sample sizes, precision, divergences, tree depth, energy.

    Parameters
    ----------
    draws : DataTree
        Groups ``posterior`` (required), ``estimands`` and ``sample_stats``, each with dims chain and draw.
        Sampler statistics are understood by nutpie's and by PyMC's names.
    fixed : collection of str
        Variables (``"tau"``) or elements (``"corr[0, 0]"``) that are constant or undefined by construction
        and are left out. A whole-number or boolean estimand that is the same in every draw (the rank of a
        clear winner) need not be named: it is an answer, not a fault.
    headline : collection of str
        Variables whose mean must be known to 5 % of a posterior sd. Default: the estimands whose attribute
        ``headline`` is true, or else every estimand.
    partial : bool
        True if sampling was interrupted.
    extra : iterable of CheckResult
        Results of other checks, put at the end.
    approximation : CheckResult, optional
        For draws of an approximation: the check of it, which takes the place of the three that are about a sampler.

    Returns
    -------
    Verdict
        Nine results, or seven of an approximation. A slow or unidentified parameter whose estimands all
        converged is WARN; a bad estimand is FAIL.

    Raises
    ------
    SpecificationError
        If `draws` has no posterior with dims chain and draw, or a `headline` name is in neither group.
    """
    posterior, estimands, stats = (_group(draws, g) for g in ("posterior", "estimands", "sample_stats"))
    _validate(posterior, estimands, headline)
    assert posterior is not None  # _validate saw to it
    divergent = _stat(stats, ("diverging",))
    survey = Survey.of(
        posterior,
        estimands,
        fixed=frozenset(fixed),
        headline=frozenset(headline),
        divergent=None if divergent is None else divergent > 0,
    )
    return Verdict(
        (
            _check_chains(survey.chains, survey.draws),
            _check_finite(survey),
            _check_moving(survey),
            _check_r_hat(survey),
            _check_ess(survey),
            _check_precision(survey),
            *(_of_sampler(survey, divergent, stats) if approximation is None else (approximation,)),
            *extra,
        ),
        partial,
        "" if approximation is None else f"{approximation.name.upper()} APPROXIMATION",
    )


def _of_sampler(
    survey: Survey, divergent: NDArray[np.float64] | None, stats: xr.Dataset | None
) -> tuple[CheckResult, CheckResult, CheckResult]:
    energy = _check_energy(_stat(stats, ("energy",)))
    return _check_divergences(survey, divergent), _check_depth(_stat(stats, DEPTH_NAMES)), energy


def _group(draws: Any, name: str) -> xr.Dataset | None:
    if name not in draws:
        return None
    group = draws[name]
    dataset: xr.Dataset = group.to_dataset() if hasattr(group, "to_dataset") else group
    return dataset


def _stat(stats: xr.Dataset | None, names: Iterable[str]) -> NDArray[np.float64] | None:
    for name in names:
        if stats is not None and name in stats:
            values = np.asarray(stats[name].transpose("chain", "draw", ...).values, dtype=float)
            return values if values.size and np.isfinite(values).all() else None
    return None


def _validate(posterior: xr.Dataset | None, estimands: xr.Dataset | None, headline: Collection[str]) -> None:
    from bayeskit.errors import SpecificationError, suggest

    if posterior is None or not {"chain", "draw"} <= set(posterior.dims) or not posterior.data_vars:
        raise SpecificationError("draws has no group 'posterior' with variables of dims chain and draw: nothing to check.")
    known = [str(n) for g in (estimands, posterior) if g is not None for n in g.data_vars]
    for name in headline:
        if name not in known:
            raise SpecificationError(f"headline names '{name}', which is not in the draws.{suggest(name, known)}")


def _worst(survey: Survey, mask: NDArray[np.bool_], badness: NDArray[np.float64]) -> list[int]:
    found = np.flatnonzero(mask)
    key = np.where(np.isnan(badness[found]), np.inf, badness[found])
    return [int(i) for i in found[np.argsort(-key, kind="stable")][:WORST]]


def _rows(survey: Survey, elements: Iterable[int], **columns: NDArray[np.float64]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "quantity": survey.name(i),
            "kind": "estimand" if survey.estimand[i] else "parameter",
            **{k: float(v[i]) for k, v in columns.items()},
        }
        for i in elements
    )


def _check_chains(chains: int, draws: int) -> CheckResult:
    text = f"{chains} chain{'s' if chains != 1 else ''} of {draws} draws (at least {CHAINS_MIN} chains to pass)."
    if chains >= CHAINS_MIN:
        return CheckResult("chains", Status.PASS, text)
    advice = f"Sample chains={CHAINS_MIN} or more: only chains that agree show that none was lost."
    return CheckResult("chains", Status.FAIL if chains < 2 else Status.WARN, text, advice)


def _check_finite(s: Survey) -> CheckResult:
    bad = s.bad & ~s.fixed
    if not bad.any():
        return CheckResult("finite", Status.PASS, f"All {bad.size} quantities are finite in every draw.")
    worst = _worst(s, bad, np.zeros(bad.size))
    return CheckResult(
        "finite",
        Status.FAIL,
        f"{int(bad.sum())} of {bad.size} quantities hold NaN or infinite draws, such as {s.name(worst[0])}.",
        "A NaN is a fault of the model's arithmetic or of the data: find the draw where it begins. "
        "Name a quantity that is undefined by construction in `fixed`.",
        _rows(s, worst),
    )


def _check_moving(s: Survey) -> CheckResult:
    still = s.constant & ~s.fixed
    settled = still & s.whole
    bad = still & ~settled
    if bad.any():
        worst = _worst(s, bad, np.zeros(bad.size))
        return CheckResult(
            "moving",
            Status.FAIL,
            f"{int(bad.sum())} of {bad.size} quantities never move, such as {s.name(worst[0])}.",
            "The sampler was stuck, or the quantity is constant by construction: then name it in `fixed`.",
            _rows(s, worst),
        )
    note = f" {int(settled.sum())} whole-number estimands are the same in every draw." if settled.any() else ""
    return CheckResult("moving", Status.PASS, f"Every quantity that can vary does.{note}")


def _graded(s: Survey, bad: NDArray[np.bool_]) -> Status:
    if (bad & s.answers).any():
        return Status.FAIL
    return Status.WARN if bad.any() else Status.PASS


def _judge(
    s: Survey, name: str, label: str, values: NDArray[np.float64], limit: str, bad: NDArray[np.bool_],
    badness: NDArray[np.float64], advice: str, columns: Mapping[str, NDArray[np.float64]],
) -> CheckResult:  # fmt: skip
    """Tell R-hat and sample size in the same way: worst value, how many, whether an answer is among them."""
    active = s.active
    if not active.any() or np.isnan(values[active]).all():
        text = f"{label} cannot be computed from {s.chains} chain{'s' * (s.chains != 1)} of {s.draws} draws."
        return CheckResult(name, Status.NOT_COMPUTED, text, "Sample at least 4 chains of 1000 draws.")
    status = _graded(s, bad)
    worst = _worst(s, active if status is Status.PASS else bad, badness)
    figure = f"{s.name(worst[0])} at {_near_limit(values[worst[0]])}"
    if status is Status.PASS:
        text = f"{label} meets the limit ({limit}) for all {int(active.sum())} quantities; worst: {figure}."
        return CheckResult(name, status, text, "", _rows(s, worst, **columns))
    count = f"{int(bad.sum())} of {int(active.sum())} quantities"
    text = f"{label} misses the limit ({limit}) for {count}; worst: {figure}."
    if status is Status.WARN:
        text += " Every estimand meets it: the answers have converged, these parameters have not."
        advice = "Do not report these parameters by themselves. " + advice
    else:
        answers = _worst(s, bad & s.answers, badness)
        if not s.answers[worst[0]]:
            text += f" Among the answers the worst is {s.name(answers[0])} at {_near_limit(values[answers[0]])}."
        worst = (answers + [i for i in worst if i not in answers])[:WORST]
    return CheckResult(name, status, text, advice, _rows(s, worst, **columns))


def _check_r_hat(s: Survey) -> CheckResult:
    values = s.measures["r_hat"]
    bad = s.active & ~(values <= R_HAT_MAX)
    advice = (
        "The chains disagree. Sample longer (tune and draws doubled); if it stays, look at the divergences, "
        "raise target_accept to 0.99, or give the quantity a tighter prior."
    )
    return _judge(s, "r_hat", "R-hat", values, f"at most {R_HAT_MAX}", bad, values, advice, {"r_hat": values})


def _check_ess(s: Survey) -> CheckResult:
    bulk, tail = s.measures["ess_bulk"], s.measures["ess_tail"]
    lower = np.fmin(bulk, tail)
    bad = s.active & ~((bulk >= ESS_MIN) & (tail >= ESS_MIN))
    advice = _more_draws(lower[bad], s.draws)
    limit = f"at least {ESS_MIN:g}, bulk and tail"
    columns = {"ess_bulk": bulk, "ess_tail": tail}
    return _judge(s, "ess", "Effective sample size", lower, limit, bad, -lower, advice, columns)


def _more_draws(ess: NDArray[np.float64], draws: int) -> str:
    smallest = float(np.nanmin(ess)) if ess.size and not np.isnan(ess).all() else ESS_MIN
    factor = max(1.25 * ESS_MIN / max(smallest, 1.0), 2.0)
    if factor > 20:
        return "The chains hardly move: more draws alone will not do; mend R-hat and divergences first."
    needed = max(500, round(draws * factor / 500) * 500)
    return f"Sample more: about {needed} draws per chain, if they keep mixing as they do."


def _check_precision(s: Survey) -> CheckResult:
    share = s.measures["mcse_mean"] / s.measures["sd"]
    chosen = s.active & s.headline
    if not chosen.any():
        chosen = s.active & s.answers
    if not chosen.any() or np.isnan(share[chosen]).all():
        text = "The Monte Carlo error of the headline quantities cannot be computed."
        return CheckResult("mcse", Status.NOT_COMPUTED, text, "Sample at least 4 chains of 1000 draws.")
    bad = chosen & ~(share <= MCSE_MAX)
    worst = _worst(s, bad if bad.any() else chosen, share)
    figure = f"{100 * share[worst[0]]:.1f} % ({s.name(worst[0])})"
    count = int(chosen.sum())
    text = f"Monte Carlo error of {count} headline means: at most {figure} of a posterior sd (limit 5 %)."
    rows = _rows(s, worst, mcse_mean=s.measures["mcse_mean"], sd=s.measures["sd"])
    if not bad.any():
        return CheckResult("mcse", Status.PASS, text, "", rows)
    advice = "Sample more draws before quoting these numbers: four times as many halve the error."
    return CheckResult("mcse", Status.FAIL, text, advice, rows)


def _check_divergences(s: Survey, divergent: NDArray[np.float64] | None) -> CheckResult:
    if divergent is None:
        text = "The draws carry no record of divergences."
        return CheckResult("divergences", Status.NOT_COMPUTED, text, "Keep the group sample_stats with the draws.")
    count, total = int((divergent > 0).sum()), divergent.size
    if count == 0:
        return CheckResult("divergences", Status.PASS, f"None of {total} draws diverged.")
    by_chain = ", ".join(f"{int(c)}" for c in (divergent > 0).sum(axis=1))
    text = f"{count} of {total} draws diverged ({100 * count / total:.2g} %; by chain: {by_chain})."
    rows = _where(s)
    if rows:
        first = rows[0]
        text += (
            f" They gather where {first['quantity']} is {'low' if first['shift_in_sd'] < 0 else 'high'} "
            f"(mean {_short(first['mean_divergent'])} there, {_short(first['mean'])} overall)."
        )
    advice = "Raise target_accept to 0.95, then 0.99; if they stay, reparameterise the part named here."
    return CheckResult("divergences", Status.FAIL if count >= DIVERGENT_FAIL * total else Status.WARN, text, advice, rows)


def _where(s: Survey) -> tuple[dict[str, Any], ...]:
    """Parameters whose mean at the divergences is farthest from their mean: the neck of the funnel."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (s.divergent_mean - s.measures["mean"]) / s.measures["sd"]
    known = s.active & ~s.estimand & np.isfinite(shift)
    worst = _worst(s, known, np.abs(shift))[:3]
    return _rows(s, worst, mean_divergent=s.divergent_mean, mean=s.measures["mean"], shift_in_sd=shift)


def _check_depth(saturated: NDArray[np.float64] | None) -> CheckResult:
    if saturated is None:
        text = f"The draws carry no record of tree depth ({' or '.join(DEPTH_NAMES)})."
        return CheckResult("tree_depth", Status.NOT_COMPUTED, text, "Keep the group sample_stats with the draws.")
    share = (saturated > 0).mean(axis=1)
    worst = int(share.argmax())
    text = f"{int((saturated > 0).sum())} of {saturated.size} draws reached the largest tree depth"
    if share[worst] <= DEPTH_WARN:
        return CheckResult("tree_depth", Status.PASS, f"{text} (at most {100 * share[worst]:.2g} % of a chain; limit 5 %).")
    text += f", {100 * share[worst]:.2g} % of chain {worst} (limit 5 %)."
    advice = "Trajectories were cut short, which is slow rather than wrong: raise maxdepth or rescale parameters."
    table = tuple({"chain": i, "share": float(v)} for i, v in enumerate(share))
    return CheckResult("tree_depth", Status.WARN, text, advice, table)


def _check_energy(energy: NDArray[np.float64] | None) -> CheckResult:
    if energy is None or energy.shape[1] < 2 or (np.ptp(energy, axis=1) == 0).any():
        text = "The draws carry no usable record of the energy."
        return CheckResult("energy", Status.NOT_COMPUTED, text, "Keep the group sample_stats with the draws.")
    # Betancourt (2016): mean squared change of the energy between draws, over its variance, in each chain.
    fraction = (np.diff(energy, axis=1) ** 2).mean(axis=1) / energy.var(axis=1, ddof=1)
    worst = int(fraction.argmin())
    text = f"E-BFMI is at least {fraction[worst]:.2g} in every chain (limit {BFMI_WARN})."
    if fraction[worst] >= BFMI_WARN:
        return CheckResult("energy", Status.PASS, text)
    status = Status.FAIL if fraction[worst] <= BFMI_FAIL else Status.WARN
    text = f"E-BFMI is {fraction[worst]:.2g} in chain {worst} (limit {BFMI_WARN}): tails are explored slowly."
    advice = "Reparameterise: a heavy-tailed or funnel-shaped part of the posterior; more tuning seldom cures it."
    return CheckResult(
        "energy",
        status,
        text,
        advice,
        tuple({"chain": i, "e_bfmi": float(v)} for i, v in enumerate(fraction)),
    )


def overlap(prior: ArrayLike, posterior: ArrayLike, bins: int = 16) -> float:
    """Overlap of two sets of draws of one quantity: 1 where they are the same, 0 where they are apart.

    Parameters
    ----------
    prior, posterior : array_like
        Draws of one scalar, of any shape; finite.
    bins : int
        Bins of equal pooled probability, an even number. Few of them, so that some hundred prior draws do not
        look like a difference.

    Returns
    -------
    float
        Integral of the smaller of the two densities (Gimenez, Morgan, Brooks 2009).
    """
    a, b = (np.asarray(v, dtype=float).ravel() for v in (prior, posterior))
    size = min(a.size, b.size)
    pooled = np.concatenate([v[np.linspace(0, v.size - 1, size).astype(int)] for v in (a, b)])
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [np.bincount(np.searchsorted(edges, v), minlength=edges.size + 1) / v.size for v in (a, b)]
    return float(np.minimum(*shares).sum())


def overlap_note(prior: xr.Dataset, posterior: xr.Dataset) -> CheckResult:
    """Tell which parameters learned little from the data. A note: it is never a warning, let alone a failure.

    Parameters
    ----------
    prior, posterior : Dataset
        Draws with dims chain and draw; only variables of both with the same shape are compared.

    Returns
    -------
    CheckResult
        Status PASS (NOT COMPUTED where there is nothing to compare), with the largest overlaps in the table.
    """
    found: list[tuple[float, str]] = []
    for name in posterior.data_vars:
        if name in prior:
            after = posterior[name].transpose("chain", "draw", ...)
            before = prior[name].transpose("chain", "draw", *after.dims[2:])
            x, y = (v.values.reshape(v.shape[0] * v.shape[1], -1) for v in (before, after))
            usable = [i for i in range(min(x.shape[1], y.shape[1])) if np.isfinite(y[:, i]).all()]
            found += [(overlap(x[:, i], y[:, i]), element_name(after, i)) for i in usable]
    if not found:
        return CheckResult("overlap", Status.NOT_COMPUTED, "There are no prior draws to compare with the posterior.")
    found.sort(key=lambda pair: -pair[0])
    rest = [pair for pair in found if pair[0] > OVERLAP_NOTE]
    text = (
        f"{len(rest)} of {len(found)} parameters share more than {100 * OVERLAP_NOTE:.0f} % "
        f"of their posterior with their prior; most {found[0][1]} ({100 * found[0][0]:.0f} %)."
    )
    advice = "The data say little about them: read the sensitivity analysis before their numbers." if rest else ""
    table = tuple({"quantity": name, "overlap": value} for value, name in found[:WORST])
    return CheckResult("overlap", Status.PASS, text, advice, table)


def _short(value: float) -> str:
    return f"{value:.4g}"


def _near_limit(value: float) -> str:
    """With digits enough that an R-hat of 1.0104 does not read as the limit that it misses."""
    return f"{value:.4f}" if value < 10.0 else _short(value)
