"""The record that lets a run be repeated: versions, seed, settings, data digest. No paths, no environment."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayeskit.builder import ModelBuilder
    from bayeskit.engine import Sampling

__all__ = ["provenance", "versions"]

LAPLACE = "LAPLACE APPROXIMATION: the normal at the posterior mode, corrected by importance weights where these allow it"

_PACKAGES = ("bayeskit", "pymc", "pytensor", "nutpie", "arviz", "numba", "numpy", "scipy", "xarray", "pandas")


def versions() -> dict[str, str]:
    """Versions of the packages that draws depend on, and of Python."""
    out = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out


def provenance(spec: ModelBuilder, settings: Sampling, data: Mapping[str, Any], started: datetime) -> dict[str, Any]:
    """The record of one run, as JSON-able values."""
    told = {"approximation": LAPLACE} if settings.method == "mode" else {}
    return {
        **told,
        "model": type(spec).__name__,
        "started": started.isoformat(timespec="seconds"),
        "seconds": None,
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        "data": dict(data),
        "sampling": {
            "draws": int(settings.draws),
            "tune": int(settings.tune),
            "chains": int(settings.chains),
            "seed": None if settings.seed is None else int(settings.seed),
            "target_accept": settings.target_accept or 0.9,
            "backend": settings.backend,
            "method": settings.method,
        },
    }
