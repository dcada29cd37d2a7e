"""The veteran data, which scikit-survival carries: maximum likelihood and metrics. Runs where that is installed.

Figures: log likelihoods computed independently, the multi-parameter regression also by R's mpr 1.0.6 (-746.40095); the metrics
of the Weibull fit by scikit-survival 0.28.0 to the digits given.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from bayeskit_models.survival import FlexibleSurvival
from bayeskit_models.survival.algebra import numpy_algebra
from bayeskit_models.survival.metrics import (
    Followed,
    auc,
    brier,
    censoring_curve,
    concordance,
    integrated,
    survival_curve,
    uno_concordance,
)
from bayeskit_models.survival.predictors import predictors
from bayeskit_models.survival.statistics import standardised

sksurv = pytest.importorskip("sksurv.datasets")

TIMES = np.array([30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 365.0])


@pytest.fixture(scope="module")
def table():
    x, y = sksurv.load_veterans_lung_cancer()
    facts = {"time": y["Survival_in_days"], "status": y["Status"].astype(int), "karno": x["Karnofsky_score"].to_numpy()}
    return pd.DataFrame({**facts, "trt": (x["Treatment"] == "test").to_numpy().astype(int)})


MODELS = {
    "null Weibull": ({"law": "weibull"}, -748.0912),
    "null log-logistic": ({"law": "loglogistic"}, -750.2658),
    "null APGW": ({}, -746.9681),
    "null APGW, both scales": ({"hazard": "1"}, -746.2052),
    "AFT": ({"scale": "trt"}, -746.8959),
    "PH": ({"hazard": "trt", "reference": "zero"}, -746.9680),
    "scale and shape": ({"scale": "trt", "shape": "trt"}, -745.8811),
    "hazard and shape": ({"hazard": "trt", "shape": "trt", "reference": "zero"}, -745.9285),
    "Weibull, scale and shape": ({"law": "weibull", "scale": "trt", "shape": "trt"}, -746.4009),
    "Weibull PH of mpr": ({"law": "weibull", "scale": "trt"}, -748.06482),
}
KAPPA = {"null APGW": 0.41, "scale and shape": 0.51}


@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_of_the_best_fit(table, name):
    settings, exact = MODELS[name]
    found = FlexibleSurvival(event="status", **settings).mode(table, prior=False)
    assert found.status == "ok"
    assert found.log_likelihood == pytest.approx(exact, abs=1e-4)
    if name in KAPPA:
        assert np.expm1(found.values["tail_intercept"]) == pytest.approx(KAPPA[name], abs=6e-3)


@pytest.fixture(scope="module")
def hazard(table):
    """H(t | x) of the Weibull AFT fit, shape (1, n); its log likelihood is -725.7921."""
    spec = FlexibleSurvival.weibull("karno + trt", event="status")
    mode = spec.mode(table, prior=False)
    assert mode.log_likelihood == pytest.approx(-725.7921, abs=1e-4)
    rows = spec.encode(table)
    statistics = spec.reduce(rows)
    values = {k: np.asarray(v)[None] for k, v in mode.values.items()}
    logs = predictors(spec, values, standardised(spec, statistics, rows), {"tail.kappa": 1.0})
    return lambda t: numpy_algebra().cumulative_hazard(np.log(t / float(statistics["time_scale"])), *logs) + np.zeros((1, 137))


def test_metrics_of_the_weibull_fit(table, hazard):
    rows = Followed.of(table["time"], table["status"])
    curve, marginal = censoring_curve(rows), survival_curve(rows)
    assert concordance(hazard(365.0), rows)[0] == pytest.approx(0.71149, abs=5.1e-6)
    assert uno_concordance(hazard(365.0), rows, curve, 365.0)[0] == pytest.approx(0.70237, abs=5.1e-6)
    found = np.array([brier(np.exp(-hazard(t)), rows, curve, t)[0] for t in TIMES])
    exact = [0.15308, 0.17274, 0.17111, 0.19112, 0.15976, 0.13627, 0.10184, 0.07918]
    assert found == pytest.approx(exact, abs=5.1e-6)
    assert integrated(found, TIMES)[0] == pytest.approx(0.14302, abs=5.1e-6)
    null = np.array([brier(np.full((1, 137), marginal.at(t)), rows, curve, t)[0] for t in TIMES])
    assert integrated(null, TIMES)[0] == pytest.approx(0.16796, abs=5.1e-6)
    exact = [0.8445, 0.8264, 0.8421, 0.7442, 0.7142, 0.6960, 0.6908, 0.7119]
    assert [auc(hazard(t), rows, curve, t)[0] for t in TIMES] == pytest.approx(exact, abs=5.1e-5)


@pytest.mark.slow
def test_posterior_scores_hold_those_of_the_best_fit(table):
    """The mean prediction scores as the best fit within 0.002 (the priors are weak); its null is that of the table."""
    fit = FlexibleSurvival.weibull("karno + trt", event="status").fit(table, seed=1, draws=500, tune=500, progress=False)
    found = fit.metrics(table, times=TIMES, tau=365)
    assert float(found.predictive["harrell_c"]) == pytest.approx(0.71149, abs=2e-3)
    assert float(found.predictive["uno_c"]) == pytest.approx(0.70237, abs=2e-3)
    assert float(found.predictive["integrated_brier"]) == pytest.approx(0.14302, abs=2e-3)
    assert float(found.null["integrated_brier"]) == pytest.approx(0.16796, abs=5.1e-6)
