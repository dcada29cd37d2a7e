"""Whether the sums over an item's effect are exact enough: doubled nodes at draws of the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeskit import CheckResult, Status
from bayeskit_models.benchmarks.predictor import pooled, predictor_of
from bayeskit_models.benchmarks.units import log_units

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit

__all__ = ["quadrature_check"]

_DRAWS = 4
_LIMIT = 0.01  # nats of the total log likelihood


def quadrature_check(fit: BenchmarkFit) -> tuple[CheckResult, ...]:
    """Compare the log likelihood with half the spacing of the nodes at a few draws, the narrowest and the widest among them."""
    statistics = fit._need_statistics("check the quadrature")
    if statistics.attrs["integrated"] == "none" or fit.spec.law.linear:
        return ()  # nothing is summed
    values = pooled(fit.posterior)
    order = np.argsort(values["item_sd" if statistics.attrs["integrated"] == "item" else "run_sd"])
    chosen = order[np.linspace(0, len(order) - 1, _DRAWS).astype(int)]
    found = predictor_of(fit.spec, {n: v[chosen] for n, v in values.items()}, statistics, fit.dials)
    weight = statistics["unit_weight"].values
    finer, used = (log_units(fit.spec, found, statistics, fine) @ weight for fine in (2.0, 1.0))
    error = float(np.abs(finer - used).max())
    text = f"Halving the spacing of the nodes moves the log likelihood by at most {error:.2g} at {_DRAWS} posterior draws"
    if error <= _LIMIT:
        return (CheckResult("quadrature", Status.PASS, f"{text} (limit {_LIMIT})."),)
    advice = "Please report this table: the nodes are laid out so that it cannot happen."
    return (CheckResult("quadrature", Status.FAIL, f"{text}, over the limit {_LIMIT}.", advice),)
