"""The Laplace approximation: draws from a normal distribution at the posterior mode, corrected and checked by their weights.

The normal has its mean at the mode of the sampler's own density (on unconstrained coordinates, Jacobians included) and the
inverse of the negative Hessian there as its covariance. What makes an approximation of it that can be trusted is the second
step: the true density is evaluated at every draw. Where the Pareto shape of the weights (k-hat) says that they can be used, the
normal is only the proposal of an independence Metropolis chain, whose draws follow the posterior itself; where it says that
they cannot, the draws stay those of the normal and the verdict warns.

Tierney, Kadane (1986), JASA 81:82; Vehtari, Simpson, Gelman, Yao, Gabry (2024), JMLR 25:72; Tierney (1994), Annals of
Statistics 22:1701, section 2.3.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.convergence import element_name
from bayeskit.engine import RUNNING, RawDraws, Sampling, fresh_seed, sample
from bayeskit.errors import SamplingError, SpecificationError
from bayeskit.graph import LOG_LIKELIHOOD
from bayeskit.mode import Objective, judge
from bayeskit.progress import SamplingProgress
from bayeskit.sensitivity.weights import Weights, k_hat_limit, pareto_smoothed
from bayeskit.verdict import CheckResult, Status

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["Normal", "approximate", "check_of", "draw", "normal_at_mode"]

FloatArray = NDArray[np.float64]

_ROUNDS = 12  # Hessians that the search may cost
_CHORDS = 30  # steps with one Hessian
_CLOSE = 1e-3  # posterior sds from the mode at which a Hessian is as good as that of the mode
_THERE = 1e-8  # posterior sds at which the search ends
_SMALLEST = 1e-10  # eigenvalue of the scaled curvature below which the density is flat
_MOST = 4000  # coordinates: more need a matrix of over 128 MB and hours of differences
_ROUNDING = 1e-11  # of the log density, relative: log weights that differ by less are equal
_NAMED = 3  # quantities that a warning names


@dataclass(frozen=True)
class Normal:
    """A normal distribution on the sampler's coordinates.

    Attributes
    ----------
    mean : ndarray, shape (D,)
        The posterior mode.
    scale : ndarray, shape (D,)
        One over the square roots of the diagonal of the negative Hessian.
    factor : ndarray, shape (D, D)
        Lower Cholesky factor of the negative Hessian, scaled to a diagonal of ones.
    """

    mean: FloatArray
    scale: FloatArray
    factor: FloatArray

    @property
    def covariance(self) -> FloatArray:
        """Inverse of the negative Hessian, shape (D, D)."""
        half = self._back(np.eye(len(self.mean)))
        return np.asarray(half.T @ half)

    def at(self, z: FloatArray) -> FloatArray:
        """Points for standard normal numbers, shape (S, D); their log density is ``-z @ z / 2`` up to a constant."""
        return np.asarray(self.mean + self._back(z))

    def _back(self, z: FloatArray) -> FloatArray:
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self.factor, z.T, lower=True, trans="T").T * self.scale)

    def towards(self, gradient: FloatArray) -> tuple[FloatArray, float]:
        """Newton's step for a gradient, and its length in posterior standard deviations."""
        from scipy.linalg import solve_triangular

        half = solve_triangular(self.factor, gradient * self.scale, lower=True)
        return self._back(half[None])[0], float(np.sqrt(half @ half))


def draw(spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], settings: Sampling) -> RawDraws:
    """Draw from the posterior by the method that the settings name."""
    by = approximate if settings.method == "mode" else sample
    return by(spec, statistics, dials, settings)


def approximate(spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], settings: Sampling) -> RawDraws:
    """Draw from the Laplace approximation, corrected by importance weights where these can be used.

    Parameters
    ----------
    spec : ModelBuilder
        The model.
    statistics : Dataset
        Sufficient statistics.
    dials : mapping of str to float
        The value of every dial.
    settings : Sampling
        Of which draws, chains, seed, cores and progress are used. Draws do not depend on `cores`.

    Returns
    -------
    RawDraws
        Group ``sample_stats`` has ``logp``, the density at the draws, and ``log_weight``, log target less log normal of the
        points drawn from the normal (chain by chain, up to a constant): by these `check_of` judges.

    Raises
    ------
    SamplingError
        If the density has no maximum in these coordinates, naming the variable.
    SpecificationError
        If there are too many coordinates.

    Notes
    -----
    k-hat knows the places that the normal reaches. A second mode far from the first is not seen.
    """
    from threadpoolctl import threadpool_limits

    seed = fresh_seed() if settings.seed is None else int(settings.seed)
    rng = np.random.default_rng(seed)
    cores = settings.cores or os.cpu_count() or 1
    with RUNNING, SamplingProgress(settings.progress) as progress, threadpool_limits(1):
        progress.stage("Compiling and searching the posterior mode")
        objective = Objective(spec, statistics, dials, jacobian=True)
        latent = {a.name for a in spec.assumptions(statistics) if a.level == "latent"}
        normal = normal_at_mode(objective, cores, latent)
        shape = (settings.chains, settings.draws)
        progress.stage("Evaluating the posterior at the draws")
        z = rng.standard_normal((settings.chains * settings.draws, len(normal.mean)))
        found = objective.evaluate_all(normal.at(z), cores)
    logp = np.array([np.nan_to_num(each[0], nan=-np.inf) for each in found])
    log_weight = _without_rounding(logp + 0.5 * np.einsum("sd,sd->s", z, z), logp).reshape(shape)
    weights = pareto_smoothed(log_weight, r_eff=1.0)
    kept = _metropolis(log_weight, weights, rng) if weights.reliable else np.arange(len(found)).reshape(shape)
    return RawDraws(_tree(spec, statistics, objective, found, kept, logp, log_weight), False, seed, objective.built.constraints)


def normal_at_mode(objective: Objective, cores: int = 1, latent: Collection[str] = ()) -> Normal:
    """Find the maximum by L-BFGS and Newton's method, and the normal distribution there.

    Parameters
    ----------
    objective : Objective
        Density of the sampler's coordinates.
    cores : int
        Threads of the Hessian.
    latent : collection of str
        Variables to fit first, with all others where they start. Where effects and their standard deviation meet at 0 the
        density has no bound, and a search from effects of 0 may end there.

    Raises
    ------
    SamplingError
        If the search does not end at a maximum with curvature in every direction.
    SpecificationError
        If there are too many coordinates.
    """
    if objective.start.size > _MOST:
        raise SpecificationError(
            f"method='mode': this model has {objective.start.size} coordinates, and the Laplace approximation needs the matrix "
            f"of their second derivatives: at most {_MOST}. Sample instead: method='nuts'."
        )
    first = objective.places(latent)
    x = objective.start
    if 0 < len(first) < len(x):
        x = objective.climb(x, {"maxiter": 500, "ftol": 1e-6}, first)
    x = objective.climb(x, {"maxiter": 3000, "ftol": 1e-13, "gtol": 1e-6})
    for _ in range(_ROUNDS):
        gradient, hessian = objective.evaluate(x)[2], objective.hessian(x, cores)
        normal = _normal(x, hessian)
        if normal is None:
            moved = objective.newton_step(x, gradient, hessian)
            if moved is None:
                break
            x = moved
            continue
        away = normal.towards(gradient)[1]
        x, left = _chords(objective, normal, gradient)
        if away < _CLOSE and left < _CLOSE:
            return Normal(x, normal.scale, normal.factor)
    gradient, hessian = objective.evaluate(x)[2], objective.hessian(x, cores)
    status, message = judge(objective, x, gradient, hessian)
    told = "the search found no maximum" if status == "ok" else message
    raise SamplingError(f"There is no Laplace approximation of this posterior: {told}. Sample instead: method='nuts'.")


def _normal(x: FloatArray, hessian: FloatArray) -> Normal | None:
    """The normal at a point, or None where the density is not curved downward in every direction."""
    if not np.isfinite(hessian).all() or not (np.diag(hessian) < 0.0).all():
        return None
    scale = 1.0 / np.sqrt(-np.diag(hessian))
    curvature = -hessian * scale[:, None] * scale
    if np.linalg.eigvalsh(curvature)[0] < _SMALLEST:
        return None
    return Normal(x, scale, np.linalg.cholesky(curvature))


def _chords(objective: Objective, normal: Normal, gradient: FloatArray) -> tuple[FloatArray, float]:
    """Newton's method with one Hessian, as long as the gradient falls; where it ended and how far that is from the mode."""
    x = normal.mean
    step, away = normal.towards(gradient)
    for _ in range(_CHORDS):
        if away < _THERE:
            break
        for damping in (1.0, 0.3, 0.1, 0.01):
            slope = objective.evaluate(x + damping * step)[2]
            ahead, left = normal.towards(slope) if np.isfinite(slope).all() else (step, np.inf)
            if left < away:
                x, step, away = x + damping * step, ahead, left
                break
        else:
            break
    return x, away


def _without_rounding(log_weight: FloatArray, logp: FloatArray) -> FloatArray:
    """Log weights less the largest; all 0 where they differ by the rounding of the log density alone."""
    finite = log_weight[np.isfinite(log_weight)]
    if not finite.size:
        return log_weight
    noise = _ROUNDING * (1.0 + np.abs(logp[np.isfinite(logp)]).max())
    if finite.size == log_weight.size and np.ptp(finite) < noise:
        return np.zeros(log_weight.shape)
    return log_weight - finite.max()


def _metropolis(log_weight: FloatArray, weights: Weights, rng: np.random.Generator) -> NDArray[np.int64]:
    """Independence Metropolis chains over the points: which point each draw is, shape (chains, draws).

    Chains start at points that are drawn by their smoothed weights, hence already (nearly) from the posterior.
    """
    chains, draws = log_weight.shape
    flat = log_weight.ravel()
    here = np.asarray(rng.choice(flat.size, size=chains, p=weights.values))
    log_uniform = np.log(rng.uniform(size=(chains, draws)))
    own = np.arange(flat.size).reshape(chains, draws)
    kept = np.empty((chains, draws), dtype=np.int64)
    for t in range(draws):
        accepted = log_uniform[:, t] < log_weight[:, t] - flat[here]
        here = np.where(accepted, own[:, t], here)
        kept[:, t] = here
    return kept


def _tree(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    objective: Objective,
    found: list[tuple[float, float, FloatArray, dict[str, FloatArray]]],
    kept: NDArray[np.int64],
    logp: FloatArray,
    log_weight: FloatArray,
) -> xr.DataTree:
    """Draws in the form in which the sampler leaves them."""
    import xarray as xr

    dims = {a.name: a.prior.dims for a in spec.assumptions(statistics) if a.prior is not None}
    coords = {"chain": np.arange(kept.shape[0]), "draw": np.arange(kept.shape[1])}
    arrays: dict[str, Any] = {
        name: (("chain", "draw", *dims[name]), np.stack([each[3][name] for each in found])[kept]) for name in objective.names
    }
    arrays[LOG_LIKELIHOOD] = (("chain", "draw"), np.array([each[1] for each in found])[kept])
    stats = {"logp": logp[kept], "log_weight": log_weight, "n_steps": np.ones(kept.shape, dtype=np.int64)}
    groups = {
        "posterior": xr.Dataset(arrays, coords),
        "sample_stats": xr.Dataset({name: (("chain", "draw"), values) for name, values in stats.items()}, coords),
    }
    return xr.DataTree.from_dict(groups)


def check_of(draws: xr.DataTree) -> CheckResult:
    """Judge a Laplace approximation by the weights of its draws.

    Parameters
    ----------
    draws : DataTree
        Of a fit whose method was "mode".

    Returns
    -------
    CheckResult
        PASS where the weights could correct the draws, WARN where they could not, NOT COMPUTED where there are none.
    """
    log_weight = draws["sample_stats"]["log_weight"].transpose("chain", "draw").values
    weights = pareto_smoothed(log_weight, r_eff=1.0)
    size = log_weight.size
    if not weights.computed:
        text = "The weights of the draws from the normal at the posterior mode cannot be computed: nothing says how good it is."
        return CheckResult("laplace", Status.NOT_COMPUTED, text, "Sample instead: refit(method='nuts').")
    figures = f"k-hat {weights.k_hat:.2f} (limit {k_hat_limit(size):.2f}), {weights.ess:.0f} effective of {size} draws"
    if weights.reliable:
        text = f"Draws from the normal at the posterior mode, corrected by importance weights: {figures}."
        return CheckResult("laplace", Status.PASS, f"{text} A second mode far away would not be seen.")
    culprits = _culprits(draws["posterior"].to_dataset(), log_weight)
    named = f" The weights go with {', '.join(str(row['quantity']) for row in culprits)}." if culprits else ""
    text = f"The posterior is far from the normal at its mode, and the draws are those of the normal: {figures}.{named}"
    advice = (
        "Sample instead: refit(method='nuts'). The usual reason is a standard deviation near 0, or a parameter of which the "
        "data say little."
    )
    return CheckResult("laplace", Status.WARN, text, advice, culprits)


def _culprits(posterior: xr.Dataset, log_weight: FloatArray) -> tuple[dict[str, Any], ...]:
    """Variables whose values explain the log weights best, by the share of the variance that a cubic of their ranks takes."""
    target = log_weight.ravel()
    usable = np.isfinite(target)
    if usable.sum() < 10 or np.ptp(target[usable]) == 0.0:
        return ()
    target = target[usable] - target[usable].mean()
    shares: list[tuple[float, str]] = []
    for variable in posterior.data_vars.values():
        ordered = variable.transpose("chain", "draw", ...)
        flat = ordered.values.reshape(log_weight.size, -1)[usable]
        ranks = np.argsort(np.argsort(flat, axis=0), axis=0) / len(flat) - 0.5
        for q in range(flat.shape[1]):
            powers = np.vander(ranks[:, q], 4)
            left = target - powers @ np.linalg.lstsq(powers, target, rcond=None)[0]
            shares.append((1.0 - float(left @ left) / float(target @ target), element_name(ordered, q)))
    shares.sort(reverse=True)
    return tuple({"quantity": name, "explained": share} for share, name in shares[:_NAMED])
