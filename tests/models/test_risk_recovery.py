"""What constraints do, on the published synthetic study: coverage, shrinkage, conflict with a wrong prevalence, the sampler.

Twenty data sets of 5000 rows with uniform unobservables and alpha = 1, the true values of each drawn anew. Two compiled models
serve all fits: with departures of testing along every feature, and along the first only; the prevalence is taken off by a dial.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")

from bayeskit.engine import Sampling, compile_count
from bayeskit.fit import run
from bayeskit_models.risk import Prevalence, SelectiveRisk, synthetic_screening
from bayeskit_models.risk.conflict import Conflict, untested_identity
from bayeskit_models.risk.population import coefficients_of, pooled

pytestmark = pytest.mark.slow

SETS, N = 20, 5000
OFF = {"prevalence.sd": 1e3}
KINDS = ("none", "prevalence", "expertise", "both")
BLOCKS = ("risk", "testing", "sigma")


def spec_of(kind, p=0.4):
    expertise = ["x1"] if kind in ("expertise", "both") else None
    return SelectiveRisk(risk="x1 + x2 + x3 + x4", prevalence=Prevalence(p, n=N), expertise=expertise)


def fitted(kind, made, p, seed):
    """A fit of 2 x 400 draws. The stated value and its sd are dials, so that one model serves every data set."""
    spec = spec_of(kind)
    sd = float(np.sqrt(p * (1 - p) / N))
    dials = {"prevalence.value": p, "prevalence.sd": sd} if kind in ("prevalence", "both") else OFF
    return run(spec, spec.statistics(made.table), Sampling(400, 400, 2, seed, progress=False), dials=dials)


@dataclass
class Found:
    """Widths, errors and coverage of one fit, by block."""

    width: dict[str, float]
    error: dict[str, float]
    covered: dict[str, np.ndarray]
    r_hat: float
    divergences: int


def judged(fit, made):
    draws = pooled(fit.posterior)
    risk = np.c_[draws["risk_intercept"], draws["risk_effect"]]
    testing = np.c_[draws["testing_intercept"], draws["testing_effect"]][:, :2]
    truth = made.parameters
    blocks = {
        "risk": (risk, truth["risk"]),
        "testing": (testing, truth["testing"][:2]),
        "sigma": (draws["unobserved_scale"][:, None], np.array([truth["sigma"]])),
    }
    width, error, covered = {}, {}, {}
    for name, (x, true) in blocks.items():
        low, high = np.quantile(x, (0.025, 0.975), axis=0)
        width[name], error[name] = float((high - low).mean()), float(np.abs(x.mean(0) - true).mean())
        covered[name] = (low <= true) & (true <= high)
    r_hat = float(fit.summary(group="posterior")["r_hat"].max())
    return Found(width, error, covered, r_hat, int(fit.draws["sample_stats"]["diverging"].sum()))


@dataclass
class Study:
    found: dict[str, list[Found]]
    right: list[Conflict]
    wrong: list[Conflict]
    wrong_fits: list[Found]
    compiled: int


@pytest.fixture(scope="module")
def study():
    found = {k: [] for k in KINDS}
    right, wrong, wrong_fits, before = [], [], [], None
    for seed in range(1, SETS + 1):
        made = synthetic_screening(seed)
        p = float(made.truth["outcome"].mean())
        for kind in KINDS:
            fit = fitted(kind, made, p, seed)
            found[kind].append(judged(fit, made))
            if kind == "none" and seed <= 10:
                implied = coefficients_of(fit.spec, pooled(fit.posterior), fit.statistics, fit.dials).implied(fit.statistics)
                for value, into in ((p, right), (1.25 * p, wrong)):
                    stated = np.array([[value, value, float(np.sqrt(value * (1 - value) / N))]])
                    into.append(Conflict(("all",), stated, implied, "PASS"))
        if before is None:
            before = compile_count()
        if seed <= 6:
            wrong_fits.append(judged(fitted("prevalence", made, 1.25 * p, seed), made))
    return Study(found, right, wrong, wrong_fits, compile_count() - before)


def medians(study, what):
    """Median change against the unconstrained fit of the same data, in per cent, by constraint and block."""
    base = study.found["none"]
    table = {
        kind: [
            100
            * np.median([getattr(f, what)[b] / getattr(u, what)[b] - 1 for f, u in zip(study.found[kind], base, strict=True)])
            for b in BLOCKS
        ]
        for kind in KINDS[1:]
    }
    return pd.DataFrame(table, index=list(BLOCKS)).T


def test_coverage(study):
    """95 % intervals of the 5 x 20 coefficients of the risk cover 0.88 to 1.00 (standard error 0.022, more as a set's are
    dependent), and so do those of testing and of sigma pooled over the four kinds of fit."""
    rows = {k: [np.mean(np.concatenate([f.covered[b] for f in study.found[k]])) for b in BLOCKS] for k in KINDS}
    print(pd.DataFrame(rows, index=list(BLOCKS)).T.round(3).to_string())
    for kind in KINDS:
        assert 0.88 <= rows[kind][0] <= 1.0, kind
    assert np.mean([rows[k][1] for k in KINDS]) >= 0.88 and np.mean([rows[k][2] for k in KINDS]) >= 0.85


def test_shrinkage(study):
    """Prevalence narrows intervals by 20 to 55 % in the median, expertise by 3 to 40 %; both together halve the errors."""
    width, error = medians(study, "width"), medians(study, "error")
    print("median change of widths (%)", width.round(0).to_string(), "of errors (%)", error.round(0).to_string(), sep="\n")
    assert ((width.loc["prevalence"] <= -20) & (width.loc["prevalence"] >= -60)).all()
    assert ((width.loc["expertise"] <= -3) & (width.loc["expertise"] >= -40)).all()
    assert (error.loc["both", ["risk", "testing"]] < -20).all()


def test_a_wrong_prevalence_does_not_pass(study):
    """+25 %: in at least 9 of 10 data sets it is told, in at most 1 of 10 where it is right. Narrower, and wrong."""
    told = [c.conflict for c in study.wrong], [c.conflict for c in study.right]
    print("told of", sum(told[0]), "wrong ones and", sum(told[1]), "right ones of 10")
    assert sum(told[0]) >= 9 and sum(told[1]) <= 1
    base = study.found["none"][: len(study.wrong_fits)]
    width = np.median([w.width["risk"] / u.width["risk"] for w, u in zip(study.wrong_fits, base, strict=True)])
    error = np.median([w.error["risk"] / u.error["risk"] for w, u in zip(study.wrong_fits, base, strict=True)])
    print(f"wrong prevalence: widths x {width:.2f}, errors x {error:.2f}")
    assert width < 0.8 and error > 1.5


def test_the_sampler_keeps_up(study):
    """No divergences in any of the 86 fits, R-hat below 1.1 with 2 x 400 draws, nothing compiled after the first data set."""
    everything = [f for k in KINDS for f in study.found[k]] + study.wrong_fits
    print("worst R-hat", round(max(f.r_hat for f in everything), 3))
    assert sum(f.divergences for f in everything) == 0
    assert max(f.r_hat for f in everything) < 1.1
    assert study.compiled == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_total_probability_holds_for_a_fit_to_many_rows(seed):
    """With 20,000 rows the fitted risk of the untested is what total probability leaves, within 0.01 (found: 0.002)."""
    made = synthetic_screening(seed, n=20_000)
    p = float(made.truth["outcome"].mean())
    spec = SelectiveRisk(risk="x1 + x2 + x3 + x4", prevalence=Prevalence(p, n=20_000), expertise=["x1"])
    found = untested_identity(run(spec, spec.statistics(made.table), Sampling(300, 400, 2, seed, progress=False)))
    assert found.stated and abs(found.implied - found.fitted) < 0.01
