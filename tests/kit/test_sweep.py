"""Sweeps: refits agree with closed forms, seeds follow the cell, nothing is lost and nothing is run twice."""

from __future__ import annotations

import numpy as np
import pytest

from bayeskit import Fit, SamplingError, SpecificationError
from bayeskit.engine import compile_count
from bayeskit.sensitivity.sweep import cell_seed

SHORT = {"draws": 500, "tune": 400}
CENTRES = {"mu.mu": [-2.0, 0.0, 2.0]}


def means(found):
    table = found.table
    return {k: g["mean"].to_numpy() for k, g in table.groupby("mu.mu")}


def test_cells_against_the_closed_form(normal_fit, compiled_with):
    """Nine means, each within 5 Monte Carlo errors (500 x 4 draws, effective size over 700)."""
    before = compiled_with(normal_fit)
    found = normal_fit.sweep(CENTRES, **SHORT)
    assert compile_count() == before
    assert [c.dials for c in found.cells] == [{"mu.mu": v} for v in CENTRES["mu.mu"]]
    assert not found.failed and {c.status for c in found.cells} <= {"PASS", "WARN"}
    for cell in found.cells:
        mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, {**normal_fit.dials, **cell.dials})
        assert (np.abs(cell.fit.posterior["mu"].mean(("chain", "draw")).values - mean) < 5 * sd / np.sqrt(700)).all()
        assert cell.fit.dials == {**normal_fit.dials, **cell.dials}
    assert "95% equal-tailed" in repr(found) and "<table" in found._repr_html_()


def test_one_at_a_time_or_a_grid(normal_fit):
    asked = {"mu.mu": [0.0, 1.0], "mu.sigma": [1.0, 2.0]}
    tiny = {"draws": 20, "tune": 20, "chains": 1}
    now = {k: normal_fit.dials[k] for k in asked}
    one = normal_fit.sweep(asked, **tiny)
    assert all(sum(c.dials[k] != now[k] for k in now) <= 1 for c in one.cells)
    grid = normal_fit.sweep(asked, grid=True, **tiny)
    assert len(grid.cells) == 4 and len({tuple(c.dials.values()) for c in grid.cells}) == 4


def test_it_says_how_far_the_answer_moves(normal_fit):
    """Sentence and figure against the table and the fit, in which the farthest mean is looked up again."""
    found = normal_fit.sweep({"mu.mu": [-2.0, 2.0]}, **SHORT)
    base = normal_fit.summary()
    table = found.table.join(base[["mean", "sd"]], on="quantity", suffixes=("", "_in_the_fit"))
    table["move"] = (table["mean"] - table["mean_in_the_fit"]).abs() / table["sd"]
    far = table.loc[table["move"].idxmax()]
    (told,) = found.sentences()
    assert f"that of {far['quantity']}: with mu.mu={far['mu.mu']:g}" in told
    assert f"That is {far['move']:.2g} posterior standard deviations" in told
    figure = found.plot()
    assert "mu.mu=-2" in figure.alt and "mean[a]" in figure.alt and "not drawn" not in figure.caption


def test_failed_refits_are_not_drawn(normal_fit):
    tiny = {"draws": 20, "tune": 20, "chains": 1}
    found = normal_fit.sweep({"mu.mu": [0.0, 1.0]}, **tiny)
    assert len(found.failed) == 2 and found.sentences() == ()
    with pytest.raises(SpecificationError, match="No refit of this sweep passed"):
        found.plot()


def test_a_seed_follows_the_cell(normal_fit):
    wide = normal_fit.sweep({"mu.mu": [-1.0, 0.5, 2.0]}, draws=50, tune=50, chains=2)
    narrow = normal_fit.sweep({"mu.mu": [0.5]}, draws=50, tune=50, chains=2)
    np.testing.assert_array_equal(wide.cells[1].fit.posterior["mu"], narrow.cells[0].fit.posterior["mu"])
    assert cell_seed(1, {"a": 1.0}) != cell_seed(1, {"a": 2.0}) != cell_seed(2, {"a": 2.0})


def test_a_failed_cell_stays_visible(normal_fit, monkeypatch):
    refit = Fit.refit

    def sometimes(self, *, dials, **settings):
        if dials["mu.mu"] == 0.0:
            raise SamplingError("no chain could be started.")
        return refit(self, dials=dials, **settings)

    monkeypatch.setattr(Fit, "refit", sometimes)
    found = normal_fit.sweep(CENTRES, draws=50, tune=50)
    assert [c.status == "ERROR" for c in found.cells] == [False, True, False]
    assert len(found.failed) >= 1 and "failed" in repr(found).splitlines()[0]
    assert "no chain could be started" in found.table["message"].iloc[3 : 3 + 1].item()


def test_it_resumes_and_runs_nothing_twice(normal_fit, tmp_path, monkeypatch):
    first = normal_fit.sweep({"mu.mu": [-2.0, 0.0]}, cache=tmp_path, draws=50, tune=50)
    (tmp_path / "other.nc").write_bytes(b"not a run")
    asked = []
    refit = Fit.refit

    def counted(self, *, dials, **settings):
        asked.append(dials["mu.mu"])
        return refit(self, dials=dials, **settings)

    monkeypatch.setattr(Fit, "refit", counted)
    again = normal_fit.sweep(CENTRES, cache=tmp_path, draws=50, tune=50)
    assert asked == [2.0]
    for a, b in zip(first.cells, again.cells, strict=False):
        np.testing.assert_array_equal(a.fit.posterior["mu"], b.fit.posterior["mu"])
    # a run that was cut off while it was written is run again
    for path in tmp_path.glob("*.nc"):
        path.write_bytes(path.read_bytes()[:1000])
    asked.clear()
    normal_fit.sweep(CENTRES, cache=tmp_path, draws=50, tune=50)
    assert sorted(asked) == CENTRES["mu.mu"]
    asked.clear()
    normal_fit.sweep(CENTRES, cache=tmp_path, draws=60, tune=50)  # other settings are other runs
    assert len(asked) == 3


def test_faults_are_said_before_anything_runs(normal_fit, monkeypatch):
    monkeypatch.setattr(Fit, "refit", lambda *_, **__: pytest.fail("nothing should run"))
    for bad, match in (
        ({}, "empty"),
        ({"mu.mu": []}, "empty"),
        ({"mu.nothing": [1.0]}, "no dial"),
        ({"mu.sigma": [-1.0]}, "mu.sigma"),
        ({"mu.mu": range(500)}, "500 settings"),
    ):
        with pytest.raises(SpecificationError, match=match):
            normal_fit.sweep(bad)


def test_threads_give_the_same_draws(normal_fit):
    from concurrent.futures import ThreadPoolExecutor

    alone = normal_fit.sweep(CENTRES, draws=50, tune=50)
    with ThreadPoolExecutor(3) as pool:
        together = normal_fit.sweep(CENTRES, executor=pool, draws=50, tune=50)
    for a, b in zip(alone.cells, together.cells, strict=True):
        assert a.dials == b.dials
        np.testing.assert_array_equal(a.fit.posterior["mu"], b.fit.posterior["mu"])


@pytest.mark.slow
def test_processes_give_the_same_answers_and_a_lost_one_is_a_failed_cell(normal_fit, tmp_path):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = normal_fit.sweep(CENTRES, executor=pool, cache=tmp_path, **SHORT)
        assert not found.failed
        for cell in found.cells:
            mean, sd = normal_fit.spec.closed_form(normal_fit.statistics, {**normal_fit.dials, **cell.dials})
            assert (np.abs(cell.fit.posterior["mu"].mean(("chain", "draw")).values - mean) < 5 * sd / np.sqrt(700)).all()
        for process in list(pool._processes.values()):
            process.kill()
        broken = normal_fit.sweep({"mu.mu": [-2.0, 3.0]}, executor=pool, cache=tmp_path, **SHORT)
    assert [c.status for c in broken.cells] == [found.cells[0].status, "ERROR"]
    whole = normal_fit.sweep({"mu.mu": [-2.0, 3.0]}, cache=tmp_path, **SHORT)  # and the next sweep fills it in
    assert not whole.failed
