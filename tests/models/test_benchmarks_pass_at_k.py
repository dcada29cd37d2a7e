"""pass@k against exhaustive counts, fine quadrature, closed forms and mpmath."""

from __future__ import annotations

from itertools import combinations
from math import comb

import mpmath
import numpy as np
import pytest
from scipy import integrate, special, stats

pytest.importorskip("pymc")

from bayeskit import DataError, SpecificationError
from bayeskit_models.benchmarks.pass_at_k import beta_pass_at_k, pass_at_k, pass_at_k_new_items, pass_at_k_these_items


def test_the_estimate_counts_subsets():
    """Every subset of k of 7 samples, 3 of them correct: the share with a correct one; and binomials for large n."""
    solved = [1, 1, 1, 0, 0, 0, 0]
    for k in range(1, 8):
        share = np.mean([any(s) for s in combinations(solved, k)])
        assert pass_at_k(7, 3, k) == pytest.approx(share, abs=1e-14)
    found = pass_at_k(200, [0, 1, 50, 200], 100)
    assert found == pytest.approx([1 - comb(200 - c, 100) / comb(200, 100) for c in (0, 1, 50, 200)], abs=1e-12)


def test_the_estimate_is_unbiased():
    """Summed over all counts of 6 samples: 1 - (1 - p)^4 exactly."""
    c = np.arange(7)
    for p in (0.05, 0.4):
        assert stats.binom.pmf(c, 6, p) @ pass_at_k(6, c, 4) == pytest.approx(1 - (1 - p) ** 4, abs=1e-13)


def test_new_items_against_adaptive_quadrature():
    """Five orders up to 10,000, narrow and wide effects, with and without guessing; error below 1e-9."""
    ks = [1, 2, 10, 100, 10_000]
    for eta, sd, chance in ((-2.0, 2.4, 0.0), (0.5, 0.3, 0.25), (-6.0, 4.0, 0.0), (1.0, 0.0, 0.1)):
        found = pass_at_k_new_items([[eta]], sd, ks, chance=chance)[0, 0]
        for k, value in zip(ks, found, strict=True):

            def integrand(z, k=k, eta=eta, sd=sd, chance=chance):
                fail = np.log1p(-chance) - np.logaddexp(0.0, eta + sd * z)
                return -np.expm1(k * fail) * stats.norm.pdf(z)

            exact = integrate.quad(integrand, -12, 12, limit=400, epsabs=1e-12, epsrel=1e-12, points=(-3, 0, 3))[0]
            assert value == pytest.approx(exact, abs=1e-9), (eta, sd, chance, k)


def test_new_items_draw_by_draw_and_these_items():
    rng = np.random.default_rng(2)
    eta, sd = rng.normal(size=(6, 3)), np.abs(rng.normal(size=6))
    found = pass_at_k_new_items(eta, sd, [1, 5])
    assert found.shape == (6, 3, 2)
    assert found[4, 1] == pytest.approx(pass_at_k_new_items([[eta[4, 1]]], sd[4], [1, 5])[0, 0], abs=1e-14)
    p = special.expit(eta[:, :, None] + rng.normal(size=(6, 3, 11)))
    these = pass_at_k_these_items(p, [1, 3])
    assert these[..., 0] == pytest.approx(p.mean(-1), abs=1e-14)
    assert these[..., 1] == pytest.approx((1 - (1 - p) ** 3).mean(-1), abs=1e-14)
    assert pass_at_k_these_items([0.0, 1.0], [7]) == pytest.approx(0.5)


def test_beta_is_the_closed_form():
    """Against mpmath, in the far tail too, and against the beta-binomial probability of no success."""
    for a, b, k in ((0.3, 2.0, 5), (1.0, 200.0, 1000), (2.5, 0.7, 1)):
        exact = 1 - mpmath.beta(a, mpmath.mpf(b) + k) / mpmath.beta(a, b)
        assert beta_pass_at_k(a, b, k) == pytest.approx(float(exact), abs=1e-12)
        assert beta_pass_at_k(a, b, k) == pytest.approx(1 - stats.betabinom.pmf(0, k, a, b), abs=1e-9)


def test_beyond_the_samples_the_estimate_refuses_and_names_the_posterior():
    with pytest.raises(DataError, match="item 1 has 5 samples and k is 8") as caught:
        pass_at_k([10, 5], [1, 1], 8)
    assert "posterior" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: pass_at_k(5, 6, 1), DataError, "out of range"),
        (lambda: pass_at_k(5, 1, 0), SpecificationError, "k=0"),
        (lambda: pass_at_k_new_items([0.1], 1.0, [1]), SpecificationError, "eta has shape"),
        (lambda: pass_at_k_new_items([[0.1]], -1.0, [1]), SpecificationError, "sd: 1 finite"),
        (lambda: pass_at_k_new_items([[0.1]], 1.0, [1.5]), SpecificationError, "k=1.5"),
        (lambda: pass_at_k_new_items([[0.1]], 1.0, [1], chance=1.0), SpecificationError, "chance"),
        (lambda: pass_at_k_these_items([1.2], [1]), SpecificationError, "p: probabilities"),
        (lambda: beta_pass_at_k(0.0, 1.0, 1), SpecificationError, "above 0"),
    ],
)
def test_faults_are_named(call, error, named):
    with pytest.raises(error, match=named):
        call()
