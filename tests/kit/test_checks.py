"""The gate on synthetic draws: each fault is named, and nothing faulty passes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from bayeskit.checks import CheckResult, Status, Verdict, diagnostics, overlap, overlap_note, run_checks
from bayeskit.errors import SpecificationError

CHAINS, DRAWS = 4, 1000


def noise(*shape, seed=0, chains=CHAINS, draws=DRAWS):
    return np.random.default_rng(seed).normal(size=(chains, draws, *shape))


def stats(chains=CHAINS, draws=DRAWS, depth="maxdepth_reached", **changes):
    out = {
        "diverging": np.zeros((chains, draws), bool),
        depth: np.zeros((chains, draws), bool),
        "energy": noise(seed=99, chains=chains, draws=draws),
    }
    out.update(changes)
    return {k: v for k, v in out.items() if v is not None}


def dataset(variables, headline=()):
    out = {}
    for name, values in variables.items():
        values = np.asarray(values)
        dims = ("chain", "draw", *(f"{name}_dim{i}" for i in range(values.ndim - 2)))
        out[name] = xr.DataArray(values, dims=dims, attrs={"headline": name in headline})
    return xr.Dataset(out)


def tree(posterior, estimands=None, sample_stats=None, headline=()):
    groups = {"posterior": dataset(posterior)}
    if estimands is not None:
        groups["estimands"] = dataset(estimands, headline)
    if sample_stats != {}:
        some = next(iter(posterior.values()))
        chosen = stats(*some.shape[:2]) if sample_stats is None else sample_stats
        groups["sample_stats"] = xr.Dataset({k: (("chain", "draw"), v) for k, v in chosen.items()})
    return xr.DataTree.from_dict(groups)


def stuck(x):
    x = x.copy()
    x[0] = x[0, 0] + 3.0
    return x


def slow(*shape, seed=0, rho=0.995):
    x = noise(*shape, seed=seed)
    for i in range(1, DRAWS):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * x[:, i]
    return x


def result(verdict, name):
    return next(r for r in verdict.results if r.name == name)


# --- the measures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", [1000, 501, 40])
def test_measures_equal_arviz(draws):
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(5)
    columns = [
        rng.normal(size=(4, draws)),
        rng.standard_cauchy(size=(4, draws)),
        rng.integers(0, 3, size=(4, draws)).astype(float),
        rng.normal(size=(4, draws)).cumsum(axis=1),
        rng.normal(size=(4, draws)) + np.arange(4)[:, None],
        (rng.random(size=(4, draws)) < 0.02).astype(float) + np.eye(4)[:, :1],
    ]
    found = diagnostics(np.stack(columns, axis=2))
    for i, x in enumerate(columns):
        expected = {
            "r_hat": array_stats.rhat(x),
            "ess_bulk": array_stats.ess(x),
            "ess_tail": array_stats.ess(x, method="tail", prob=(0.05, 0.95)),
            "mcse_mean": array_stats.mcse(x),
            "mean": x.mean(),
            "sd": x.std(ddof=1),
        }
        for name, value in expected.items():
            assert found[name][i] == pytest.approx(float(value), rel=1e-9), (name, i)


def test_what_cannot_be_measured_is_nan_never_a_number():
    x = noise(3)
    x[..., 0] = 2.0
    x[1, 5, 1] = np.nan
    found = diagnostics(x)
    for name in ("r_hat", "ess_bulk", "ess_tail", "mcse_mean"):
        assert np.isnan(found[name][:2]).all()
        assert np.isfinite(found[name][2])
    assert np.isnan(diagnostics(noise(1, chains=1))["r_hat"]).all()
    assert np.isfinite(diagnostics(noise(1, chains=1))["ess_bulk"]).all()
    assert np.isnan(diagnostics(noise(2, draws=5))["r_hat"]).all()
    assert diagnostics(np.empty((4, 0, 0)))["r_hat"].shape == (0,)
    with pytest.raises(ValueError, match="chains, draws, quantities"):
        diagnostics(noise())


def test_many_quantities_are_chunked_alike():
    x = noise(300, draws=50)
    assert diagnostics(x)["r_hat"][290:] == pytest.approx(diagnostics(x[..., 290:])["r_hat"], rel=1e-12)


# --- the verdict -----------------------------------------------------------------------------------------


def test_independent_draws_pass():
    verdict = run_checks(tree({"mu": noise(), "theta": noise(3, seed=1)}, {"risk": noise(2, seed=2)}))
    assert verdict.status is Status.PASS, str(verdict)
    assert str(verdict) == "PASS: all 9 checks passed"
    assert verdict.concerns == ()
    assert [r.name for r in verdict.results] == [
        "chains", "finite", "moving", "r_hat", "ess", "mcse", "divergences", "tree_depth", "energy",
    ]  # fmt: skip


def test_a_stuck_chain_fails_and_is_named():
    verdict = run_checks(tree({"mu": stuck(noise()), "nu": noise(seed=1)}))
    assert verdict.status is Status.FAIL
    assert result(verdict, "r_hat").status is Status.FAIL
    assert result(verdict, "r_hat").table[0]["quantity"] == "mu"
    assert "mu at" in result(verdict, "r_hat").text
    assert str(verdict).startswith("FAIL: 3 of 9 checks failed: r_hat, ess, mcse")


def test_chains_that_are_each_stuck_fail():
    each = np.broadcast_to(np.arange(4.0)[:, None], (4, DRAWS))
    assert result(run_checks(tree({"mu": each})), "r_hat").status is Status.FAIL


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_parameter_with_one_draw_that_is_not_finite_fails(value):
    x = noise(2)
    x[2, 7, 1] = value
    verdict = run_checks(tree({"theta": x}))
    assert result(verdict, "finite").status is Status.FAIL
    assert "theta[1]" in result(verdict, "finite").text
    assert result(verdict, "r_hat").status is Status.PASS
    assert verdict.status is Status.FAIL


def test_all_nan_never_passes():
    verdict = run_checks(tree({"theta": np.full((4, DRAWS), np.nan)}))
    assert verdict.status is Status.FAIL
    assert result(verdict, "r_hat").status is Status.NOT_COMPUTED


def test_an_infinite_estimand_is_an_answer_but_a_nan_is_not():
    x = noise()
    x[x > 1] = np.inf
    assert run_checks(tree({"mu": noise(seed=3)}, {"median": x})).status is Status.PASS
    x[0, 0] = np.nan
    assert run_checks(tree({"mu": noise(seed=3)}, {"median": x})).status is Status.FAIL


def test_a_constant_fails_unless_it_is_fixed():
    x = noise(2, 2)
    x[..., 0, 0] = 1.0
    verdict = run_checks(tree({"corr": x}))
    assert result(verdict, "moving").status is Status.FAIL
    assert "corr[0, 0]" in result(verdict, "moving").text
    assert run_checks(tree({"corr": x}), fixed=["corr[0, 0]"]).status is Status.PASS
    assert run_checks(tree({"corr": x, "mu": noise()}), fixed=["corr"]).status is Status.PASS


def test_a_settled_rank_is_an_answer_not_a_fault():
    rank = np.ones((4, DRAWS, 2), int)
    rank[..., 1] = np.random.default_rng(0).integers(2, 4, size=(4, DRAWS))
    verdict = run_checks(tree({"mu": noise()}, {"rank": rank}))
    assert verdict.status is Status.PASS
    assert "1 whole-number estimands" in result(verdict, "moving").text
    assert run_checks(tree({"mu": noise()}, {"rank": rank.astype(float)})).status is Status.FAIL
    assert run_checks(tree({"k": rank, "mu": noise()})).status is Status.FAIL


@pytest.mark.parametrize(("chains", "expected"), [(1, Status.FAIL), (2, Status.WARN), (3, Status.WARN)])
def test_few_chains_never_pass(chains, expected):
    verdict = run_checks(tree({"mu": noise(chains=chains, draws=2000)}))
    assert result(verdict, "chains").status is expected
    assert verdict.status is expected
    if chains == 1:
        assert result(verdict, "r_hat").status is Status.NOT_COMPUTED


def test_few_draws_fail_on_sample_size_with_advice():
    verdict = run_checks(tree({"mu": noise(draws=50)}))
    assert result(verdict, "ess").status is Status.FAIL
    assert "draws per chain" in result(verdict, "ess").advice


def test_very_short_chains_are_not_computed():
    assert result(run_checks(tree({"mu": noise(draws=4)})), "r_hat").status is Status.NOT_COMPUTED


# --- parameters against estimands ------------------------------------------------------------------------


def test_bad_nuisance_with_good_estimands_warns():
    verdict = run_checks(tree({"phi": slow(3), "mu": noise()}, {"risk": noise(4, seed=4)}))
    assert verdict.status is Status.WARN
    for name in ("r_hat", "ess"):
        assert result(verdict, name).status is Status.WARN
        assert "the answers have converged" in result(verdict, name).text
        assert "phi[" in result(verdict, name).text
    assert result(verdict, "mcse").status is Status.PASS


def test_a_bad_estimand_fails_and_leads_the_table():
    verdict = run_checks(tree({"phi": stuck(noise())}, {"risk": slow(seed=7, rho=0.98), "other": noise(seed=5)}))
    assert result(verdict, "r_hat").status is Status.FAIL
    assert result(verdict, "r_hat").table[0]["quantity"] == "risk"
    assert "Among the answers the worst is risk" in result(verdict, "r_hat").text
    assert "other" not in [row["quantity"] for row in result(verdict, "r_hat").table]


def test_a_headline_parameter_counts_as_an_answer():
    draws = tree({"phi": slow()}, {"risk": noise(seed=4)})
    assert run_checks(draws).status is Status.WARN
    assert run_checks(draws, headline=["phi"]).status is Status.FAIL


def test_without_estimands_every_parameter_is_an_answer():
    assert run_checks(tree({"phi": slow(), "mu": noise()})).status is Status.FAIL


def test_headline_attribute_chooses_whose_error_counts():
    draws = tree({"mu": noise()}, {"a": noise(draws=DRAWS), "b": noise(seed=8)}, headline=["a"])
    assert "of 1 headline means" in result(run_checks(draws), "mcse").text


def test_unknown_headline_is_refused_with_a_suggestion():
    with pytest.raises(SpecificationError, match="risk"):
        run_checks(tree({"mu": noise()}, {"risk": noise()}), headline=["risks"])


def test_draws_without_a_posterior_are_refused():
    with pytest.raises(SpecificationError, match="posterior"):
        run_checks(xr.DataTree.from_dict({"prior": dataset({"mu": noise()})}))


# --- the sampler's own record ----------------------------------------------------------------------------


def with_true(count):
    x = np.zeros((CHAINS, DRAWS), bool)
    x[:, : count // CHAINS] = True
    return x


@pytest.mark.parametrize(("count", "expected"), [(0, Status.PASS), (4, Status.FAIL), (40, Status.FAIL)])
def test_divergences(count, expected):
    verdict = run_checks(tree({"mu": noise()}, sample_stats=stats(diverging=with_true(count))))
    assert result(verdict, "divergences").status is expected
    assert verdict.status is expected


def test_a_single_divergence_warns():
    one = np.zeros((CHAINS, DRAWS), bool)
    one[2, 5] = True
    found = result(run_checks(tree({"mu": noise()}, sample_stats=stats(diverging=one))), "divergences")
    assert found.status is Status.WARN
    assert "1 of 4000 draws" in found.text


def test_divergences_say_where_they_gather():
    tau, diverging = np.exp(noise()), np.zeros((CHAINS, DRAWS), bool)
    diverging[tau < 0.15] = True
    found = result(
        run_checks(tree({"mu": noise(seed=1), "tau": tau}, sample_stats=stats(diverging=diverging))),
        "divergences",
    )
    assert "where tau is low" in found.text
    assert found.table[0]["quantity"] == "tau"


@pytest.mark.parametrize("name", ["maxdepth_reached", "reached_max_treedepth"])
@pytest.mark.parametrize(("count", "expected"), [(40, Status.PASS), (800, Status.WARN)])
def test_tree_depth_under_both_names(name, count, expected):
    record = stats(depth=name, **{name: with_true(count)})
    found = result(run_checks(tree({"mu": noise()}, sample_stats=record)), "tree_depth")
    assert found.status is expected
    assert f"{count} of 4000" in found.text


@pytest.mark.parametrize(("rho", "expected"), [(0.0, Status.PASS), (0.87, Status.WARN), (0.97, Status.FAIL)])
def test_energy(rho, expected):
    # For an autoregression the E-BFMI is 2 (1 - rho).
    energy = noise(seed=3)
    for i in range(1, DRAWS):
        energy[:, i] = rho * energy[:, i - 1] + np.sqrt(1 - rho**2) * energy[:, i]
    found = result(run_checks(tree({"mu": noise()}, sample_stats=stats(energy=energy))), "energy")
    assert found.status is expected, found


def test_energy_equals_arviz():
    from arviz_stats.base import array_stats

    energy = noise(seed=3).cumsum(axis=1)
    found = result(run_checks(tree({"mu": noise()}, sample_stats=stats(energy=energy))), "energy")
    expected = np.atleast_1d(array_stats.bfmi(energy)).tolist()
    assert [row["e_bfmi"] for row in found.table] == pytest.approx(expected, rel=1e-9)


def test_missing_statistics_are_not_computed_and_never_pass():
    verdict = run_checks(tree({"mu": noise()}, sample_stats={}))
    assert [r.name for r in verdict.concerns] == ["divergences", "tree_depth", "energy"]
    assert verdict.status is Status.NOT_COMPUTED
    assert str(verdict).startswith("NOT COMPUTED: 3 of 9 checks could not be computed: divergences")
    record = stats(energy=np.full((CHAINS, DRAWS), np.nan))
    assert result(run_checks(tree({"mu": noise()}, sample_stats=record)), "energy").status is Status.NOT_COMPUTED


def test_a_centred_funnel_fails():
    """What a centred funnel leaves behind: chains held up in the neck, with divergences there."""
    log_tau = slow(rho=0.99)
    diverging = log_tau < -2.2
    draws = tree(
        {"log_tau": log_tau, "theta": noise(8) * np.exp(log_tau)[..., None]},
        sample_stats=stats(diverging=diverging),
    )
    verdict = run_checks(draws)
    assert verdict.status is Status.FAIL
    assert "log_tau is low" in result(verdict, "divergences").text


# --- the verdict object ----------------------------------------------------------------------------------

GOOD = CheckResult("a", Status.PASS, "Fine.")
WARN = CheckResult("b", Status.WARN, "Hm.", "Look.")
FAIL = CheckResult("c", Status.FAIL, "Bad.", "Stop.", ({"x": float("nan")},))


def test_worst_of_rule():
    order = [Status.PASS, Status.NOT_COMPUTED, Status.WARN, Status.FAIL]
    assert [s.severity for s in order] == [0, 1, 2, 3]
    assert Verdict((GOOD,)).status is Status.PASS
    assert Verdict((WARN, GOOD)).status is Status.WARN
    assert Verdict((WARN, FAIL, GOOD)).status is Status.FAIL
    assert Verdict(()).status is Status.NOT_COMPUTED
    assert [r.name for r in Verdict((WARN, FAIL, GOOD)).concerns] == ["c", "b"]


@pytest.mark.parametrize(("results", "status"), [((GOOD,), Status.WARN), ((FAIL, GOOD), Status.FAIL), ((), Status.WARN)])
def test_partial_is_never_pass(results, status):
    verdict = Verdict(results, partial=True)
    assert verdict.status is status
    assert str(verdict).startswith("PARTIAL: ")
    assert "PASS" not in str(verdict)
    if FAIL in results:
        assert "FAIL: 1 of 2 checks failed: c" in verdict.headline


def test_partial_run_through_run_checks_and_extra_results():
    verdict = run_checks(tree({"mu": noise()}), partial=True, extra=[FAIL])
    assert verdict.partial
    assert verdict.results[-1] is FAIL
    assert Verdict((GOOD,)).adding([FAIL]).status is Status.FAIL


def test_verdict_text_tells_the_next_step_and_html_is_escaped():
    bad = CheckResult("r_hat", Status.FAIL, "worst: theta[<script>alert(1)</script>].", "Sample <more>.")
    text = str(Verdict((bad,)))
    assert text.splitlines()[0] == "FAIL: 1 of 1 checks failed: r_hat"
    assert "next: Sample <more>." in text
    markup = Verdict((bad,))._repr_html_()
    assert "<script" not in markup
    assert "&lt;script&gt;" in markup


def test_verdict_round_trips_through_strict_json():
    verdict = run_checks(tree({"mu": stuck(noise())}), partial=True, extra=[FAIL])
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    back = Verdict.from_dict(json.loads(text))
    assert back.to_dict() == verdict.to_dict()
    assert back.headline == verdict.headline


# --- overlap ---------------------------------------------------------------------------------------------


def test_overlap_of_equal_and_of_distant_draws():
    rng = np.random.default_rng(2)
    a = rng.normal(size=4000)
    assert overlap(a, a) == pytest.approx(1.0)
    assert overlap(a, a + 100) == pytest.approx(0.0)
    assert overlap(rng.normal(size=400), rng.normal(size=4000)) > 0.85
    # Two unit normals one sd apart: 2 Phi(-1/2).
    assert overlap(rng.normal(size=200_000), rng.normal(1, size=200_000), bins=200) == pytest.approx(0.617, abs=0.01)
    assert overlap(np.zeros(10), np.zeros(20)) == 1.0


def test_overlap_note_names_what_the_prior_decides_and_never_fails():
    prior = dataset({"mu": noise(chains=1, draws=400), "theta": noise(2, chains=1, draws=400)})
    after = noise(2, seed=1)
    after[..., 1] = 5 + 0.01 * after[..., 1]
    note = overlap_note(prior, dataset({"mu": 3 + 0.1 * noise(), "theta": after}))
    assert note.status is Status.PASS
    assert note.text.startswith("1 of 3 parameters")
    assert note.table[0]["quantity"] == "theta[0]"
    assert "sensitivity" in note.advice
    assert overlap_note(prior, dataset({"other": noise()})).status is Status.NOT_COMPUTED
