"""Named judge-quality presets. They are bayeskit's own: the priors of the paper are not known to us.

For two levels the quality of a judge is TPR - FPR, with a Beta prior; for more, the rows of its matrix are Dirichlet with
`boost` extra pseudo-counts on the true level.
"""

from __future__ import annotations

from math import inf

from bayeskit.errors import SpecificationError, suggest

__all__ = ["QUALITY_BETA", "QUALITY_BOOST", "beta_of", "boost_of"]

QUALITY_BETA: dict[str, tuple[float, float]] = {
    "vague": (1.0, 1.0),
    "weak": (2.0, 6.0),
    "moderate": (5.0, 5.0),
    "strong": (6.0, 3.0),
    "near-perfect": (18.0, 2.0),
}

QUALITY_BOOST: dict[str, float] = {"vague": 0.5, "weak": 1.0, "moderate": 2.0, "strong": 10.0, "near-perfect": 50.0}


def _known(name: str) -> str:
    if name not in QUALITY_BETA:
        raise SpecificationError(
            f"quality={name!r} is not a preset.{suggest(name, QUALITY_BETA)} Presets: {', '.join(QUALITY_BETA)}; "
            "or give numbers (see the model card)."
        )
    return name


def beta_of(quality: str | float | tuple[float, float]) -> tuple[float, float]:
    """Beta parameters of the quality of two-level judges."""
    if isinstance(quality, str):
        return QUALITY_BETA[_known(quality)]
    if isinstance(quality, tuple) and len(quality) == 2 and all(0.0 < v < inf for v in quality):
        return float(quality[0]), float(quality[1])
    raise SpecificationError(
        f"quality={quality!r}: with two levels and monotone=True give a preset or the two parameters (a, b) > 0 of the Beta "
        "prior on TPR - FPR."
    )


def boost_of(quality: str | float | tuple[float, float]) -> float:
    """Extra Dirichlet pseudo-counts on the true level."""
    if isinstance(quality, str):
        return QUALITY_BOOST[_known(quality)]
    if isinstance(quality, int | float) and not isinstance(quality, bool) and 0 <= quality < inf:
        return float(quality)
    raise SpecificationError(
        f"quality={quality!r}: give a preset or a number of pseudo-counts (at least 0) on the true level of each row."
    )
