"""The studies of examples/ run, and their conclusions follow from their numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("pymc")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def module(name):
    found = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    loaded = importlib.util.module_from_spec(found)
    import sys

    sys.modules[name] = loaded  # dataclasses look their module up
    found.loader.exec_module(loaded)
    return loaded


@pytest.mark.slow
def test_what_the_ranking_rests_on(tmp_path, monkeypatch, capsys):
    """Three of the nine judges and one setting: the sentences agree with the results they are made of."""
    study = module("what_the_ranking_rests_on")
    monkeypatch.setattr(study, "SETTINGS", ("self_cells",))
    judges = ["GPT-4", "Llama3-70B", "JudgeLM"]
    found = study.main(["--judges", *judges, "--out", str(tmp_path)])
    said, order = found.conclusion, list(found.fit.ranking().table.index)
    assert found.fit.verdict.status.value in ("PASS", "WARN")
    kept = found.robustness.of("robust")
    assert f"{len(kept)} of 36 pairs keep their order" in said
    assert set(found.robustness.settings.index) == {"this fit", "self_cells=keep", "self_cells=drop"}
    a, b = found.pair
    assert order.index(b) - order.index(a) == 1 and f"{a} leads {b}" in said
    smallest = found.parts["Fewest answers that turn the pair"].best
    if smallest is not None:
        assert smallest.state == "confirmed" and f"{len(smallest.units)} answers" in said
        assert smallest.refit < 0.0  # the lead of a over b, in the refit without them
    bounds = found.parts["What the verdicts alone allow"]
    assert (bounds.table["lower"] <= bounds.table["posterior_lower"]).all()
    left = found.parts["Judges left out"]
    assert {row.unit for row in left.rows} == set(judges)
    assert all(row.state != "ok" or row.how == "refitted" for row in left.rows)
    stored = json.loads((tmp_path / "study.json").read_text())
    assert set(stored["results"]) == {"Pairs over settings", *found.parts}
    page = (tmp_path / "study.html").read_text()
    assert page.count("<img") + page.count("<svg") >= 3 and "<script" not in page
    assert said in capsys.readouterr().out


@pytest.mark.slow
def test_who_was_not_tested(tmp_path, capsys):
    """The usual readings miss the untested; with the registry and the rule they are found, and a wrong registry is told."""
    study = module("who_was_not_tested")
    found = study.main(["--out", str(tmp_path / "report.md")], draws=300, tune=400, chains=4)
    usual = found.loc[["tested only", "inverse probability", "untested negative"]]
    assert not usual["holds the truth"].any() and found.loc["both", "holds the truth"]
    width = (found["upper"] - found["lower"]).astype(float)
    assert width["both"] < width["no outside knowledge"] and width["both, registry 25 % off"] < width["both"]
    assert "conflict" in found.loc["both, registry 25 % off", "the fit warns of"]
    assert not found.loc["both, registry 25 % off", "holds the truth"]
    assert (found.loc["both", "AUC"]) > 0.55
    assert "which no reading sees" in capsys.readouterr().out and (tmp_path / "report.md").stat().st_size > 10_000


@pytest.mark.slow
def test_is_this_gain_real(tmp_path, capsys):
    """Three plain readings disagree; the model shrinks the paired one a little and says of which items it speaks."""
    study = module("is_this_gain_real")
    found = study.main(["--tables", "1000", "--out", str(tmp_path / "report.md")], draws=400, tune=400)
    table = found.readings
    assert found.fit.verdict.status.value in ("PASS", "WARN")
    naive, unpaired, paired = (table.loc[x] for x in ("answers independent", "items of each model independent", "items paired"))
    assert naive["P(gain)"] > 0.99 and unpaired["P(gain)"] < 0.85 and 0.95 < paired["P(gain)"] < 0.98
    new, these = table.loc["model, new items"], table.loc["model, these items"]
    # Monte Carlo: probabilities of 1,600 draws have a standard error of .006, the interval's width one of 3 %.
    assert paired["P(gain)"] - 0.06 < new["P(gain)"] < paired["P(gain)"] + 0.02 and 0 < new["gain"] < paired["gain"]
    assert new["upper"] - new["lower"] == pytest.approx(paired["upper"] - paired["lower"], rel=0.2)
    assert these["upper"] - these["lower"] < 0.8 * (new["upper"] - new["lower"])
    # Where there is no gain, pairing keeps its promise (1,000 tables: standard error .007); counting answers does not.
    wrong = found.errors["calls a gain where there is none"]
    assert abs(wrong["items paired"] - 0.05) < 4 * 0.007
    assert wrong["answers independent"] > 0.1 > 0.02 > wrong["items of each model independent"]
    assert set(found.settings.index) == {"this fit", *study.DIALS, "answers beta-binomial"}
    assert found.settings.loc["models close (prior sd 0.1)", "gain"] < found.settings.loc["this fit", "gain"]
    low, high = found.settings["P(gain)"].min(), found.settings["P(gain)"].max()
    assert f"between {low:.2f} and {high:.2f}" in found.conclusion and f"{new['P(gain)']:.2f} on new" in found.conclusion
    assert found.conclusion in capsys.readouterr().out and (tmp_path / "report.md").stat().st_size > 5_000
