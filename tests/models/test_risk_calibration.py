"""Simulation-based calibration of SelectiveRisk, and bugs planted on purpose, which it must see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit_models.risk import SelectiveRisk

pytestmark = pytest.mark.slow

TIGHT = {"risk_intercept.sigma": 1.0, "risk_effect.sigma": 1.0, "testing_intercept.sigma": 1.0, "testing_effect.sigma": 1.0,
         "unobserved_scale.sigma": 2.0}  # fmt: skip
"""Priors under which few simulated tables have nobody tested or nobody untested."""
SBC = {"seed": 4, "draws": 250, "tune": 400, "chains": 2, "progress": False, "n": 150, "dials": TIGHT}
BINARY = {"risk": "x1 + x2", "expertise": ["x1"], "prevalence": (0.4, 0.1)}
LINEAR = {"family": "gaussian", "link": "probit", "unobserved": "normal", "alpha": "free", "risk": "x1", "testing": "x1 + x2",
          "unit": (0.0, 1.0)}  # fmt: skip
LINEAR_SBC = {**SBC, "dials": {**TIGHT, "unobserved_scale.sigma": 1.0}}


def test_calibrated():
    """Uniform unobservables with expertise and a prevalence: 200 simulations of 150 rows; no failed fit is dropped silently."""
    found = SelectiveRisk(**BINARY).calibrate(simulations=200, **SBC)
    print(found)
    assert not found.offenders and found.failed <= 10, found


def test_calibrated_with_a_continuous_outcome():
    """Heckman's model: 200 simulations of 150 rows."""
    found = SelectiveRisk(**LINEAR).calibrate(simulations=200, **LINEAR_SBC)
    print(found)
    assert not found.offenders and found.failed <= 10, found


def test_calibrated_with_normal_errors_and_a_binary_outcome():
    """The bivariate probit model: 60 simulations of 150 rows."""
    dials = {k: v for k, v in TIGHT.items() if not k.startswith("unobserved")}
    found = SelectiveRisk.probit(risk="x1", testing="x1 + x2").calibrate(simulations=60, **{**SBC, "dials": dials})
    print(found)
    assert not found.offenders and found.failed <= 6, found


def test_calibrated_by_quadrature():
    """Normal unobservables and a slope of 0.7, for which there is no closed form: 60 simulations of 150 rows."""
    found = SelectiveRisk(risk="x1", unobserved="normal", alpha=0.7).calibrate(simulations=60, **SBC)
    print(found)
    assert not found.offenders and found.failed <= 6, found


@dataclass(frozen=True)
class _Planted(SelectiveRisk):
    """Simulates as the honest model does and reads its tables wrongly."""

    def simulate(self, rng=None, **settings):
        return SelectiveRisk(**(BINARY if self.family == "bernoulli" else LINEAR)).simulate(rng, **settings)


class _UntestedAreHealthy(_Planted):
    """Some of the untested count as tested with outcome 0, as where their cells hold a 0."""

    def encode(self, table):
        wrong = (table["t"] == 0) & (np.arange(len(table)) % 2 == 0)
        return super().encode(table.assign(t=np.where(wrong, 1, table["t"]), y=np.where(wrong, 0.0, table["y"])))


class _TestsTurnedRound(_Planted):
    """Covariates of testing and risk are exchanged."""

    def encode(self, table):
        return super().encode(table.assign(x1=table["x2"], x2=table["x1"]))


@pytest.mark.parametrize("bug", ["prior", "healthy", "exchanged"])
def test_calibration_sees_a_planted_bug(bug):
    """A prior of effects a fifth as wide, untested rows read as healthy, and covariates exchanged."""
    if bug == "prior":
        found = SelectiveRisk(**BINARY).calibrate(simulations=60, **SBC, fit_dials={"risk_effect.sigma": 0.2})
        expected = "risk_effect"
    else:
        wrong, expected = {"healthy": (_UntestedAreHealthy, "risk_intercept"), "exchanged": (_TestsTurnedRound, "risk_effect")}[
            bug
        ]
        found = wrong(**BINARY).calibrate(simulations=60, **SBC)
    print(found)
    assert any(name.startswith(expected) for name in found.offenders), found


def test_calibration_sees_a_planted_bug_with_a_continuous_outcome():
    """The correlation of the simulating law is not negative, that of the fit of either sign and mostly so."""
    found = SelectiveRisk(**LINEAR).calibrate(simulations=60, **LINEAR_SBC, fit_dials={"correlation.upper": 0.0})
    print(found)
    assert any(name.startswith(("correlation", "estimand error_correlation")) for name in found.offenders), found
