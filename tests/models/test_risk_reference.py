"""Published numbers: Mroz's wages (Wooldridge; sampleSelection) and the fictional wages of Stata's manual.

Two-step estimates with corrected standard errors, and maximum likelihood on our law with SciPy's optimiser.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from bayeskit_models import datasets
from bayeskit_models.risk import heckman_law as law
from bayeskit_models.risk.heckman_kernel import heckman_kernel
from bayeskit_models.risk.regression import least_squares
from bayeskit_models.risk.two_step import MILLS, heckman_two_step

ABOVE = Path(__file__).resolve().parents[3:]


def mroz():
    t = datasets.load("mroz87")
    one = np.ones(len(t))
    testing = np.column_stack([one, t[["nwifeinc", "educ", "exper", "expersq", "age", "kidslt6", "kidsge6"]]])
    outcome = np.column_stack([one, t[["educ", "exper", "expersq"]]])
    names = ("1", "nwifeinc", "educ", "exper", "exper2", "age", "kids5", "kids618")
    return t["lwage"].to_numpy(), t["inlf"].to_numpy() == 1, outcome, testing, ("1", "educ", "exper", "exper2"), names


def womenwk():
    path = next((p for above in ABOVE if (p := above / "shared" / "data" / "risk" / "womenwk.csv").exists()), None)
    if path is None:
        pytest.skip("the shared data are not beside this checkout")
    t = pd.read_csv(path)
    one = np.ones(len(t))
    testing = np.column_stack([one, t[["married", "children", "education", "age"]]])
    outcome = np.column_stack([one, t[["education", "age"]]])
    seen = t["wage"].notna().to_numpy()
    return t["wage"].to_numpy(), seen, outcome, testing, ("1", "educ", "age"), ("1", "married", "children", "educ", "age")


def fit(data):
    y, seen, outcome, testing, names, testing_names = data
    return heckman_two_step(y, seen, outcome, testing, outcome_names=names, testing_names=testing_names)


class Likelihood:
    """Minus the log likelihood by the fused kernel, on columns of unit size, with its gradient."""

    def __init__(self, data):
        self.y, self.seen, self.x, self.z = data[:4]
        self.scales = [np.sqrt((d**2).mean(axis=0)) for d in (self.x, self.z)]
        self.designs = self.x / self.scales[0], self.z / self.scales[1]
        rows, rest = np.flatnonzero(self.seen), np.flatnonzero(~self.seen)
        self.data = (self.y[rows], rows, np.ones(len(rows)), rest, np.ones(len(rest)))

    def __call__(self, theta):
        p = self.x.shape[1]
        q = p + self.z.shape[1]
        predictors = self.designs[0] @ theta[:p], self.designs[1] @ theta[p:q]
        value, d_mu, d_nu, d_sigma, d_a = heckman_kernel(*predictors, theta[q : q + 1], theta[q + 1 :], *self.data)
        return -value, -np.concatenate([d_mu @ self.designs[0], d_nu @ self.designs[1], d_sigma, d_a])

    def maximum(self, start):
        """Coefficients, their standard errors and the log likelihood; the information by differences of the gradient."""
        p, q = self.x.shape[1], self.x.shape[1] + self.z.shape[1]
        first = np.concatenate(
            [start.coefficients[:-1] * self.scales[0], start.testing.coefficients * self.scales[1], [np.log(start.sigma)],
             [np.arctanh(np.clip(start.rho, -0.9, 0.9))]]
        )  # fmt: skip
        found = optimize.minimize(self, first, jac=True, method="BFGS", options={"gtol": 1e-6, "maxiter": 2000})
        theta, step = found.x, 1e-4
        moves = step * np.eye(len(theta))
        information = np.array([(self(theta + m)[1] - self(theta - m)[1]) / (2 * step) for m in moves])
        errors = np.sqrt(np.diag(np.linalg.inv((information + information.T) / 2)))
        units = np.concatenate([*self.scales, [1.0, 1.0]])
        sigma, rho = np.exp(theta[q]), np.tanh(theta[q + 1])
        assert np.abs(self(theta)[1]).max() < 1e-3
        return {
            "outcome": theta[:p] / units[:p], "outcome_se": errors[:p] / units[:p],
            "testing": theta[p:q] / units[p:q], "testing_se": errors[p:q] / units[p:q],
            "sigma": (sigma, errors[q] * sigma), "rho": (rho, errors[q + 1] * (1 - rho**2)), "value": -found.fun,
        }  # fmt: skip


def test_two_step_of_mroz():
    """Every printed digit; and not the standard errors of least squares, 0.306723 for the constant."""
    found = fit(mroz())
    assert found.names == ("1", "educ", "exper", "exper2", MILLS)
    np.testing.assert_allclose(found.coefficients[:4], [-0.578103, 0.109066, 0.043887, -0.000859], atol=5.1e-7)
    np.testing.assert_allclose(found.standard_errors[:4], [0.305006, 0.015523, 0.016261, 0.000439], atol=5.1e-7)
    assert found.coefficients[4] == pytest.approx(0.0323, abs=5.1e-5)
    assert found.standard_errors[4] == pytest.approx(0.1336, abs=5.1e-5)
    assert found.sigma == pytest.approx(0.663629, abs=5.1e-7) and found.rho == pytest.approx(0.048614, abs=5.1e-7)
    assert found.admissible
    probit = found.testing
    told = [0.27008, -0.01202, 0.13090, 0.12335, -0.00189, -0.05285, -0.86833, 0.03601]
    np.testing.assert_allclose(probit.coefficients, told, atol=5.1e-6)
    errors = [0.50859, 0.00484, 0.02525, 0.01872, 0.00060, 0.00848, 0.11852, 0.04348]
    np.testing.assert_allclose(probit.standard_errors, errors, atol=5.1e-6)
    assert probit.log_likelihood == pytest.approx(-401.302, abs=5.1e-4)
    y, seen, outcome, testing, names, _ = mroz()
    ratio = law.numpy_algebra().ratio(testing @ probit.coefficients)[seen]
    naive = least_squares(np.column_stack([outcome[seen], ratio]), y[seen], (*names, MILLS))
    np.testing.assert_allclose(naive.coefficients, found.coefficients, rtol=1e-8)
    assert naive.standard_errors[0] == pytest.approx(0.306723, abs=5.1e-7)


def test_least_squares_of_mroz():
    y, seen, outcome, _, names, _ = mroz()
    found = least_squares(outcome[seen], y[seen], names)
    np.testing.assert_allclose(found.coefficients, [-0.522041, 0.107490, 0.041567, -0.000811], atol=5.1e-7)
    np.testing.assert_allclose(found.standard_errors, [0.198632, 0.014146, 0.013175, 0.000393], atol=5.1e-7)
    share = 1 - found.residual_variance * (428 - 4) / ((y[seen] - y[seen].mean()) ** 2).sum()
    assert share == pytest.approx(0.1568, abs=5.1e-5)


def test_maximum_likelihood_of_mroz():
    data = mroz()
    found = Likelihood(data).maximum(fit(data))
    assert found["value"] == pytest.approx(-832.8851, abs=5.1e-5)
    np.testing.assert_allclose(found["outcome"], [-0.552696, 0.108350, 0.042837, -0.000837], atol=1.1e-6)
    np.testing.assert_allclose(found["outcome_se"], [0.260379, 0.014861, 0.014879, 0.000417], atol=1.1e-6)
    np.testing.assert_allclose(found["sigma"], (0.6634, 0.0227), atol=5.1e-5)
    np.testing.assert_allclose(found["rho"], (0.0266, 0.1471), atol=5.1e-5)


@pytest.mark.parametrize(
    ("rho", "told"), [(0.0, -832.901), (0.3, -835.003), (0.5, -840.632), (-0.5, -838.154), (-0.9, -868.767)]
)
def test_profile_of_mroz(rho, told):
    """The log likelihood at a given correlation, all else at its maximum."""
    data = mroz()
    likelihood, start = Likelihood(data), fit(data)
    first = np.concatenate(
        [start.coefficients[:-1] * likelihood.scales[0], start.testing.coefficients * likelihood.scales[1], [np.log(0.66)]]
    )

    def given(theta):
        value, gradient = likelihood(np.append(theta, np.arctanh(rho)))
        return value, gradient[:-1]

    found = optimize.minimize(given, first, jac=True, method="BFGS", options={"gtol": 1e-5})
    assert -found.fun == pytest.approx(told, abs=6e-4)


def test_rows_of_mroz_sum_to_the_kernel():
    """At the rounded maximum the row-wise law gives the published log likelihood too."""
    y, seen, outcome, testing, *_ = data = mroz()
    best = Likelihood(data).maximum(fit(data))
    rows = law.log_likelihood(
        y, seen, outcome @ best["outcome"], testing @ best["testing"], np.log(best["sigma"][0]), np.arctanh(best["rho"][0])
    )
    assert rows.shape == (753,) and rows.sum() == pytest.approx(best["value"], abs=1e-9)


def test_two_step_of_womenwk():
    found = fit(womenwk())
    np.testing.assert_allclose(found.coefficients, [0.734039, 0.982526, 0.211870, 4.00162], atol=5.1e-6)
    np.testing.assert_allclose(found.standard_errors, [1.24833, 0.05388, 0.02205, 0.60654], atol=5.1e-6)
    assert found.rho == pytest.approx(0.672840, abs=5.1e-7) and found.sigma == pytest.approx(5.947353, abs=5.1e-7)


def test_maximum_likelihood_of_womenwk():
    data = womenwk()
    found = Likelihood(data).maximum(fit(data))
    assert found["value"] == pytest.approx(-5178.3045, abs=5.1e-5)
    np.testing.assert_allclose(found["outcome"], [0.485797, 0.989953, 0.213129], atol=5e-6)
    # the constant's was noted as 1.0771, from second differences of the value; the gradient's give 1.0770383 at any step
    np.testing.assert_allclose(found["outcome_se"], [1.07704, 0.05326, 0.02060], atol=5.1e-6)
    np.testing.assert_allclose(found["testing"], [-2.49102, 0.445172, 0.438707, 0.055732, 0.036510], atol=5.1e-6)
    np.testing.assert_allclose(found["testing_se"], [0.18934, 0.0674, 0.02778, 0.01074, 0.00415], atol=5.1e-5)
    np.testing.assert_allclose(found["rho"], (0.703504, 0.0512), atol=5.1e-5)
    np.testing.assert_allclose(found["sigma"], (6.004794, 0.1657), atol=5.1e-5)
    assert found["rho"][0] * found["sigma"][0] == pytest.approx(4.2244, abs=5.1e-5)
    y, seen, outcome, *_ = data
    naive = least_squares(outcome[seen], y[seen], ("1", "educ", "age"))
    np.testing.assert_allclose(naive.coefficients, [6.084875, 0.8965829, 0.1465739], atol=5.1e-7)
