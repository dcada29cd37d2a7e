"""Tails of the normal distribution for kernels: log CDF, Mills ratio and inverse Mills ratio, without branches.

The Mills ratio ``M(t) = (1 - Phi(t)) / phi(t)`` is smooth and falls like ``1 / t``. So ``(t + 2) M(t)`` is a smooth function of
``y = (t - 5) / (t + 5)`` on [-1, 1], and its Chebyshev polynomial of degree 23 is exact to rounding: the sum of the
coefficients left out is 2e-17. One polynomial for all ``t >= 0`` lets LLVM turn a loop over it into vector instructions; the
usual rational functions by range would not. The coefficients were computed with 50 digits and are tested against mpmath.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numba

from bayeskit.fused import fast_exp, fast_log

__all__ = ["HALF_LOG_2PI", "ROOT_2PI", "inline", "log_cdf_and_ratio", "mills"]

HALF_LOG_2PI = 0.91893853320467274178
ROOT_2PI = 2.50662827463100050242

inline: Any = numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")
"""Compile a helper into its caller: sums keep their order, and a NaN stays one."""


@inline
def mills(t):  # type: ignore[no-untyped-def]
    """Mills ratio ``(1 - Phi(t)) / phi(t)`` for ``t >= 0``; relative error below 5e-16."""
    y = (t - 5.0) / (t + 5.0)
    p = -8.007837323015205e-10
    p = p * y - 1.0227475923342874e-09
    p = p * y + 9.070770074647381e-09
    p = p * y + 1.2631652949555704e-08
    p = p * y - 6.253843284531737e-08
    p = p * y - 9.166457967349542e-08
    p = p * y + 3.9316824575391634e-07
    p = p * y + 5.120485772352674e-07
    p = p * y - 2.666982624411184e-06
    p = p * y - 1.867386756537615e-06
    p = p * y + 1.9525904553313946e-05
    p = p * y - 8.151204570762286e-06
    p = p * y - 0.00013196462346463784
    p = p * y + 0.000305574810549578
    p = p * y + 0.0003561127690137021
    p = p * y - 0.0036509582636543836
    p = p * y + 0.010385352755602347
    p = p * y - 0.015488568533924307
    p = p * y + 0.002815100858352269
    p = p * y + 0.053777978348720834
    p = p * y - 0.1776736344104072
    p = p * y + 0.36872296454502257
    p = p * y - 0.5890823024863249
    p = p * y + 1.3496567330072102
    return p / (t + 2.0)


@inline
def log_cdf_and_ratio(z):  # type: ignore[no-untyped-def]
    """``log Phi(z)`` and the inverse Mills ratio ``phi(z) / Phi(z)``, its derivative; both to rounding in both tails."""
    m = mills(abs(z))
    half = -0.5 * z * z
    density = fast_exp(half) / ROOT_2PI
    upper = density * m  # 1 - Phi(|z|)
    near = fast_log(1.0 - upper)
    # log(1 - upper) by its series where 1 - upper rounds the digits of upper away
    far = -upper * (1.0 + upper * (0.5 + upper * (1.0 / 3.0 + upper * 0.25)))
    above = far if upper < 1e-4 else near
    below = half - HALF_LOG_2PI + fast_log(m)
    return (above if z > 0.0 else below), (density / (1.0 - upper) if z > 0.0 else 1.0 / m)
