"""The fused survival likelihood: printed values, the plain graph (values and gradients), differences, blocks and NaN."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymc")

from bayeskit_models.survival import distribution as apgw
from bayeskit_models.survival.kernel import survival_kernel
from bayeskit_models.survival.likelihood import plain_log_likelihood, row_log_likelihood

PARAMETERS = (0.6, 1.1, 1.4, -0.3)


def logs(phi, lam, gamma, kappa):
    return [np.atleast_1d(np.asarray(v, dtype=float)) for v in (np.log(phi), np.log(lam), np.log(gamma), np.log1p(kappa))]


def rows(exact=(), right=(), left=(), interval=(), entry=(), pattern=None, weight=None, background=None):
    """Data of the kernel; `entry` maps rows to times."""
    lower = [*exact, *right, *([0.0] * len(left)), *(a for a, _ in interval)]
    upper = [*exact, *right, *left, *(b for _, b in interval)]
    n = len(lower)
    sizes = [len(exact), len(right), len(left), len(interval)]
    with np.errstate(divide="ignore"):
        return {
            "kind_ptr": np.concatenate([[0], np.cumsum(sizes)]),
            "pattern": np.zeros(n, np.int64) if pattern is None else np.asarray(pattern),
            "log_lower": np.log(np.array(lower, float)),
            "log_upper": np.log(np.array(upper, float)),
            "weight": np.ones(n) if weight is None else np.asarray(weight, float),
            "background": np.zeros(n) if background is None else np.asarray(background, float),
            "entry_row": np.array([i for i, _ in entry], np.int64),
            "log_entry": np.log(np.array([t for _, t in entry], float)),
        }


NO_TERMS = (np.zeros(0), np.zeros(5, np.int64), np.zeros((0, 1)))
"""Effects, terms by predictor and design of predictors that are bases alone."""


def kernel(bases, data, terms=NO_TERMS):
    """The kernel's value and its gradients by the bases and, where there are any, by the effects."""
    found = survival_kernel(*bases, *terms, *data.values())
    return found if terms[0].size else found[:5]


CASES = {
    "exact": (rows(exact=[1.2]), -1.49636495),
    "right": (rows(right=[3.0]), -0.90416920),
    "left": (rows(left=[0.4]), -2.08460849),
    "interval": (rows(interval=[(0.5, 2.0)]), -1.08291862),
    "late": (rows(exact=[1.5], entry=[(0, 0.7)]), -1.45664512),
    "all": (
        rows(exact=[1.2, 1.5], right=[3.0], left=[0.4], interval=[(0.5, 2.0)], entry=[(1, 0.7)]), -7.02470638,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_printed_values(name):
    data, expected = CASES[name]
    assert kernel(logs(*PARAMETERS), data)[0] == pytest.approx(expected, abs=6e-9)


@pytest.fixture(scope="module")
def mixed():
    """700 rows of 60 patterns with every kind, weights, background hazards and late entry: more than one block of each."""
    rng = np.random.default_rng(4)
    times = np.sort(rng.exponential(1.0, (4, 300)), axis=1) + 0.02
    rng.shuffle(times, axis=1)
    late = [(i, t) for i, t in zip(range(0, 560, 2), np.full(280, 0.01), strict=True)]
    data = rows(
        exact=times[0][:290], right=times[1][:270], left=times[2][:60],
        interval=[(a, a + b) for a, b in times[3][:160].reshape(-1, 2)], entry=late,
        pattern=rng.integers(0, 60, 700), weight=rng.uniform(0.2, 3.0, 700),
        background=np.where(rng.uniform(size=700) < 0.5, 0.1, 0.0),
    )  # fmt: skip
    effects = rng.normal(0.0, 0.4, (4, 60))
    return data, effects


@pytest.fixture(scope="module")
def plain():
    """The likelihood as a plain graph with its gradients, compiled once for vectors of predictors and for single ones."""
    import pytensor
    import pytensor.tensor as pt

    compiled = {}

    def function(shapes):
        key = tuple(s > 1 for s in shapes)
        if key not in compiled:
            ps = [pt.tensor(f"p{i}", dtype="float64", shape=(None if many else 1,)) for i, many in enumerate(key)]
            names = {
                "kind_ptr": pt.lvector, "pattern": pt.lvector, "log_lower": pt.dvector, "log_upper": pt.dvector,
                "weight": pt.dvector, "background": pt.dvector, "entry_row": pt.lvector, "log_entry": pt.dvector,
            }  # fmt: skip
            data = {k: v(k) for k, v in names.items()}
            value = plain_log_likelihood(ps, data)
            outputs = [value, *pytensor.grad(value, ps)]
            compiled[key] = pytensor.function([*ps, *data.values()], outputs, mode="FAST_COMPILE", on_unused_input="ignore")
        return compiled[key]

    return function


@pytest.mark.parametrize("kappa", [-0.95, -0.3, -1e-7, 0.0, 1e-7, 0.02, 1.0, 3.0, 1e4])
@pytest.mark.parametrize("varying", [(True, True, True, True), (True, False, False, False), (False, False, False, False)])
def test_against_the_plain_graph(mixed, plain, kappa, varying):
    data, effects = mixed
    base = np.array([np.log(0.6), np.log(1.1), np.log(1.4), np.log1p(kappa)])
    ps = [np.atleast_1d(b + e) if many else np.array([b]) for b, e, many in zip(base, effects, varying, strict=True)]
    if kappa == 1e4:
        ps[2] = ps[2] * 0.0  # exp of a power of time overflows soon
    ours = kernel(ps, data)
    theirs = plain([p.size for p in ps])(*ps, *data.values())
    assert ours[0] == pytest.approx(float(theirs[0]), rel=1e-10)
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())


@pytest.fixture(scope="module")
def own(mixed):
    """The same rows without late entry, row i with pattern i, three covariates: predictors are made block by block."""
    data = {k: v[:0] if k in ("entry_row", "log_entry") else v for k, v in mixed[0].items()}
    return {**data, "pattern": np.arange(700)}, np.random.default_rng(7).normal(size=(700, 3))


TERMS = {
    "scale": (3, 0, 0, 0),
    "scale and shape": (2, 0, 1, 0),
    "hazard and tail": (0, 2, 0, 1),
    "one each": (1, 1, 1, 0),
}


@pytest.mark.parametrize("counts", TERMS.values(), ids=TERMS.keys())
@pytest.mark.parametrize("form", ["own", "folded", "late", "shuffled", "bases"])
def test_effects_against_the_plain_graph(own, mixed, plain, counts, form):
    """Predictors that the kernel makes of bases and effects: its gradients are the plain graph's by the chain rule.

    With a pattern for each row, in order or shuffled; with patterns that rows share; with late entry; with bases by pattern.
    """
    data, x = own
    effects, ptr = np.array([0.3, -0.2, 0.1]), np.concatenate([[0], np.cumsum(counts)])
    bases = logs(0.6, 1.1, 1.4, -0.3)
    if form in ("folded", "late"):
        x = x[:60]
        data = mixed[0] if form == "late" else {**data, "pattern": mixed[0]["pattern"]}
    elif form == "shuffled":
        data = {**data, "pattern": np.random.default_rng(8).permutation(700)}
    elif form == "bases":
        bases = [b + 0.1 * np.sin(np.arange(700.0) + c) for c, b in enumerate(bases)]
    ours = kernel(bases, data, (effects, ptr, np.ascontiguousarray(x.T)))
    places = [slice(ptr[c], ptr[c + 1]) for c in range(4)]
    ps = [b + x[:, p] @ effects[p] for b, p in zip(bases, places, strict=True)]
    theirs = plain([p.size for p in ps])(*ps, *data.values())
    assert ours[0] == pytest.approx(float(theirs[0]), rel=1e-10)
    for c, p in enumerate(places):
        by_base = theirs[1 + c] if bases[c].size > 1 else theirs[1 + c].sum(keepdims=True)
        for found, exact in ((ours[1 + c], by_base), (ours[5][p], x[:, p].T @ theirs[1 + c])):
            np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-10 * np.abs(theirs[1 + c]).sum())


def test_gradients_against_differences(mixed):
    data, effects = mixed
    base = np.array([np.log(0.6), np.log(1.1), np.log(1.4), np.log1p(-0.3)])
    ps = [b + e for b, e in zip(base, effects, strict=True)]
    found = kernel(ps, data)
    rng = np.random.default_rng(0)
    for c in range(4):
        direction = rng.normal(size=60)
        up, down = ([p + s * 1e-6 * direction if i == c else p for i, p in enumerate(ps)] for s in (1, -1))
        numeric = (kernel(up, data)[0] - kernel(down, data)[0]) / 2e-6
        assert found[1 + c] @ direction == pytest.approx(numeric, rel=1e-6)


def test_no_background_is_a_background_of_nothing(mixed):
    data, effects = mixed
    ps = [b + e for b, e in zip([np.log(0.6), 0.1, 0.3, np.log1p(-0.3)], effects, strict=True)]
    zero, none = ({**data, "background": b} for b in (np.zeros(700), np.zeros(0)))
    for a, b in zip(kernel(ps, zero), kernel(ps, none), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_rows_add_up(mixed):
    """The NumPy likelihood of single rows sums to the kernel's, and one row alone gives its own part."""
    import xarray as xr

    data, effects = mixed
    ps = [b + e for b, e in zip([np.log(0.6), 0.1, 0.3, np.log1p(-0.3)], effects, strict=True)]
    dims = {"kind_ptr": "edge", "entry_row": "late", "log_entry": "late"}
    statistics = xr.Dataset({k: (dims.get(k, "row"), v) for k, v in data.items()} | {"time_scale": ((), 1.0)})
    found = row_log_likelihood(tuple(p[None] for p in ps), statistics)
    assert found.sum() == pytest.approx(kernel(ps, data)[0], rel=1e-11)
    assert found.shape == (1, 700)


def test_against_the_distribution():
    """Exact and censored rows are the log density and minus the cumulative hazard of the public functions."""
    t = np.array([0.3, 1.0, 2.5])
    for kappa in (-0.4, 0.0, 1.0, 2.0):
        p = (0.7, 1.3, 1.6, kappa)
        exact = kernel(logs(*p), rows(exact=t))[0]
        assert exact == pytest.approx(apgw.log_density(t, *p).sum(), rel=1e-13)
        right = kernel(logs(*p), rows(right=t))[0]
        assert right == pytest.approx(-apgw.cumulative_hazard(t, *p).sum(), rel=1e-13)


@pytest.mark.parametrize("place", range(4))
def test_nan_gives_nan(place):
    ps = logs(*PARAMETERS)
    ps[place][0] = np.nan
    assert np.isnan(kernel(ps, CASES["all"][0])[0])


def test_far_out_nothing_is_nan():
    """Parameters that a sampler may try: the value is a number or -inf, and where it is not absurd so are the gradients."""
    rng = np.random.default_rng(1)
    data = CASES["all"][0]
    for _ in range(300):
        ps = [rng.normal(0.0, 6.0, 1) for _ in range(4)]
        found = kernel(ps, data)
        assert not np.isnan(found[0])
        if found[0] > -1e100:
            assert all(np.isfinite(g).all() for g in found[1:]), ps
