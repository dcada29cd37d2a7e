"""R-hat, effective sample sizes and Monte Carlo errors of many quantities at once, and a survey of all draws.

The arithmetic is ArviZ's. Ranking is done here for all quantities together and once for R-hat and sample
size, because ranking one quantity after the other is most of the time that ArviZ takes; results are equal to
ArviZ's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MEASURES", "Survey", "diagnostics", "element_name", "mean_errors", "tail_size"]

MEASURES = ("mean", "sd", "r_hat", "ess_bulk", "ess_tail", "mcse_mean")
TAILS = (0.05, 0.95)  # the quantiles of tail ESS, Vehtari et al. (2021)
_CHUNK = 256  # quantities at a time: bounds memory at some 30 MB for 4 chains of 1000 draws
_SHORTEST = 8  # draws: a chain is split in two, and ArviZ needs 4 draws in each half

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def diagnostics(values: ArrayLike) -> dict[str, FloatArray]:
    """Convergence measures of many scalar quantities.

    Parameters
    ----------
    values : array_like, shape (chains, draws, quantities)
        Draws.

    Returns
    -------
    dict of str to ndarray, shape (quantities,)
        ``mean``, ``sd``, ``r_hat`` (rank-normalised, split, the worse of bulk and folded), ``ess_bulk``,
        ``ess_tail`` (5 % and 95 % quantiles) and ``mcse_mean``. NaN where a measure cannot be computed: a
        quantity with NaN or the same value in every draw, chains shorter than 8 draws, R-hat of one chain.
        NaN never means "good".

    Notes
    -----
    Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), Bayesian Analysis 16:667.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 3:
        raise ValueError(f"values has shape {x.shape}; (chains, draws, quantities) is needed.")
    out = {k: np.full(x.shape[2], np.nan) for k in MEASURES}
    if x.size == 0:
        return out
    for start in range(0, x.shape[2], _CHUNK):
        chunk = np.ascontiguousarray(np.moveaxis(x[:, :, start : start + _CHUNK], 2, 0))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            found = _measure(chunk)
        for key, value in found.items():
            out[key][start : start + _CHUNK] = value
    return out


def _measure(x: FloatArray) -> dict[str, FloatArray]:
    """Measures of a chunk, shape (quantities, chains, draws)."""
    size, chains, draws = x.shape
    flat = x.reshape(size, -1)
    out = {
        "mean": flat.mean(axis=1),
        "sd": flat.std(axis=1, ddof=1) if flat.shape[1] > 1 else np.full(size, np.nan),
    }
    usable = np.isfinite(flat).all(axis=1) & (np.ptp(flat, axis=1) > 0)
    if draws < _SHORTEST or not usable.any():
        return out
    good = _mixing(x[usable])
    for key, value in good.items():
        out[key] = np.full(size, np.nan)
        out[key][usable] = value
    out["mcse_mean"] = out["sd"] / np.sqrt(out.pop("ess_mean"))
    if chains == 1:
        out["r_hat"] = np.full(size, np.nan)
    return out


def mean_errors(values: ArrayLike) -> FloatArray:
    """Monte Carlo standard errors of means alone, as `diagnostics` gives them, at a fifth of its cost.

    Parameters
    ----------
    values : array_like, shape (chains, draws, quantities)
        Draws.

    Returns
    -------
    ndarray, shape (quantities,)
        NaN where there is none.
    """
    x = np.ascontiguousarray(np.moveaxis(np.asarray(values, dtype=float), 2, 0))
    flat = x.reshape(len(x), -1)
    usable = np.isfinite(flat).all(axis=1) & (np.ptp(flat, axis=1) > 0)
    out = np.full(len(x), np.nan)
    if x.shape[2] >= _SHORTEST and usable.any():
        out[usable] = flat[usable].std(axis=1, ddof=1) / np.sqrt(_ess(_split(x[usable])))
    return out


def tail_size(values: ArrayLike) -> float:
    """Tail effective sample size of one quantity alone, as `diagnostics` gives it.

    Parameters
    ----------
    values : array_like, shape (chains, draws)
        Draws.

    Returns
    -------
    float
        NaN where there is none.
    """
    x = np.asarray(values, dtype=float)[None]
    if x.shape[2] < _SHORTEST or not np.isfinite(x).all() or np.ptp(x) == 0.0:
        return float("nan")
    ends = np.quantile(x, TAILS)
    return float(min(_ess(_split((x <= end).astype(float)))[0] for end in ends))


def _ess(split: FloatArray) -> FloatArray:
    """Effective sizes of chains that are split already, shape (quantities, chains, draws)."""
    import arviz_stats.base as arviz

    stats: Any = arviz.array_stats  # type: ignore[attr-defined]
    return np.asarray(stats.ess(split, chain_axis=1, draw_axis=2, method="identity"), dtype=np.float64)


def _mixing(x: FloatArray) -> dict[str, FloatArray]:
    import arviz_stats.base as arviz

    # Ranked and split already, hence "identity". Seconds to import, so not at the top.
    stats: Any = arviz.array_stats  # type: ignore[attr-defined]
    ess = _ess

    def rhat(split: FloatArray) -> FloatArray:
        return np.asarray(stats.rhat(split, chain_axis=1, draw_axis=2, method="identity"), dtype=np.float64)

    halves = _split(x)
    bulk = _rank_normalised(halves)
    middle = np.median(halves, axis=(1, 2), keepdims=True)
    folded = _rank_normalised(np.abs(halves - middle))
    ends = np.quantile(x.reshape(len(x), -1), TAILS, axis=1)
    tails = [ess(_split((x <= end[:, None, None]).astype(float))) for end in ends]
    return {
        "r_hat": np.fmax(rhat(bulk), rhat(folded)),
        "ess_bulk": ess(bulk),
        "ess_tail": np.fmin(*tails),
        "ess_mean": ess(halves),
    }


def _split(x: FloatArray) -> FloatArray:
    half = x.shape[2] // 2
    return np.concatenate((x[:, :, :half], x[:, :, -half:]), axis=1)


def _rank_normalised(x: FloatArray) -> FloatArray:
    """Replace values by the normal scores of the average ranks within each quantity (Blom's offset 3/8)."""
    from scipy.special import ndtri

    flat = x.reshape(len(x), -1)
    count = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    opens = np.ones(ordered.shape, dtype=bool)
    opens[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = np.flatnonzero(opens)
    lengths = np.diff(np.append(starts, opens.size))
    # The average rank of a tie is a multiple of one half, so 2 * count - 1 normal scores are all there are.
    twice = 2 * (starts % count) + lengths + 1
    scores = ndtri((np.arange(2, 2 * count + 1) / 2 - 0.375) / (count + 0.25))[twice - 2]
    out = np.empty_like(flat)
    np.put_along_axis(out, order, np.repeat(scores, lengths).reshape(flat.shape), axis=1)
    return out.reshape(x.shape)


def element_name(variable: xr.DataArray, index: int) -> str:
    """Name of one element of a variable whose first two dims are chain and draw: ``"theta[A, 2]"``."""
    dims = variable.dims[2:]
    if not dims:
        return str(variable.name)
    at = np.unravel_index(index, variable.shape[2:])
    labels = [str(variable.coords[d].values[i]) if d in variable.coords else str(i) for d, i in zip(dims, at, strict=True)]
    return f"{variable.name}[{', '.join(labels)}]"


@dataclass(frozen=True)
class Survey:
    """Every scalar quantity of posterior and estimands, with what the checks need to know of it.

    Array attributes have one element a quantity.
    """

    variables: tuple[xr.DataArray, ...]
    starts: NDArray[np.int64]  # first quantity of each variable
    measures: dict[str, FloatArray]
    estimand: BoolArray
    headline: BoolArray
    fixed: BoolArray
    bad: BoolArray  # NaN anywhere, or an infinite parameter
    constant: BoolArray
    whole: BoolArray  # an estimand of whole numbers
    divergent_mean: FloatArray
    chains: int
    draws: int

    @classmethod
    def of(
        cls,
        posterior: xr.Dataset,
        estimands: xr.Dataset | None,
        *,
        fixed: frozenset[str] = frozenset(),
        headline: frozenset[str] = frozenset(),
        divergent: BoolArray | None = None,
    ) -> Survey:
        """Look at every variable of both groups once.

        Parameters
        ----------
        posterior, estimands : Dataset
            Draws; variables without dims chain and draw are left out.
        fixed, headline : frozenset of str
            Names of variables, for `fixed` also of elements.
        divergent : ndarray of bool, shape (chains, draws), optional
            Where the sampler diverged.
        """
        variables = [(v, False) for v in _variables(posterior)] + [(v, True) for v in _variables(estimands)]
        named = headline or {str(v.name) for v, e in variables if e and v.attrs.get("headline")}
        parts = [_look(v, e, str(v.name) in named if named else e, fixed, divergent) for v, e in variables]
        joined: dict[str, Any] = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        return cls(
            variables=tuple(v for v, _ in variables),
            starts=np.cumsum([0, *(len(p["bad"]) for p in parts)]),
            measures={k: joined.pop(k) for k in MEASURES},
            chains=posterior.sizes["chain"],
            draws=posterior.sizes["draw"],
            **joined,
        )

    def name(self, quantity: int) -> str:
        """Name of one quantity, ``"theta[A, 2]"``."""
        which = int(np.searchsorted(self.starts, quantity, side="right")) - 1
        return element_name(self.variables[which], quantity - int(self.starts[which]))

    @property
    def answers(self) -> BoolArray:
        """What people asked for: estimands and headline quantities, or everything where there are none."""
        asked = self.estimand | self.headline
        return asked if asked.any() else np.ones_like(asked)

    @property
    def active(self) -> BoolArray:
        """Quantities for which R-hat and sample sizes mean something."""
        return ~(self.fixed | self.bad | self.constant)


def _variables(group: xr.Dataset | None) -> Iterator[xr.DataArray]:
    for variable in () if group is None else group.data_vars.values():
        if {"chain", "draw"} <= set(variable.dims) and variable.size:
            yield variable.transpose("chain", "draw", ...)


def _look(
    variable: xr.DataArray, estimand: bool, headline: bool, fixed: frozenset[str], divergent: BoolArray | None
) -> dict[str, Any]:
    x = np.asarray(variable.values, dtype=float)
    x = x.reshape(*x.shape[:2], -1)
    size = x.shape[2]
    # An infinite estimand is an answer (a median survival that is never reached), an infinite parameter is a
    # fault.
    bad = (np.isnan(x) if estimand else ~np.isfinite(x)).any(axis=(0, 1))
    x = _inside(x) if estimand else x
    at = divergent if divergent is not None and divergent.any() and divergent.shape == x.shape[:2] else None
    return {
        **diagnostics(x),
        "bad": bad,
        "constant": ~bad & (x == x[:1, :1]).all(axis=(0, 1)),
        "divergent_mean": np.full(size, np.nan) if at is None else x[at].mean(axis=0),
        "fixed": _fixed(variable, size, fixed),
        "estimand": np.full(size, estimand),
        "headline": np.full(size, headline),
        "whole": np.full(size, estimand and variable.dtype.kind in "iub"),
    }


def _inside(x: FloatArray) -> FloatArray:
    """Put infinite draws just outside the finite ones: the diagnostics go by ranks, which stay the same."""
    infinite = np.isinf(x)
    if not infinite.any():
        return x
    finite = np.where(infinite | np.isnan(x), 0.0, x)
    low, high = finite.min(axis=(0, 1)), finite.max(axis=(0, 1))
    margin = high - low + 1.0
    return np.where(infinite, np.where(x > 0, high + margin, low - margin), x)


def _fixed(variable: xr.DataArray, size: int, fixed: frozenset[str]) -> BoolArray:
    name = str(variable.name)
    if name in fixed:
        return np.ones(size, dtype=bool)
    if not any(f.startswith(f"{name}[") for f in fixed):
        return np.zeros(size, dtype=bool)
    return np.array([element_name(variable, i) in fixed for i in range(size)])
