"""The demonstration: it never fits with the human labels, and it writes what it says."""

from __future__ import annotations

from importlib.metadata import entry_points
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import bayeskit
from bayeskit import cli
from bayeskit.cli import commands
from bayeskit.errors import StorageError
from bayeskit_models import datasets
from bayeskit_models.judges import demo


@pytest.fixture(scope="module")
def table():
    return datasets.load("judges")


def ranked(order, width=1):
    """Stand in for a fit whose ranking has the given order, each rank interval `width` ranks to both sides."""
    place = np.arange(1, len(order) + 1)
    frame = pd.DataFrame(
        {"rank_lower": np.maximum(place - width, 1), "rank_upper": np.minimum(place + width, len(order))},
        index=pd.Index(order, name="candidate"),
    )
    return SimpleNamespace(ranking=lambda prob: SimpleNamespace(table=frame))


def human_shares(table):
    """Share of answers that people call correct, by plain arithmetic."""
    rows = table.loc[table.index.repeat(table["count"])]
    return rows.groupby("candidate")["gold"].mean().sort_values(ascending=False)


def test_the_model_reads_no_gold_labels(table):
    columns = [name for column in demo.demo_model().columns() for name in np.atleast_1d(column.name)]
    assert "gold" not in columns
    assert set(columns) == set(table.columns) - {"gold"}
    assert demo.demo_model().chosen_likelihood == "joint"


def test_the_demonstration_is_registered():
    (point,) = (p for p in entry_points(group=commands.DEMOS) if p.name == "judges")
    assert point.load() is demo.run_demo


def test_a_ranking_in_the_human_order_covers_everything(table):
    shares = human_shares(table)
    found = demo.compare(ranked(list(shares.index), width=0), table)
    assert found.covered == 1.0
    assert found.width == 0.0
    np.testing.assert_allclose(found.table["human_share"], shares, rtol=1e-12)
    assert found.table["human_rank_best"].tolist() == list(range(1, 10))
    assert found.table["human_rank_worst"].tolist() == list(range(1, 10))


def test_a_reversed_ranking_covers_the_middle_only(table):
    found = demo.compare(ranked(list(human_shares(table).index[::-1]), width=1), table)
    assert found.covered == pytest.approx(1 / 9)
    own, other = found.sentences()
    assert "1 of 9" in own
    assert "Averaging" in other


def test_ties_among_people_are_a_range(table):
    """Two candidates with the same share hold two ranks between them."""
    tied = table.assign(gold=np.where(table["candidate"] == "gpt-4t", 1, 0))
    found = demo.compare(ranked(list(human_shares(table).index)), tied).table
    assert found.loc["gpt-4t", ["human_rank_best", "human_rank_worst"]].tolist() == [1, 1]
    assert (found.drop("gpt-4t")["human_rank_best"] == 2).all()
    assert (found.drop("gpt-4t")["human_rank_worst"] == 9).all()


@pytest.mark.parametrize(("value", "text"), [(0.0, "< 0.01"), (1.0, "> 0.99"), (0.5, "0.50"), (0.01, "0.01")])
def test_no_share_of_draws_is_certainty(value, text):
    assert demo._chance(value) == text


def test_a_folder_that_cannot_be_written_is_a_fault(table, tmp_path, monkeypatch):
    monkeypatch.setattr("bayeskit.report.build_report", lambda fit, prob: SimpleNamespace(sections=()))
    monkeypatch.setattr(demo, "_with_check", lambda report, comparison: report)
    monkeypatch.setattr("bayeskit.report.render", lambda report, path: path.write_text("x"))
    with pytest.raises(StorageError, match="Cannot write"):
        demo._write(None, None, tmp_path / "none")


@pytest.mark.slow
def test_the_whole_demonstration(tmp_path, table):
    """As a person runs it: the files, the verdict first, the check by human labels, and a run that can be read again."""
    environment = {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner().invoke(cli.app, ["demo", "--out", str(tmp_path), "--no-progress"], env=environment)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == set(demo.FILES)
    told = result.stdout
    assert told.index("checks") < told.index("Ranking by the judges") < told.index("human labels lies")

    fit = bayeskit.load(tmp_path / "run.nc")
    assert fit.spec == demo.demo_model()
    assert fit.provenance["sampling"]["seed"] == demo.SEED
    ranking = pd.read_csv(tmp_path / "ranking.csv", index_col="candidate")
    assert list(ranking.index[:2]) == ["gpt-4t", "llama2-70b-base"]
    np.testing.assert_allclose(ranking["expected_score"], fit.ranking().table["expected_score"], rtol=1e-12)
    # Nine intervals of 95 %: fewer than seven hits would happen to honest intervals once in a hundred runs.
    assert demo.compare(fit, table).covered >= 7 / 9
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Check against human labels" in page
    assert page.index("checks") < page.index("Check against human labels")
    assert "Check against human labels" in (tmp_path / "report.md").read_text(encoding="utf-8")
