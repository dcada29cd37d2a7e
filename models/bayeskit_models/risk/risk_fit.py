"""The questions people ask of a SelectiveRisk fit."""

from __future__ import annotations

from bayeskit import Fit

__all__ = ["RiskFit"]


class RiskFit(Fit):
    """A fitted `SelectiveRisk`."""
