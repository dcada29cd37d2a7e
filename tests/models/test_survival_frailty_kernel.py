"""The fused likelihood with a gamma frailty: the plain graph (values and gradients), differences, no variance, NaN."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit_models.survival.algebra import pytensor_algebra
from bayeskit_models.survival.frailty_kernel import frailty_kernel
from bayeskit_models.survival.kernel import survival_kernel

NO_TERMS = (np.zeros(5, np.int64), np.zeros((0, 1)))


def kernel(bases, variance, data, effects=(), terms=NO_TERMS):
    """The kernel's value and its gradients by the bases, the variance and the effects."""
    value, *found = frailty_kernel(*bases, np.array(effects, dtype=float), np.array([variance]), *terms, *data.values())
    return value, *found[:4], found[5], found[4]


@pytest.fixture(scope="module")
def many():
    """900 rows of 300 families and 60 patterns: more than a block of each kind."""
    rng = np.random.default_rng(4)
    home = rng.integers(0, 300, 900)
    weight = rng.integers(1, 4, 900).astype(float)
    events = np.bincount(home[:500], weights=weight[:500], minlength=300)
    late = np.arange(0, 900, 3)
    time = rng.exponential(1.0, 900) + 0.05
    return {
        "kind_ptr": np.array([0, 500, 900, 900, 900]), "pattern": rng.integers(0, 60, 900), "log_lower": np.log(time),
        "weight": weight, "entry_row": late, "log_entry": np.log(time[late] * 0.4), "home": home, "events": events,
        "step": (events[:, None] > np.arange(events.max())).sum(0).astype(float),
    }  # fmt: skip


def bases(varying=True):
    effects = np.random.default_rng(5).normal(0.0, 0.4, (4, 60))
    base = [np.log(0.6), 0.1, 0.3, np.log(0.7)]
    return [b + e if varying else np.array([b]) for b, e in zip(base, effects, strict=True)]


@pytest.fixture(scope="module")
def plain(many):
    """The same likelihood as a graph of elementary operations, by four predictors of the 60 patterns and the variance.

    log L = sum of log h over events + sum over groups of
    [sum_{k < d} log(1 + k theta) - (1/theta + d) log(1 + theta A) + log(1 + theta E) / theta].
    """
    import pytensor
    import pytensor.tensor as pt

    algebra = pytensor_algebra()
    ps, theta = [pt.dvector(f"p{c}") for c in range(4)], pt.dscalar("theta")
    place, late, weight, home = (many[k] for k in ("pattern", "entry_row", "weight", "home"))
    member = (np.arange(300)[:, None] == home) * weight  # groups by rows
    rate = algebra.log_hazard(many["log_lower"][:500], *[p[place[:500]] for p in ps])
    lived = pt.dot(member, algebra.cumulative_hazard(many["log_lower"], *[p[place] for p in ps]))
    before = pt.dot(member[:, late], algebra.cumulative_hazard(many["log_entry"], *[p[place[late]] for p in ps]))
    rising = sum(pt.log1p(k * theta) * float((many["events"] > k).sum()) for k in range(int(many["events"].max())))
    groups = -(1 / theta + many["events"]) * pt.log1p(theta * lived) + pt.log1p(theta * before) / theta
    value = (weight[:500] * rate).sum() + rising + groups.sum()
    return pytensor.function([*ps, theta], [value, *pytensor.grad(value, [*ps, theta])], mode="FAST_COMPILE")


@pytest.mark.parametrize("variance", [0.01, 0.5, 6.0])
def test_against_the_plain_graph(many, plain, variance):
    """Value and all gradients to 1e-10, on both sides of the place where log(1 + x) / x is a series."""
    ours, theirs = kernel(bases(), variance, many), plain(*bases(), variance)
    assert ours[0] == pytest.approx(float(theirs[0]), rel=1e-10)
    for a, b in zip(ours[1:6], theirs[1:], strict=True):
        np.testing.assert_allclose(a, np.ravel(b), rtol=1e-10, atol=1e-10 * np.abs(b).max())


def test_effects_against_the_plain_graph(many, plain):
    """Predictors of bases and effects: the plain graph's gradients by the chain rule."""
    x, effects, ptr = np.random.default_rng(6).normal(size=(60, 3)), np.array([0.3, -0.2, 0.1]), np.array([0, 2, 2, 3, 3])
    ps = bases(varying=False)
    ours = kernel(ps, 0.5, many, effects, (ptr, np.ascontiguousarray(x.T)))
    wide = [p + x[:, ptr[c] : ptr[c + 1]] @ effects[ptr[c] : ptr[c + 1]] for c, p in enumerate(ps)]
    theirs = plain(*[np.broadcast_to(p, 60).copy() for p in wide], 0.5)
    assert ours[0] == pytest.approx(float(theirs[0]), rel=1e-10)
    exact = np.concatenate([x[:, ptr[c] : ptr[c + 1]].T @ theirs[1 + c] for c in range(4)])
    np.testing.assert_allclose(ours[6], exact, rtol=1e-10)
    np.testing.assert_allclose(np.concatenate(ours[1:5]), [g.sum() for g in theirs[1:5]], rtol=1e-10)


@pytest.mark.parametrize("varying", [True, False])
@pytest.mark.parametrize("variance", [1e-9, 1e-3])
def test_gradients_against_differences(many, varying, variance):
    """Next to no variance, where the plain graph loses its digits."""
    ps, rng = bases(varying), np.random.default_rng(0)
    found = kernel(ps, variance, many)
    for c in range(5):
        size = variance * 1e-4 if c == 4 and variance > 1e-6 else 1e-5
        direction = rng.normal(size=ps[c].size) if c < 4 else np.ones(1)

        def at(s, c=c, size=size, direction=direction):
            moved = [p + s * size * direction if i == c else p for i, p in enumerate(ps)]
            return kernel(moved, variance + (s * size if c == 4 else 0.0), many)[0]

        # at the edge of the range the difference is taken on one side, of second order
        one_sided = c == 4 and variance < 1e-6
        numeric = (-3 * at(0) + 4 * at(1) - at(2)) / (2 * size) if one_sided else (at(1) - at(-1)) / (2 * size)
        assert found[1 + c] @ direction == pytest.approx(numeric, rel=2e-6, abs=2e-6)


def test_without_variance_it_is_the_likelihood_without_frailty(many):
    """The difference is of the order of the variance: 1e-13 of a slope of some hundreds."""
    row = [many[k] for k in ("kind_ptr", "pattern", "log_lower", "log_lower", "weight")]
    one = survival_kernel(*bases(), np.zeros(0), *NO_TERMS, *row, np.zeros(0), many["entry_row"], many["log_entry"])
    two = kernel(bases(), 1e-13, many)
    for a, b in zip(one[:5], two[:5], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("place", range(6))
def test_nan_gives_nan_and_far_out_nothing_is_nan(many, place):
    ps, variance, effects, terms = bases(), 0.5, np.zeros(1), (np.array([0, 1, 1, 1, 1]), np.ones((1, 60)))
    if place < 4:
        ps[place] = np.where(np.arange(60) == 7, np.nan, ps[place])
    broken = (np.nan if place == 4 else variance), many, (effects + np.nan if place == 5 else effects), terms
    assert np.isnan(kernel(ps, *broken)[0])
    rng = np.random.default_rng(place)
    for _ in range(60):
        far = [rng.normal(0.0, 6.0, 1) for _ in range(4)]
        found = kernel(far, np.exp(rng.normal(0.0, 6.0)), many)
        assert not np.isnan(found[0])
        if found[0] > -1e100:
            assert all(np.isfinite(g).all() for g in found[1:])
