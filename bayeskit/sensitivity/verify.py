"""What refits say where draws do not reach, and whether they say the same as the draws where these do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.convergence import mean_errors
from bayeskit.errors import BayeskitError
from bayeskit.sensitivity.change import Powers
from bayeskit.sensitivity.power import between
from bayeskit.sensitivity.result import Row, Verification

if TYPE_CHECKING:
    from bayeskit.fit import Fit

__all__ = ["HALF_AND_DOUBLE", "refitted_rows", "verified"]

HALF_AND_DOUBLE = (0.5, 2.0)
"""Exponents of refits: far enough apart that the noise of two sets of draws does not drown what moves."""

_FEWEST = 1000  # draws of a refit that stands in for too few draws
# Of a step, down and up: less would drown in noise, more leaves the tangent (30 % off at a half, 8 % at a quarter, for the
# scale of a normal prior).
_FRACTION = 0.25
_TRUSTED = ("PASS", "WARN")

FloatArray = NDArray[np.float64]
Quantities = Callable[[Any], FloatArray]


def refitted_rows(
    fit: Fit, rows: list[Row], quantities: Quantities, judge: Callable[[float, float], str], sampling: Mapping[str, Any]
) -> list[Row]:
    """Put refits in the place of the rows of one assumption that the draws cannot tell.

    Parameters
    ----------
    fit : Fit
        The fit whose draws do not reach.
    rows : list of Row
        Of one assumption, one for each quantity.
    quantities : callable
        Maps a fit to the draws of its quantities, shape (chains, draws, Q).
    judge : callable
        Maps index and likelihood index to a state.
    sampling : mapping
        What `refit` takes.
    """
    name, settings = rows[0].assumption, dict(sampling)
    settings.setdefault("draws", max(_FEWEST, int(fit.provenance["sampling"]["draws"])))
    settings.setdefault("tune", max(_FEWEST, int(fit.provenance["sampling"]["tune"])))
    try:
        refits = [Powers(fit, {name: alpha}).refit(**settings) for alpha in HALF_AND_DOUBLE]
    except BayeskitError as error:
        return [replace(r, how=f"the refit failed: {str(error).splitlines()[0]}") for r in rows]
    found = [r.verdict.status.value for r in refits]
    how = f"refitted to the powers 0.5 and 2: {', '.join(found)}"
    half, double = (quantities(r) for r in refits)
    usable = np.isfinite(half).all((0, 1)) & np.isfinite(double).all((0, 1))
    if not usable.all() or not set(found) <= set(_TRUSTED):
        return [replace(r, how=how) for r in rows]  # still unreliable, and it says why
    index = between(half, double) / math.log2(HALF_AND_DOUBLE[1] / HALF_AND_DOUBLE[0])
    moved = (double.mean((0, 1)) - half.mean((0, 1))) / (HALF_AND_DOUBLE[1] - HALF_AND_DOUBLE[0])
    spread = 0.5 * (half.std((0, 1)) + double.std((0, 1)))
    return [
        replace(
            r,
            index=float(index[q]),
            direction=float(moved[q] / spread[q]) if spread[q] > 0 else math.nan,
            state=judge(float(index[q]), r.likelihood_index),
            how=how,
        )
        for q, r in enumerate(rows)
    ]


@dataclass(frozen=True)
class _Step:
    """Two refits around the fit, and how far apart they are in steps."""

    refits: tuple[Fit, Fit]
    apart: float


def verified(
    fit: Fit, rows: list[Row], names: list[str], quantities: Quantities, sampling: Mapping[str, Any]
) -> Verification | None:
    """Refit the most important row, a quarter step down and up; None where no row has a number.

    Parameters
    ----------
    fit, rows, names, quantities, sampling
        The fit, all rows, the names of the quantities, a function from a fit to their draws, and what `refit` takes.
    """
    known = [r for r in rows if math.isfinite(r.index)]
    if not known:
        return None
    row = max(known, key=lambda r: r.index)
    q, turns = names.index(row.quantity), bool(row.dial) and math.isfinite(row.shift)
    base = quantities(fit)[..., q]
    if turns:
        said, error = row.shift, row.shift_mcse
    else:
        said, error = row.direction, _direction_error(fit, row.assumption, base)
    told = {"quantity": row.quantity, "assumption": row.assumption, "dial": row.dial if turns else ""}
    try:
        step = _refits(fit, row, turns, sampling)
    except BayeskitError as failure:
        nothing = Verification(**told, shift=said, shift_mcse=error, refit_shift=math.nan, refit_mcse=math.nan, verdicts=())
        return replace(nothing, message=str(failure).splitlines()[0])
    down, up = (quantities(r)[..., q] for r in step.refits)
    scale = 1.0 / (step.apart * float(base.std()))
    errors = [float(mean_errors(x[..., None])[0]) for x in (down, up)]
    return Verification(
        **told,
        shift=said,
        shift_mcse=error,
        refit_shift=float(up.mean() - down.mean()) * scale,
        refit_mcse=math.hypot(*errors) * scale,
        verdicts=tuple(r.verdict.status.value for r in step.refits),
    )


def _refits(fit: Fit, row: Row, turns: bool, sampling: Mapping[str, Any]) -> _Step:
    if not turns:
        ends = 1.0 - _FRACTION, 1.0 + _FRACTION
        down, up = (Powers(fit, {row.assumption: alpha}).refit(**sampling) for alpha in ends)
        return _Step((down, up), ends[1] - ends[0])
    dial = next(a for a in fit.assumptions if a.name == row.assumption).dials[row.dial]
    here, far = float(fit.dials[row.dial]), _FRACTION * row.step
    ends = max(here - far, dial.low), min(here + far, dial.high)
    down, up = (fit.refit(dials={row.dial: value}, **sampling) for value in ends)
    return _Step((down, up), (ends[1] - ends[0]) / row.step)


def _direction_error(fit: Fit, name: str, base: FloatArray) -> float:
    """Monte Carlo standard error of the covariance of a quantity with the log density of an assumption."""
    part = np.asarray(fit.draws["log_prior"][name].transpose("chain", "draw").values, dtype=float)
    product = (base - base.mean()) * (part - part.mean())
    return float(mean_errors(product[..., None])[0] / base.std())
