"""Simulation-based calibration: does the fit recover what it was simulated from?

Parameters are drawn from the prior, data from the likelihood, and the rank of each true value among its posterior draws
must be uniform (Talts et al. 2018). Ranks of parameters alone cannot see a posterior that ignores the data, so the log
likelihood and the headline estimands are ranked too (Modrak et al. 2023). Uniformity is judged by the difference of the
empirical distribution function from the diagonal against a simultaneous band (Säilynoja et al. 2022). One compiled model
serves all simulations.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.engine import Sampling, compiled_for, sample
from bayeskit.errors import BayeskitError, SpecificationError
from bayeskit.graph import LOG_LIKELIHOOD
from bayeskit.progress import SamplingProgress
from bayeskit.summary import flatten

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder
    from bayeskit.report.content import Figure

__all__ = ["Calibration", "calibrate", "ecdf_band"]

LOG_LIKELIHOOD_LABEL = "log likelihood"


def ecdf_band(simulations: int, ranks: int, prob: float = 0.95, replicates: int = 4000) -> float:
    """Half-width of a simultaneous band for standardised ECDF differences of uniform ranks.

    Parameters
    ----------
    simulations : int
        Number of ranks.
    ranks : int
        Number of values a rank can take (draws + 1).
    prob : float
        Simultaneous probability of the band.
    replicates : int
        Uniform samples by which the band is found (seeded, so the band is a fixed number).

    Returns
    -------
    float
        Bound on ``max_t |ECDF(t) - t| / sqrt(t (1 - t) / simulations)`` over the inner points.
    """
    rng = np.random.default_rng(20220110)
    draws = rng.integers(0, ranks, size=(replicates, simulations))
    return float(np.quantile([_statistic(row, ranks)[0] for row in draws], prob))


def _statistic(ranks: np.ndarray, count: int) -> tuple[float, np.ndarray]:
    """Largest standardised ECDF difference, and the differences themselves."""
    grid = np.arange(1, count) / count
    ecdf = np.cumsum(np.bincount(ranks, minlength=count))[:-1] / len(ranks)
    difference = ecdf - grid
    return float(np.max(np.abs(difference) / np.sqrt(grid * (1 - grid) / len(ranks)))), difference


@dataclass(frozen=True)
class Calibration:
    """Ranks of true values among posterior draws, and what they say.

    Attributes
    ----------
    ranks : dict of str to ndarray of int, shape (simulations,)
        By test quantity.
    count : int
        Number of values a rank can take.
    statistics : dict of str to float
        Largest standardised ECDF difference by quantity.
    bound : float
        Its limit at the simultaneous level, corrected for the number of quantities.
    failed : int
        Simulations whose fit could not be run or did not mix (R-hat over 1.05); they are counted, never dropped silently.
    simulations : int
        Simulations asked for.
    seconds : float
        Wall time.
    """

    ranks: dict[str, np.ndarray]
    count: int
    statistics: dict[str, float]
    bound: float
    failed: int
    simulations: int
    seconds: float
    seed: int

    @property
    def passed(self) -> bool:
        """True if every quantity is inside its band and at most 5 % of the fits failed."""
        return self.failed <= 0.05 * self.simulations and all(v <= self.bound for v in self.statistics.values())

    @property
    def offenders(self) -> tuple[str, ...]:
        """Quantities outside the band, worst first."""
        bad = [k for k, v in self.statistics.items() if v > self.bound]
        return tuple(sorted(bad, key=lambda k: -self.statistics[k]))

    def __repr__(self) -> str:
        state = "PASS" if self.passed else "FAIL"
        lines = [
            f"{state}: simulation-based calibration, {self.simulations} simulations, {len(self.statistics)} test quantities, "
            f"{self.failed} failed fits, seed {self.seed}, {self.seconds:.0f} s"
        ]
        lines += [f"  outside the band: {k} ({self.statistics[k]:.2f} > {self.bound:.2f})" for k in self.offenders]
        return "\n".join(lines)

    def plot(self, quantities: tuple[str, ...] | None = None) -> Figure:
        """ECDF-difference plot of the worst quantities (or of those named), with the band."""
        from bayeskit.report.figures import ecdf_difference_plot

        names = quantities or tuple(sorted(self.statistics, key=lambda k: -self.statistics[k])[:6])
        curves = {n: _statistic(self.ranks[n], self.count)[1] for n in names}
        size = len(next(iter(self.ranks.values())))
        return ecdf_difference_plot(curves, self.count, size, self.bound)


def calibrate(
    spec: ModelBuilder,
    *,
    simulations: int = 200,
    seed: int = 0,
    draws: int = 250,
    tune: int = 500,
    chains: int = 2,
    ranks: int = 100,
    prob: float = 0.95,
    progress: bool = True,
    target_accept: float | None = None,
    dials: Mapping[str, float] | None = None,
    fit_dials: Mapping[str, float] | None = None,
    **sizes: Any,
) -> Calibration:
    """Run simulation-based calibration.

    Parameters
    ----------
    spec : ModelBuilder
        The specification to calibrate.
    simulations : int
        Number of simulated data sets.
    seed : int
        Root seed; simulation i depends on it and on i alone.
    draws, tune, chains : int
        Sampling of each fit.
    ranks : int
        Posterior draws (thinned, nearly independent) against which a true value is ranked.
    prob : float
        Simultaneous probability of the band, over all quantities.
    dials : mapping, optional
        Dials of the simulating prior and of the fit.
    fit_dials : mapping, optional
        Dials of the fit alone, to plant a bug: calibration must then fail.
    **sizes
        Design of the simulated tables, as `simulate` takes it.

    Returns
    -------
    Calibration
    """
    clock = time.perf_counter()
    if simulations < 20:
        raise SpecificationError(f"simulations={simulations}: at least 20 are needed to say anything.")
    collected: dict[str, list[int]] = {}
    failed = 0
    thin_to = min(ranks, draws * chains)
    with SamplingProgress(progress) as bar:
        bar.stage("Calibrating", total=simulations)
        for index, child in enumerate(np.random.SeedSequence(seed).spawn(simulations)):
            settings = Sampling(
                draws, tune, chains, int(child.generate_state(1)[0]), target_accept=target_accept, progress=False
            )
            try:
                one = _one(spec, child, settings, thin_to, dials, fit_dials, sizes)
            except BayeskitError:
                one = None
            if one is None:
                failed += 1
            else:
                for name, rank in one.items():
                    collected.setdefault(name, []).append(rank)
            bar.step(index + 1, f", {failed} failed" if failed else "")
    if not collected:
        raise SpecificationError(f"Every one of {simulations} simulated fits failed: run one by hand to see why.")
    table = {k: np.array(v) for k, v in collected.items()}
    used = {k: _statistic(v, thin_to + 1)[0] for k, v in table.items()}
    kept = len(next(iter(table.values())))
    bound = ecdf_band(kept, thin_to + 1, 1.0 - (1.0 - prob) / max(1, len(used)), replicates=20_000)
    return Calibration(table, thin_to + 1, used, bound, failed, simulations, round(time.perf_counter() - clock, 1), seed)


def _one(
    spec: ModelBuilder,
    child: np.random.SeedSequence,
    settings: Sampling,
    thin_to: int,
    dials: Mapping[str, float] | None,
    fit_dials: Mapping[str, float] | None,
    sizes: Mapping[str, Any],
) -> dict[str, int] | None:
    """Ranks of one simulation, or None if its chains did not mix."""
    from bayeskit.checks import diagnostics

    rng = np.random.default_rng(child)
    simulation = spec.simulate(rng, dials=dials, **sizes)
    statistics = spec.statistics(simulation.table)
    used = spec.set_dials(statistics, {**(dials or {}), **(fit_dials or {})})
    raw = sample(spec, statistics, used, settings)
    posterior = raw.draws["posterior"].to_dataset()
    likelihood = posterior[LOG_LIKELIHOOD].values[:, :, None]
    names = [a.name for a in spec.assumptions(statistics) if a.prior is not None]
    draws, truth = posterior[names], _as_draws(simulation.parameters, posterior[names])
    # Latent effects are many and exchangeable: rank the first few of each variable.
    labels, values = _test_quantities(spec, draws, statistics)
    _, true_values = _test_quantities(spec, truth, statistics)
    compiled = compiled_for(spec, statistics)
    at_truth = compiled.log_likelihood(statistics, used, simulation.parameters)
    labels.append(LOG_LIKELIHOOD_LABEL)
    values = np.concatenate([values, likelihood], axis=2)
    true_values = np.append(true_values[0, 0], at_truth)
    if np.nanmax(diagnostics(values)["r_hat"]) > 1.1:
        return None
    pooled = values.reshape(-1, values.shape[2])
    thinned = pooled[np.linspace(0, len(pooled) - 1, thin_to).astype(int)]
    below = (thinned < true_values).sum(0)
    ties = (thinned == true_values).sum(0)
    ranks = below + rng.integers(0, ties + 1)
    return dict(zip(labels, map(int, ranks), strict=True))


def _as_draws(parameters: Mapping[str, np.ndarray], like: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(
        {n: (like[n].dims, np.asarray(parameters[n], dtype=float)[None, None]) for n in like.data_vars},
        coords={k: v for k, v in like.coords.items() if k not in ("chain", "draw")},
    )


def _test_quantities(spec: ModelBuilder, draws: xr.Dataset, statistics: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """The first elements of every variable, and every headline estimand."""
    per_variable = 4
    labels, blocks = [], []
    for name in draws.data_vars:
        names, values = flatten(draws[[name]])
        labels += names[:per_variable]
        blocks.append(values[:, :, :per_variable])
    estimands = spec.estimands(draws, statistics)
    headline = [n for n, v in estimands.data_vars.items() if v.attrs.get("headline")]
    names, values = flatten(estimands[headline])
    return labels + [f"estimand {n}" for n in names], np.concatenate([*blocks, values], axis=2)
