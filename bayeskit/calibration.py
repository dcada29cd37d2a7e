"""Simulation-based calibration, which asks whether a fit recovers what it was simulated from.

Parameters are drawn from the prior, data from the likelihood, and the rank of each true value among its
posterior draws must be uniform (Talts et al. 2018). Ranks of parameters alone cannot see a posterior that
ignores the data, so the log likelihood is ranked too (Modrak et al. 2023), and every quantity is tested a
second time *given the data*: ranks are uniform whatever the data were, so they stay uniform when they are
turned round in the simulations whose data speak for a small value. A graph whose likelihood is lost fails
there; its own log likelihood, lost too, would notice nothing. Uniformity is judged by the difference of the
empirical distribution function from the diagonal against a simultaneous band (Säilynoja et al. 2022). A
quantity outside it is simulated again under fresh seeds and counts when it is outside twice, so that a sound
model is accused at most once in 400 times and not once in 20. One compiled model serves all simulations.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.engine import RawDraws, Sampling, compiled_for
from bayeskit.errors import DataError, SamplingError, SpecificationError
from bayeskit.fit import assemble
from bayeskit.laplace import draw
from bayeskit.progress import SamplingProgress
from bayeskit.summary import flatten

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder
    from bayeskit.report.content import Figure

__all__ = ["Calibration", "calibrate", "ecdf_band"]

LOG_LIKELIHOOD_LABEL = "log likelihood"
_R_HAT_MAX = 1.1  # of short runs: the ordinary limit would refuse good ones by chance
_FEWEST_FOR_DATA = 40  # simulations below which nothing is learned of what the data speak for
_RIDGE = 0.1


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
        Simulations whose fit could not be run or did not mix (R-hat over 1.1); they are counted, never
        dropped silently.
    simulations : int
        Simulations asked for.
    seconds : float
        Wall time.
    seed : int
        Root seed.
    errors : tuple of str
        Different messages of the fits that could not be run.
    again : Calibration, optional
        As many fresh simulations, run because a quantity was outside the band; its statistics are those of the
        quantities in question, and its bound is corrected for their number alone.
    """

    ranks: dict[str, np.ndarray]
    count: int
    statistics: dict[str, float]
    bound: float
    failed: int
    simulations: int
    seconds: float
    seed: int
    errors: tuple[str, ...] = ()
    again: Calibration | None = None

    @property
    def passed(self) -> bool:
        """True if no quantity is an offender and at most 5 % of the fits failed."""
        return self.failed <= 0.05 * self.simulations and not self.offenders

    @property
    def outside(self) -> tuple[str, ...]:
        """Quantities outside the band in these simulations, worst first."""
        bad = [k for k, v in self.statistics.items() if v > self.bound]
        return tuple(sorted(bad, key=lambda k: -self.statistics[k]))

    @property
    def offenders(self) -> tuple[str, ...]:
        """Quantities outside the band, worst first; outside twice, where the simulations were repeated."""
        if self.again is None:
            return self.outside
        # A quantity that the fresh simulations do not have was not cleared by them.
        return tuple(k for k in self.outside if self.again.statistics.get(k, np.inf) > self.again.bound)

    def __repr__(self) -> str:
        state = "PASS" if self.passed else "FAIL"
        lines = [
            f"{state}: simulation-based calibration, {self.simulations} simulations, {len(self.statistics)} test quantities, "
            f"{self.failed} failed fits, seed {self.seed}, {self.seconds:.0f} s"
        ]
        offenders = self.offenders
        for name in self.outside:
            once = f"{name} ({self.statistics[name]:.2f} > {self.bound:.2f}"
            if self.again is None:
                lines.append(f"  outside the band: {once})")
                continue
            other = f"{self.again.statistics.get(name, np.nan):.2f} against {self.again.bound:.2f} in as many fresh simulations"
            label = "outside the band twice" if name in offenders else "outside the band once, not again"
            lines.append(f"  {label}: {once}; {other})")
        lines += [f"  a fit failed: {text}" for text in self.errors]
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
    confirm: bool = True,
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
    target_accept : float, optional
        Target acceptance of each fit (the model's `default_target_accept`).
    ranks : int
        Posterior draws (thinned, nearly independent) against which a true value is ranked.
    prob : float
        Simultaneous probability of the band, over all quantities.
    dials : mapping, optional
        Dials of the simulating prior and of the fit.
    fit_dials : mapping, optional
        Dials of the fit alone, to plant a bug: calibration must then fail.
    confirm : bool
        If a quantity is outside the band, run as many fresh simulations and call it an offender only if it is
        outside again, of those in question. A sound model is then accused with probability ``(1 - prob)**2`` at most.
    **sizes
        Design of the simulated tables, as `simulate` takes it.

    Returns
    -------
    Calibration
    """
    if simulations < 20:
        raise SpecificationError(f"simulations={simulations}: at least 20 are needed to say anything.")
    target = spec.default_target_accept if target_accept is None else target_accept
    plan = _Plan(
        spec, seed, simulations,
        Sampling(draws, tune, chains, seed, target_accept=target, progress=False, method=spec.method),
        min(ranks, draws * chains), prob, dials, fit_dials, sizes,
    )  # fmt: skip
    found = plan.run(0, "Calibrating", progress)
    if not confirm or not found.outside:
        return found
    return replace(found, again=plan.run(simulations, "Calibrating again what was outside", progress, among=found.outside))


@dataclass(frozen=True)
class _Plan:
    """What is the same in every simulation of one calibration."""

    spec: ModelBuilder
    seed: int
    simulations: int
    settings: Sampling
    ranks: int
    prob: float
    dials: Mapping[str, float] | None
    fit_dials: Mapping[str, float] | None
    sizes: Mapping[str, Any]

    def run(self, first: int, title: str, progress: bool, among: Sequence[str] | None = None) -> Calibration:
        """Simulations from number `first` on, judged on all quantities or on those `among` them."""
        clock = time.perf_counter()
        runs: list[_Run] = []
        errors: list[str] = []
        children = np.random.SeedSequence(self.seed).spawn(first + self.simulations)[first:]
        with SamplingProgress(progress) as bar:
            bar.stage(title, total=self.simulations)
            for index, child in enumerate(children):
                settings = replace(self.settings, seed=int(child.generate_state(1)[0]))
                try:
                    one = _one(self.spec, child, settings, self.ranks, self.dials, self.fit_dials, self.sizes)
                except (DataError, SamplingError) as error:  # a wrong specification is the caller's, and is raised
                    one = None
                    errors.append(str(error).splitlines()[0])
                if one is not None:
                    runs.append(one)
                failed = index + 1 - len(runs)
                bar.step(index + 1, f", {failed} failed" if failed else "")
        return self._judged(runs, errors, among, round(time.perf_counter() - clock, 1))

    def _judged(self, runs: list[_Run], errors: list[str], among: Sequence[str] | None, seconds: float) -> Calibration:
        told = tuple(dict.fromkeys(errors))[:3]
        if not runs:
            raise SamplingError(f"Every one of {self.simulations} simulated fits failed. {' '.join(told)}".strip())
        runs = _matched_by_place(runs)
        names = dict.fromkeys(k for r in runs for k in r.ranks)
        table = {k: np.array([r.ranks[k] for r in runs if k in r.ranks]) for k in names}
        table |= _given_data(runs, self.ranks)
        if among is not None:
            table = {k: v for k, v in table.items() if k in among}
        statistics = {k: _statistic(v, self.ranks + 1)[0] for k, v in table.items()}
        level = 1.0 - (1.0 - self.prob) / max(1, len(statistics))
        bound = ecdf_band(len(runs), self.ranks + 1, level, replicates=20_000)
        failed = self.simulations - len(runs)
        return Calibration(table, self.ranks + 1, statistics, bound, failed, self.simulations, seconds, self.seed, told)


@dataclass(frozen=True)
class _Run:
    """One simulation: ranks and true values by quantity, and the statistics of its table."""

    ranks: dict[str, int]
    truths: dict[str, float]
    statistics: dict[str, np.ndarray]


def _matched_by_place(runs: Sequence[_Run]) -> list[_Run]:
    """Give quantities one name where their labels follow the data, such as survival at each table's own median time.

    Such a quantity is as good a test as any other, but only with the ranks of all simulations together: under labels of their
    own each would be tested on a single rank. Elements are matched by their place in the variable; a variable that has not as
    many in every simulation is left as it is.
    """
    named = [_by_variable(r.ranks) for r in runs]
    changed: set[str] = set()
    for name in named[0]:
        own = [ranks.get(name, []) for ranks in named]
        if len({tuple(labels) for labels in own}) > 1 and len({len(labels) for labels in own}) == 1:
            changed.add(name)
    out = []
    for run, ranks in zip(runs, named, strict=True):
        new = {label: f"{name}[place {k + 1}]" for name in changed for k, label in enumerate(ranks[name])}
        out.append(
            replace(
                run,
                ranks={new.get(k, k): v for k, v in run.ranks.items()},
                truths={new.get(k, k): v for k, v in run.truths.items()},
            )
        )
    return out


def _by_variable(labels: Mapping[str, Any]) -> dict[str, list[str]]:
    """Labels of elements, such as "survival[12.5]", by the variable before the bracket."""
    out: dict[str, list[str]] = {}
    for label in labels:
        out.setdefault(label.split("[", 1)[0], []).append(label)
    return out


def _given_data(runs: Sequence[_Run], count: int) -> dict[str, np.ndarray]:
    """Ranks turned round (r -> count - r) where the data speak for a small value.

    What the data speak for is learned by ridge regression of the true values on the statistics in one half of
    the simulations and said of the other half, so it is independent of the ranks that it turns.
    """
    common = set.intersection(*(set(r.statistics) for r in runs))
    shapes = {n: {r.statistics[n].shape for r in runs} for n in common}
    names = sorted(n for n in common if len(shapes[n]) == 1)
    if not names or len(runs) < _FEWEST_FOR_DATA:
        return {}
    x = np.stack([np.concatenate([r.statistics[n].ravel() for n in names]) for r in runs]).astype(float)
    x = x[:, np.isfinite(x).all(0) & (np.ptp(x, axis=0) > 0)]
    if x.shape[1] == 0:
        return {}
    x = (x - x.mean(0)) / x.std(0)
    # In the dual form the cost is that of the simulations, however many statistics there are.
    gram = x @ x.T / x.shape[1]
    halves = [np.arange(len(runs)) % 2 == h for h in (0, 1)]
    out = {}
    for quantity in (q for q in runs[0].truths if all(q in r.truths for r in runs)):
        ranks = np.array([r.ranks[quantity] for r in runs])
        target = np.argsort(np.argsort([r.truths[quantity] for r in runs])) / (len(runs) - 1.0) - 0.5
        small = np.zeros(len(runs), dtype=bool)
        for learn, say in (halves, halves[::-1]):
            weights = np.linalg.solve(gram[np.ix_(learn, learn)] + _RIDGE * np.eye(learn.sum()), target[learn])
            said = gram[np.ix_(say, learn)] @ weights
            small[say] = said < np.median(said)
        out[f"{quantity}, given data"] = np.where(small, count - ranks, ranks)
    return out


def _one(
    spec: ModelBuilder,
    child: np.random.SeedSequence,
    settings: Sampling,
    thin_to: int,
    dials: Mapping[str, float] | None,
    fit_dials: Mapping[str, float] | None,
    sizes: Mapping[str, Any],
) -> _Run | None:
    """Ranks of one simulation, or None if its chains did not mix."""
    from bayeskit.checks import diagnostics

    rng = np.random.default_rng(child)
    simulation = spec.simulate(rng, dials=dials, **sizes)
    statistics = spec.statistics(simulation.table)
    used = spec.set_dials(statistics, {**(dials or {}), **(fit_dials or {})})
    fit = assemble(spec, statistics, _uninterrupted(draw(spec, statistics, used, settings)), used, {}, {})
    draws, truth = fit.posterior, _as_draws(simulation.parameters, fit.posterior)
    # Latent effects are many and exchangeable: rank the first few of each variable.
    labels, values = _test_quantities(spec, draws, statistics)
    _, true_values = _test_quantities(spec, truth, statistics)
    at_truth = compiled_for(spec, statistics).log_likelihood(statistics, used, simulation.parameters)
    values = np.concatenate([values, fit.draws["log_likelihood"].to_dataset()["total"].values[:, :, None]], axis=2)
    true_values = np.append(true_values[0, 0], at_truth)
    r_hat = diagnostics(values)["r_hat"]
    if not np.isfinite(values).all() or np.any(r_hat > _R_HAT_MAX):
        return None
    pooled = values.reshape(-1, values.shape[2])
    thinned = pooled[np.linspace(0, len(pooled) - 1, thin_to).astype(int)]
    ties = thinned == true_values
    ties[:, -1] = np.abs(thinned[:, -1] - true_values[-1]) < 1e-7  # rounding of log likelihoods that are all the same
    below = ((thinned < true_values) & ~ties).sum(0)
    ranks = below + rng.integers(0, ties.sum(0) + 1)
    return _Run(
        dict(zip([*labels, LOG_LIKELIHOOD_LABEL], map(int, ranks), strict=True)),
        dict(zip(labels, map(float, true_values), strict=False)),
        {str(n): np.asarray(v.values) for n, v in statistics.data_vars.items() if v.dtype.kind in "iufb"},
    )


def _uninterrupted(raw: RawDraws) -> RawDraws:
    """Pass on an interruption, which sampling answers with the draws there are: here nobody wants those."""
    if raw.partial:
        raise KeyboardInterrupt
    return raw


def _as_draws(parameters: Mapping[str, np.ndarray], like: xr.Dataset) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(
        {n: (v.dims, np.asarray(parameters[str(n)], dtype=np.float64)[None, None]) for n, v in like.data_vars.items()},
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
    headline = [str(n) for n, v in estimands.data_vars.items() if v.attrs.get("headline")]
    names, values = flatten(estimands[headline])
    return _distinct(labels + [f"estimand {n}" for n in names]), np.concatenate([*blocks, values], axis=2)


def _distinct(labels: list[str]) -> list[str]:
    """Number the labels that come twice (two times that round to the same digits), so that no rank overwrites another."""
    seen: dict[str, int] = {}
    out = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append(label if seen[label] == 1 else f"{label} #{seen[label]}")
    return out
