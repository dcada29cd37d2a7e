"""The distributions a prior can have, each as a log density, a generator and a PyMC variable.

One row of `FAMILIES` is one distribution; the three forms are tested against each other and against quadrature.
Densities are in NumPy/SciPy because they are evaluated on stored draws, where compiling would cost seconds.
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


@dataclass(frozen=True)
class Family:
    """A distribution in the three forms that the kit needs.

    Parameters
    ----------
    parameters : mapping of str to (low, high)
        Names and closed ranges of the parameters.
    log_density : callable
        ``f(x, **params)`` elementwise over everything but the event dimensions.
    random : callable
        ``f(rng, shape, **params)``.
    graph : callable
        ``f(name, dims, shape, params)`` creates the PyMC variable.
    event_dims : int
        How many trailing dimensions one draw of the distribution owns.
    """

    parameters: Mapping[str, tuple[float, float]]
    log_density: Callable[..., Any]
    random: Callable[..., Any]
    graph: Callable[[str, Any, tuple[int, ...], Mapping[str, Any]], Any]
    event_dims: int = 0


def _pymc(class_name: str) -> Callable[[str, Any, tuple[int, ...], Mapping[str, Any]], Any]:
    def create(name: str, dims: Any, shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
        import pymc as pm

        return getattr(pm, class_name)(name, dims=dims, **params)

    return create


def _dirichlet_log_density(x: np.ndarray, a: Any) -> np.ndarray:
    from scipy.special import gammaln

    a = np.broadcast_to(np.asarray(a, dtype=float), x.shape)
    with np.errstate(divide="ignore"):
        kernel = np.where(a == 1.0, 0.0, (a - 1.0) * np.log(x))
    out: np.ndarray = gammaln(a.sum(-1)) - gammaln(a).sum(-1) + kernel.sum(-1)
    return out


def _dirichlet_random(rng: np.random.Generator, shape: tuple[int, ...], a: Any) -> np.ndarray:
    gammas = rng.standard_gamma(np.broadcast_to(np.asarray(a, dtype=float), shape))
    out: np.ndarray = gammas / gammas.sum(-1, keepdims=True)
    return out


def _dirichlet_graph(name: str, dims: Any, shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
    import pymc as pm

    return pm.Dirichlet(name, a=params["a"] * np.ones(shape), dims=dims)


def _diagonal(base: Any, boost: Any, size: int) -> np.ndarray:
    base, boost = (np.asarray(v, dtype=float) for v in (base, boost))
    if base.ndim or boost.ndim:  # draws of a hyperparameter, aligned to (samples, ..., 1, 1)
        return np.asarray(base + boost * np.eye(size))
    return float(base) + float(boost) * np.eye(size)


def _diagonal_log_density(x: np.ndarray, base: Any, boost: Any) -> np.ndarray:
    return _dirichlet_log_density(x, _diagonal(base, boost, x.shape[-1])).sum(-1)  # type: ignore[no-any-return]


def _diagonal_random(rng: np.random.Generator, shape: tuple[int, ...], base: Any, boost: Any) -> np.ndarray:
    return _dirichlet_random(rng, shape, _diagonal(base, boost, shape[-1]))


def _diagonal_graph(name: str, dims: Any, shape: tuple[int, ...], params: Mapping[str, Any]) -> Any:
    import pymc as pm

    return pm.Dirichlet(
        name, a=params["base"] * np.ones(shape) + params["boost"] * np.eye(shape[-1]), dims=dims
    )


def _scipy(name: str, arguments: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    def log_density(x: np.ndarray, **params: Any) -> Any:
        from scipy import stats

        return getattr(stats, name).logpdf(x, **arguments(**params))

    return log_density


def _loc_scale(mu: Any, sigma: Any) -> dict[str, Any]:
    return {"loc": mu, "scale": sigma}


def _half_cauchy_random(rng: np.random.Generator, shape: tuple[int, ...], beta: Any) -> Any:
    return np.abs(beta * rng.standard_cauchy(shape))


FAMILIES: dict[str, Family] = {
    "Normal": Family(
        {"mu": REAL, "sigma": POSITIVE},
        _scipy("norm", _loc_scale),
        lambda rng, shape, mu, sigma: rng.normal(mu, sigma, shape),
        _pymc("Normal"),
    ),
    "HalfNormal": Family(
        {"sigma": POSITIVE},
        _scipy("halfnorm", lambda sigma: {"scale": sigma}),
        lambda rng, shape, sigma: np.abs(rng.normal(0.0, sigma, shape)),
        _pymc("HalfNormal"),
    ),
    "LogNormal": Family(
        {"mu": REAL, "sigma": POSITIVE},
        _scipy("lognorm", lambda mu, sigma: {"s": sigma, "scale": np.exp(mu)}),
        lambda rng, shape, mu, sigma: rng.lognormal(mu, sigma, shape),
        _pymc("LogNormal"),
    ),
    "StudentT": Family(
        {"nu": POSITIVE, "mu": REAL, "sigma": POSITIVE},
        _scipy("t", lambda nu, mu, sigma: {"df": nu, "loc": mu, "scale": sigma}),
        lambda rng, shape, nu, mu, sigma: mu + sigma * rng.standard_t(nu, shape),
        _pymc("StudentT"),
    ),
    "HalfStudentT": Family(
        {"nu": POSITIVE, "sigma": POSITIVE},
        lambda x, nu, sigma: np.where(
            x >= 0, np.log(2.0) + _scipy("t", lambda nu, sigma: {"df": nu, "scale": sigma})(x, nu=nu, sigma=sigma), -np.inf
        ),
        lambda rng, shape, nu, sigma: np.abs(sigma * rng.standard_t(nu, shape)),
        _pymc("HalfStudentT"),
    ),
    "Cauchy": Family(
        {"alpha": REAL, "beta": POSITIVE},
        _scipy("cauchy", lambda alpha, beta: {"loc": alpha, "scale": beta}),
        lambda rng, shape, alpha, beta: alpha + beta * rng.standard_cauchy(shape),
        _pymc("Cauchy"),
    ),
    "HalfCauchy": Family(
        {"beta": POSITIVE},
        _scipy("halfcauchy", lambda beta: {"scale": beta}),
        _half_cauchy_random,
        _pymc("HalfCauchy"),
    ),
    "Laplace": Family(
        {"mu": REAL, "b": POSITIVE},
        _scipy("laplace", lambda mu, b: {"loc": mu, "scale": b}),
        lambda rng, shape, mu, b: rng.laplace(mu, b, shape),
        _pymc("Laplace"),
    ),
    "Logistic": Family(
        {"mu": REAL, "s": POSITIVE},
        _scipy("logistic", lambda mu, s: {"loc": mu, "scale": s}),
        lambda rng, shape, mu, s: rng.logistic(mu, s, shape),
        _pymc("Logistic"),
    ),
    "Exponential": Family(
        {"lam": POSITIVE},
        _scipy("expon", lambda lam: {"scale": 1.0 / np.asarray(lam)}),
        lambda rng, shape, lam: rng.exponential(1.0 / np.asarray(lam), shape),
        _pymc("Exponential"),
    ),
    "Gamma": Family(
        {"alpha": POSITIVE, "beta": POSITIVE},
        _scipy("gamma", lambda alpha, beta: {"a": alpha, "scale": 1.0 / np.asarray(beta)}),
        lambda rng, shape, alpha, beta: rng.gamma(alpha, 1.0 / np.asarray(beta), shape),
        _pymc("Gamma"),
    ),
    "InverseGamma": Family(
        {"alpha": POSITIVE, "beta": POSITIVE},
        _scipy("invgamma", lambda alpha, beta: {"a": alpha, "scale": beta}),
        lambda rng, shape, alpha, beta: 1.0 / rng.gamma(alpha, 1.0 / np.asarray(beta), shape),
        _pymc("InverseGamma"),
    ),
    "Beta": Family(
        {"alpha": POSITIVE, "beta": POSITIVE},
        _scipy("beta", lambda alpha, beta: {"a": alpha, "b": beta}),
        lambda rng, shape, alpha, beta: rng.beta(alpha, beta, shape),
        _pymc("Beta"),
    ),
    "Uniform": Family(
        {"lower": REAL, "upper": REAL},
        _scipy("uniform", lambda lower, upper: {"loc": lower, "scale": np.asarray(upper) - np.asarray(lower)}),
        lambda rng, shape, lower, upper: rng.uniform(lower, upper, shape),
        _pymc("Uniform"),
    ),
    # Concentration `a` in every component: the flat prior on a simplex at a = 1.
    "Dirichlet": Family({"a": POSITIVE}, _dirichlet_log_density, _dirichlet_random, _dirichlet_graph, event_dims=1),
    # Rows of a square stochastic matrix, row m ~ Dirichlet(base + boost e_m): a confusion matrix that leans to the truth.
    "DiagonalDirichlet": Family(
        {"base": POSITIVE, "boost": NONNEGATIVE}, _diagonal_log_density, _diagonal_random, _diagonal_graph, event_dims=2
    ),
}
