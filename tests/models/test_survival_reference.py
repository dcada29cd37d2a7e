"""Maximum likelihood on real data sets: log likelihoods to 1e-3 of those computed independently, and refusals of ridges."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit_models import datasets
from bayeskit_models.survival import FlexibleSurvival

SETS = {
    "lung": {"duration": "time", "event": "status"},
    "gbsg2": {"duration": "time", "event": "cens"},
    "rossi": {"duration": "week", "event": "arrest"},
    "waltons": {"duration": "T", "event": "E"},
}
COVARIATE = {"lung": "I(sex - 1)", "gbsg2": "horTh", "rossi": "fin", "waltons": "group"}
MODELS = {
    "null Weibull": lambda x: {"law": "weibull"},
    "null log-logistic": lambda x: {"law": "loglogistic"},
    "null APGW": lambda x: {},
    "APGW, both scales": lambda x: {"hazard": "1"},
    "AFT": lambda x: {"scale": x},
    "PH": lambda x: {"hazard": x, "reference": "zero"},
    "scale and shape": lambda x: {"scale": x, "shape": x},
    "hazard and shape": lambda x: {"hazard": x, "shape": x, "reference": "zero"},
    "Weibull, scale and shape": lambda x: {"law": "weibull", "scale": x, "shape": x},
}
TABLE = {
    "lung": (-1153.8512, -1160.9306, -1153.7533, -1153.5720, -1148.6315, -1148.5899, -1147.0604, -1147.0421, -1147.0805),
    "gbsg2": (-2637.2764, -2627.9472, -2619.2079, -2613.1267, -2615.3500, -2614.7515, -2614.8393, -2614.6062, -2632.0860),
    "rossi": (-696.6244, -696.6745, -696.6170, None, -694.6825, -694.6799, -694.5889, -694.5830, -694.5889),
    "waltons": (-672.0622, -701.8227, -655.9783, -646.9262, -631.2737, -619.7548, -594.8197, -593.4214, -597.3939),
}
KAPPA = {
    ("lung", "null APGW"): 1.39,
    ("gbsg2", "null APGW"): -0.42,
    ("gbsg2", "APGW, both scales"): 0.15,
    ("lung", "AFT"): 0.88,
}
LIMITS = [("waltons", m) for m in ("null APGW", "APGW, both scales", "PH", "hazard and shape")]
"""Fits whose kappa runs away to the Gompertz limit: the log likelihood is flat there and is not called a fit."""


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("model", MODELS)
def test_log_likelihood_of_the_best_fit(name, model):
    exact = TABLE[name][list(MODELS).index(model)]
    spec = FlexibleSurvival(**SETS[name], **MODELS[model](COVARIATE[name]))
    found = spec.mode(datasets.load(name), prior=False, starts=6)
    if exact is None:
        assert found.status != "ok" and "power" in found.message
        return
    assert found.log_likelihood == pytest.approx(exact, abs=1e-3)
    assert (found.status == "ok") == ((name, model) not in LIMITS)
    if (name, model) in LIMITS:
        assert "kappa > 50" in repr(found) and "NOT A FIT" in repr(found)
    if (name, model) in KAPPA:
        assert np.expm1(found.values["tail_intercept"]) == pytest.approx(KAPPA[name, model], abs=6e-3)


def test_rossi_with_all_covariates():
    """lifelines' published Weibull AFT: -679.9166."""
    formula = "fin + age + race + wexp + mar + paro + prio"
    spec = FlexibleSurvival.weibull(formula, duration="week", event="arrest")
    assert spec.mode(datasets.load("rossi"), prior=False).log_likelihood == pytest.approx(-679.9166, abs=1e-4)
