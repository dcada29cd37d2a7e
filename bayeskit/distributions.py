"""The distributions a prior can have, each as a log density, a generator and a PyMC variable.

One row of `FAMILIES` is one distribution; the three forms are tested against each other and against
quadrature. Densities are in NumPy/SciPy because they are evaluated on stored draws, where compiling would
cost seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["FAMILIES", "Family"]

_TINY = 1e-300
REAL = (-np.inf, np.inf)
POSITIVE = (_TINY, np.inf)
NONNEGATIVE = (0.0, np.inf)


def _unchanged(shape: tuple[int, ...], params: Mapping[str, Any]) -> Mapping[str, Any]:
    return params


@dataclass(frozen=True)
class Family:
    """A distribution in the forms that the kit needs.

    Parameters
    ----------
    parameters : mapping of str to (low, high)
        Names and closed ranges of the parameters.
    log_density : callable
        ``f(x, **params)`` elementwise over everything but the event dimensions.
    random : callable
        ``f(rng, shape, **params)``.
    pymc : str
        Name of PyMC's class of the distribution.
    log_jacobian : callable
        ``f(x, **params)``: log of |dx / dz| for the coordinates z in which PyMC samples the distribution by
        default, elementwise over everything but the event dimensions. The sampler's density is the density of
        x times this.
    event_dims : int
        How many trailing dimensions one draw of the distribution owns.
    pymc_parameters : callable
        ``f(shape, params)`` gives the arguments of PyMC's class.
    powered : callable or None
        ``f(power, **params)`` gives the parameters whose density is proportional to this density to that power; None where
        the family holds no such distribution. What it gives may lie out of range: then the power cannot be normalised.
    """

    parameters: Mapping[str, tuple[float, float]]
    log_density: Callable[..., Any]
    random: Callable[..., Any]
    pymc: str
    log_jacobian: Callable[..., Any]
    event_dims: int = 0
    pymc_parameters: Callable[[tuple[int, ...], Mapping[str, Any]], Mapping[str, Any]] = _unchanged
    powered: Callable[..., dict[str, float]] | None = None

    def coordinates(self, x: np.ndarray, **params: Any) -> np.ndarray:
        """Coordinates on the whole real line in which PyMC samples values `x`; the inverse of `natural`.

        A value on the edge of its range has an infinite coordinate. A simplex of K parts has K - 1 coordinates.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(_MAPS[self.log_jacobian][0](x, **params), dtype=float)

    def natural(self, z: np.ndarray, **params: Any) -> np.ndarray:
        """Values at coordinates `z`."""
        with np.errstate(over="ignore"):
            return np.asarray(_MAPS[self.log_jacobian][1](z, **params), dtype=float)

    def support(self, **params: Any) -> tuple[float, float]:
        """Ends of the range of every element."""
        if self.log_jacobian is _interval:
            return float(params["lower"]), float(params["upper"])
        return _SUPPORTS[self.log_jacobian]

    def graph(self, name: str, dims: Any, shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
        """Create the PyMC variable in the current model context."""
        import pymc as pm

        return getattr(pm, self.pymc)(name, dims=dims, **self.pymc_parameters(shape, params))

    def dist(self, shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
        """Create PyMC's distribution without a name, for its log density."""
        import pymc as pm

        return getattr(pm, self.pymc).dist(shape=shape, **self.pymc_parameters(shape, params))


def _real_line(x: np.ndarray, **_: Any) -> np.ndarray:
    return np.zeros_like(x)


def _log(x: np.ndarray, **_: Any) -> np.ndarray:
    """X = exp(z)."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x))


def _log_odds(x: np.ndarray, **_: Any) -> np.ndarray:
    """X = 1 / (1 + exp(-z))."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x) + np.log1p(-x))


def _interval(x: np.ndarray, lower: Any, upper: Any) -> np.ndarray:
    """X = lower + (upper - lower) / (1 + exp(-z))."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x - lower) + np.log(upper - x) - np.log(np.asarray(upper) - lower))


def _simplex(x: np.ndarray, **_: Any) -> np.ndarray:
    """Z = the first K - 1 of log x - mean(log x): PyMC's log Jacobian written in x is log K + sum(log x)."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x.shape[-1]) + np.log(x).sum(-1))


def _simplex_rows(x: np.ndarray, **_: Any) -> np.ndarray:
    return np.asarray(_simplex(x).sum(-1))


def _zero_sum(x: np.ndarray, **_: Any) -> np.ndarray:
    """X = an orthonormal map of K - 1 coordinates onto the vectors of length K that sum to zero."""
    return np.zeros(x.shape[:-1])


def _from_zero_sum(x: np.ndarray, **_: Any) -> np.ndarray:
    root = np.sqrt(x.shape[-1])
    return np.asarray(x[..., :-1] - x[..., -1:] * root / (root + x.shape[-1]))


def _to_zero_sum(z: np.ndarray, **_: Any) -> np.ndarray:
    root, total = np.sqrt(z.shape[-1] + 1.0), z.sum(-1, keepdims=True)
    norm = total / (root + root**2)
    return np.asarray(np.concatenate([z, norm - total / root], axis=-1) - norm)


def _to_simplex(z: np.ndarray, **_: Any) -> np.ndarray:
    from scipy.special import softmax

    return np.asarray(softmax(np.concatenate([z, -z.sum(-1, keepdims=True)], axis=-1), axis=-1))


def _from_simplex(x: np.ndarray, **_: Any) -> np.ndarray:
    logs = np.log(x)
    return np.asarray(logs[..., :-1] - logs.mean(-1, keepdims=True))


def _expit(z: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return np.asarray(expit(z))


_Map = Callable[..., np.ndarray]
_MAPS: dict[Callable[..., Any], tuple[_Map, _Map]] = {
    _real_line: (lambda x, **_: x, lambda z, **_: z),
    _log: (lambda x, **_: np.log(x), lambda z, **_: np.exp(z)),
    _log_odds: (lambda x, **_: np.log(x) - np.log1p(-x), lambda z, **_: _expit(z)),
    _interval: (
        lambda x, lower, upper: np.log(x - lower) - np.log(upper - x),
        lambda z, lower, upper: lower + (np.asarray(upper) - lower) * _expit(z),
    ),
    _simplex: (_from_simplex, _to_simplex),
    _simplex_rows: (_from_simplex, _to_simplex),
    _zero_sum: (_from_zero_sum, _to_zero_sum),
}
"""From the range of a variable to PyMC's coordinates and back, beside the log Jacobian of the way back."""

_SUPPORTS: dict[Callable[..., Any], tuple[float, float]] = {
    _real_line: REAL,
    _log: NONNEGATIVE,
    _log_odds: (0.0, 1.0),
    _simplex: (0.0, 1.0),
    _simplex_rows: (0.0, 1.0),
    _zero_sum: REAL,
}


def _dirichlet_log_density(x: np.ndarray, a: Any) -> np.ndarray:
    from scipy.special import gammaln

    a = np.broadcast_to(np.asarray(a, dtype=float), x.shape)
    with np.errstate(divide="ignore"):
        kernel = np.where(a == 1.0, 0.0, (a - 1.0) * np.log(x))
    out: np.ndarray = gammaln(a.sum(-1)) - gammaln(a).sum(-1) + kernel.sum(-1)
    return out


def _dirichlet_random(rng: np.random.Generator, shape: tuple[int, ...], a: Any) -> np.ndarray:
    # Gamma(a) = Gamma(a + 1) U^(1/a), in logs: with a small concentration plain gammas are all 0 and the
    # shares NaN.
    a = np.broadcast_to(np.asarray(a, dtype=float), shape)
    logs = np.log(rng.standard_gamma(a + 1.0)) + np.log1p(-rng.uniform(size=shape)) / a
    weights = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def _dirichlet_parameters(shape: tuple[int, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    return {"a": params["a"] * np.ones(shape)}


def _diagonal(base: Any, boost: Any, size: int) -> np.ndarray:
    base, boost = (np.asarray(v, dtype=float) for v in (base, boost))
    if base.ndim or boost.ndim:  # draws of a hyperparameter, aligned to (samples, ..., 1, 1)
        return np.asarray(base + boost * np.eye(size))
    return float(base) + float(boost) * np.eye(size)


def _diagonal_log_density(x: np.ndarray, base: Any, boost: Any) -> np.ndarray:
    return _dirichlet_log_density(x, _diagonal(base, boost, x.shape[-1])).sum(-1)  # type: ignore[no-any-return]


def _diagonal_random(rng: np.random.Generator, shape: tuple[int, ...], base: Any, boost: Any) -> np.ndarray:
    return _dirichlet_random(rng, shape, _diagonal(base, boost, shape[-1]))


def _diagonal_parameters(shape: tuple[int, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    return {"a": params["base"] * np.ones(shape) + params["boost"] * np.eye(shape[-1])}


def _zero_sum_log_density(x: np.ndarray, sigma: Any) -> np.ndarray:
    sigma = np.asarray(sigma, dtype=float)
    scale = sigma[..., 0] if sigma.ndim else sigma  # draws of a hyperparameter end in an axis for the elements
    free = x.shape[-1] - 1
    return np.asarray(-0.5 * (x**2).sum(-1) / scale**2 - free * (0.5 * np.log(2.0 * np.pi) + np.log(scale)))


def _zero_sum_random(rng: np.random.Generator, shape: tuple[int, ...], sigma: Any) -> np.ndarray:
    x = rng.normal(size=shape)
    return np.asarray(sigma * (x - x.mean(-1, keepdims=True)))


def _scipy(name: str, arguments: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    def log_density(x: np.ndarray, **params: Any) -> Any:
        from scipy import stats

        return getattr(stats, name).logpdf(x, **arguments(**params))

    return log_density


def _loc_scale(mu: Any, sigma: Any) -> dict[str, Any]:
    return {"loc": mu, "scale": sigma}


def _half_student_log_density(x: np.ndarray, nu: Any, sigma: Any) -> Any:
    from scipy import stats

    return np.where(x >= 0, np.log(2.0) + stats.t.logpdf(x, df=nu, scale=sigma), -np.inf)


def _half_cauchy_random(rng: np.random.Generator, shape: tuple[int, ...], beta: Any) -> Any:
    return np.abs(beta * rng.standard_cauchy(shape))


def _student_power(power: float, nu: float, sigma: float) -> dict[str, float]:
    """(1 + x^2 / (nu sigma^2))^(-power (nu + 1) / 2) is Student's again, with nu sigma^2 as it was."""
    other = power * (nu + 1.0) - 1.0
    return {"nu": other, "sigma": sigma * (nu / other) ** 0.5 if other > 0.0 else sigma}


FAMILIES: dict[str, Family] = {
    "Normal": Family(
        {"mu": REAL, "sigma": POSITIVE},
        _scipy("norm", _loc_scale),
        lambda rng, shape, mu, sigma: rng.normal(mu, sigma, shape),
        "Normal",
        _real_line,
        powered=lambda power, mu, sigma: {"mu": mu, "sigma": sigma / power**0.5},
    ),
    "HalfNormal": Family(
        {"sigma": POSITIVE},
        _scipy("halfnorm", lambda sigma: {"scale": sigma}),
        lambda rng, shape, sigma: np.abs(rng.normal(0.0, sigma, shape)),
        "HalfNormal",
        _log,
        powered=lambda power, sigma: {"sigma": sigma / power**0.5},
    ),
    "LogNormal": Family(
        {"mu": REAL, "sigma": POSITIVE},
        _scipy("lognorm", lambda mu, sigma: {"s": sigma, "scale": np.exp(mu)}),
        lambda rng, shape, mu, sigma: rng.lognormal(mu, sigma, shape),
        "LogNormal",
        _log,
        powered=lambda power, mu, sigma: {"mu": mu + (1.0 / power - 1.0) * sigma**2, "sigma": sigma / power**0.5},
    ),
    "StudentT": Family(
        {"nu": POSITIVE, "mu": REAL, "sigma": POSITIVE},
        _scipy("t", lambda nu, mu, sigma: {"df": nu, "loc": mu, "scale": sigma}),
        lambda rng, shape, nu, mu, sigma: mu + sigma * rng.standard_t(nu, shape),
        "StudentT",
        _real_line,
        powered=lambda power, nu, mu, sigma: {"mu": mu} | _student_power(power, nu, sigma),
    ),
    "HalfStudentT": Family(
        {"nu": POSITIVE, "sigma": POSITIVE},
        _half_student_log_density,
        lambda rng, shape, nu, sigma: np.abs(sigma * rng.standard_t(nu, shape)),
        "HalfStudentT",
        _log,
        powered=_student_power,
    ),
    "Cauchy": Family(
        {"alpha": REAL, "beta": POSITIVE},
        _scipy("cauchy", lambda alpha, beta: {"loc": alpha, "scale": beta}),
        lambda rng, shape, alpha, beta: alpha + beta * rng.standard_cauchy(shape),
        "Cauchy",
        _real_line,
    ),
    "HalfCauchy": Family(
        {"beta": POSITIVE},
        _scipy("halfcauchy", lambda beta: {"scale": beta}),
        _half_cauchy_random,
        "HalfCauchy",
        _log,
    ),
    "Laplace": Family(
        {"mu": REAL, "b": POSITIVE},
        _scipy("laplace", lambda mu, b: {"loc": mu, "scale": b}),
        lambda rng, shape, mu, b: rng.laplace(mu, b, shape),
        "Laplace",
        _real_line,
        powered=lambda power, mu, b: {"mu": mu, "b": b / power},
    ),
    "Logistic": Family(
        {"mu": REAL, "s": POSITIVE},
        _scipy("logistic", lambda mu, s: {"loc": mu, "scale": s}),
        lambda rng, shape, mu, s: rng.logistic(mu, s, shape),
        "Logistic",
        _real_line,
    ),
    "Exponential": Family(
        {"lam": POSITIVE},
        _scipy("expon", lambda lam: {"scale": 1.0 / np.asarray(lam)}),
        lambda rng, shape, lam: rng.exponential(1.0 / np.asarray(lam), shape),
        "Exponential",
        _log,
        powered=lambda power, lam: {"lam": lam * power},
    ),
    "Gamma": Family(
        {"alpha": POSITIVE, "beta": POSITIVE},
        _scipy("gamma", lambda alpha, beta: {"a": alpha, "scale": 1.0 / np.asarray(beta)}),
        lambda rng, shape, alpha, beta: rng.gamma(alpha, 1.0 / np.asarray(beta), shape),
        "Gamma",
        _log,
        powered=lambda power, alpha, beta: {"alpha": power * (alpha - 1.0) + 1.0, "beta": power * beta},
    ),
    "InverseGamma": Family(
        {"alpha": POSITIVE, "beta": POSITIVE},
        _scipy("invgamma", lambda alpha, beta: {"a": alpha, "scale": beta}),
        lambda rng, shape, alpha, beta: 1.0 / rng.gamma(alpha, 1.0 / np.asarray(beta), shape),
        "InverseGamma",
        _log,
        powered=lambda power, alpha, beta: {"alpha": power * (alpha + 1.0) - 1.0, "beta": power * beta},
    ),
    "Beta": Family(
        {"alpha": POSITIVE, "beta": POSITIVE},
        _scipy("beta", lambda alpha, beta: {"a": alpha, "b": beta}),
        lambda rng, shape, alpha, beta: rng.beta(alpha, beta, shape),
        "Beta",
        _log_odds,
        powered=lambda power, alpha, beta: {"alpha": power * (alpha - 1.0) + 1.0, "beta": power * (beta - 1.0) + 1.0},
    ),
    "Uniform": Family(
        {"lower": REAL, "upper": REAL},
        _scipy("uniform", lambda lower, upper: {"loc": lower, "scale": np.asarray(upper) - np.asarray(lower)}),
        lambda rng, shape, lower, upper: rng.uniform(lower, upper, shape),
        "Uniform",
        _interval,
        powered=lambda power, lower, upper: {"lower": lower, "upper": upper},
    ),
    # Concentration `a` in every component: the flat prior on a simplex at a = 1.
    "Dirichlet": Family(
        {"a": POSITIVE},
        _dirichlet_log_density,
        _dirichlet_random,
        "Dirichlet",
        _simplex,
        event_dims=1,
        pymc_parameters=_dirichlet_parameters,
        powered=lambda power, a: {"a": power * (a - 1.0) + 1.0},
    ),
    # Rows of a square stochastic matrix, row m ~ Dirichlet(base + boost e_m): a confusion matrix that leans
    # to the truth.
    "DiagonalDirichlet": Family(
        {"base": POSITIVE, "boost": NONNEGATIVE},
        _diagonal_log_density,
        _diagonal_random,
        "Dirichlet",
        _simplex_rows,
        event_dims=2,
        pymc_parameters=_diagonal_parameters,
        powered=lambda power, base, boost: {"base": power * (base - 1.0) + 1.0, "boost": power * boost},
    ),
    # Normal effects that sum to zero along the last dimension: deviations from a mean that has a prior of its own.
    "ZeroSumNormal": Family(
        {"sigma": POSITIVE},
        _zero_sum_log_density,
        _zero_sum_random,
        "ZeroSumNormal",
        _zero_sum,
        event_dims=1,
        powered=lambda power, sigma: {"sigma": sigma / power**0.5},
    ),
}
