"""The table of everything an answer rests on: each assumption against each quantity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.assumptions import Assumption
from bayeskit.errors import SpecificationError, StorageError, suggest
from bayeskit.prior_check import log_prior
from bayeskit.sensitivity.derivative import DialDerivative, dial_derivative, natural_step
from bayeskit.sensitivity.ladder import rungs
from bayeskit.sensitivity.power import Order, PowerScaling, power_scaling
from bayeskit.sensitivity.result import Row, Sensitivity
from bayeskit.sensitivity.verify import refitted_rows, verified
from bayeskit.sensitivity.weights import k_hat_limit
from bayeskit.summary import flatten

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = ["THRESHOLD", "sensitivity"]

THRESHOLD = 0.05
"""Power-scaling index from which a quantity counts as sensitive (Kallioinen et al. 2024, section 3.3)."""

TOP = ("structural", "hyper", "constraint")
"""Levels of assumptions that are looked at unless others are asked for. Latent and imputed parts are the model's own
predictions of what was not seen: scaling them as if they were a prior hides what the prior does."""

FloatArray = NDArray[np.float64]


def sensitivity(
    fit: Fit,
    quantities: Sequence[str] | Mapping[str, Callable[..., Any]] | None = None,
    assumptions: str | Sequence[str] = "top",
    prob: float = 0.95,
    ladder: Any = ("reweight",),
    verify: bool = False,
    **sampling: Any,
) -> Sensitivity:
    """Ask of every assumption how far it moves every quantity; see `Fit.sensitivity`."""
    fit._need_design("be analysed for sensitivity")
    climbs = rungs(ladder)
    if sampling and not verify and "refit" not in climbs:
        raise SpecificationError(f"{next(iter(sampling))} is for refits: there are none without ladder='auto' or verify=True.")
    names, values = _quantities(fit, quantities)
    chosen = _assumptions(fit, assumptions)
    usable = np.isfinite(values).all((0, 1)) & (np.ptp(values.reshape(-1, len(names)), axis=0) > 0)
    safe = np.where(usable, values, 0.0)
    prior, total = fit.draws["log_prior"].to_dataset(), fit.draws["log_likelihood"].to_dataset()["total"]
    order = Order.of(safe.reshape(-1, len(names)))
    likelihood = power_scaling(total.transpose("chain", "draw").values, safe, order)
    rows: list[Row] = []

    def draws_of(other: Fit) -> FloatArray:
        return _quantities(other, quantities)[1]

    for assumption in chosen:
        scaled = power_scaling(_component(prior, assumption), safe, order) if assumption.name in prior else None
        turned = [d for name in assumption.dials if (d := _turn(fit, assumption, name, safe)) is not None]
        own = [_row(assumption, name, q, bool(usable[q]), scaled, likelihood, turned) for q, name in enumerate(names)]
        if "refit" in climbs and scaled is not None and scaled.computed and not scaled.reliable and usable.all():
            own = refitted_rows(fit, own, draws_of, _judge, sampling)
        rows += own
    check = verified(fit, rows, names, draws_of, sampling) if verify else None
    return Sensitivity(tuple(rows), prob, k_hat_limit(values.shape[0] * values.shape[1]), THRESHOLD, check)


def _quantities(fit: Fit, asked: Sequence[str] | Mapping[str, Callable[..., Any]] | None) -> tuple[list[str], FloatArray]:
    """Names and draws (chains, draws, Q) of the quantities."""
    if isinstance(asked, Mapping):
        shape = fit.estimands.sizes["chain"], fit.estimands.sizes["draw"]
        found = {str(k): np.asarray(f(fit.estimands), dtype=float) for k, f in asked.items()}
        bad = [k for k, v in found.items() if v.shape != shape]
        if bad:
            raise SpecificationError(
                f"quantities[{bad[0]!r}] gave an array of shape {found[bad[0]].shape}: one number for every draw is needed, "
                f"shape {shape} (chain, draw)."
            )
        return list(found), np.stack(list(found.values()), axis=-1)
    wanted = list(fit._headline()) if asked is None else list(asked)
    for name in wanted:
        if name not in fit.estimands:
            raise SpecificationError(f"No estimand named {name!r}.{suggest(name, map(str, fit.estimands))}")
    if not wanted:
        raise SpecificationError("quantities is empty: name an estimand, or leave it out for the headline ones.")
    return flatten(fit.estimands[wanted])


def _assumptions(fit: Fit, asked: str | Sequence[str]) -> list[Assumption]:
    known = {a.name: a for a in fit.assumptions}
    if asked == "top":
        return [a for a in known.values() if a.level in TOP]
    if asked == "all":
        return list(known.values())
    wanted = [asked] if isinstance(asked, str) else list(asked)
    for name in wanted:
        if name not in known:
            raise SpecificationError(
                f"No assumption named {name!r}.{suggest(name, known)} Give names, 'top' (no latent or imputed ones) or 'all'."
            )
    return [known[name] for name in wanted]


def _component(prior: Any, assumption: Assumption) -> FloatArray:
    return np.asarray(prior[assumption.name].transpose("chain", "draw").values, dtype=float)


def _turn(fit: Fit, assumption: Assumption, name: str, quantities: FloatArray) -> DialDerivative | None:
    """Derivative for one dial: 0 where it enters the likelihood alone, None where the density needs rows that are not kept."""
    dial, zero = assumption.dials[name], np.zeros(quantities.shape[:2])
    spec, draws = fit.spec, fit.posterior
    statistics = fit._at_hand("be analysed for sensitivity")

    def log_density(dials: Mapping[str, float]) -> FloatArray:
        return log_prior(spec, statistics, dials, draws, only=assumption.name).get(assumption.name, zero)

    try:
        return dial_derivative(log_density, dial, natural_step(assumption, dial, fit.dials), fit.dials, quantities)
    except StorageError:
        return None


def _row(
    assumption: Assumption,
    quantity: str,
    q: int,
    usable: bool,
    scaled: PowerScaling | None,
    likelihood: PowerScaling,
    turned: list[DialDerivative],
) -> Row:
    found = [(float(d.shift[q]), float(d.mcse[q]), d.dial, d.step) for d in turned if usable and math.isfinite(d.shift[q])]
    shift, mcse, dial, step = max(found, key=lambda f: abs(f[0]), default=(math.nan, math.nan, "", math.nan))
    index = float(scaled.index[q]) if scaled is not None and usable else math.nan
    against = float(likelihood.index[q]) if usable else math.nan
    return Row(
        quantity=quantity,
        assumption=assumption.name,
        level=assumption.level,
        index=index,
        likelihood_index=against,
        direction=float(scaled.direction[q]) if scaled is not None and usable else math.nan,
        k_hat=scaled.k_hat if scaled is not None else math.nan,
        ess=scaled.ess if scaled is not None else math.nan,
        dial=dial,
        step=step,
        shift=shift,
        shift_mcse=mcse,
        state=_state(index, against, scaled),
        how="reweighted" if scaled is not None else _why_not(assumption),
    )


def _state(index: float, likelihood: float, scaled: PowerScaling | None) -> str:
    if scaled is None or not scaled.computed or not math.isfinite(index):
        return "not computed"
    if not scaled.reliable:
        return "unreliable"
    return _judge(index, likelihood)


def _judge(index: float, likelihood: float) -> str:
    if index < THRESHOLD:
        return "ok"
    return "conflict" if likelihood >= THRESHOLD else "sensitive"


def _why_not(assumption: Assumption) -> str:
    if assumption.setting:
        return f"fit again with another {assumption.setting}"
    if assumption.dials:
        return f"refit(dials={{'{next(iter(assumption.dials))}': ...}})"
    return "a structural choice without a number"
