"""Benchmark scores that ship with the package: margins by which they can be recognised, and what the summaries hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeskit_models import datasets
from bayeskit_models.benchmarks.moments import moments_of_counts
from bayeskit_models.datasets import derive_benchmarks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks"
SHIPPED = ("aiw", "cruxeval", "cruxeval_items", "cruxeval_pair")


def test_aiw_has_the_pooled_rates_of_the_source():
    table = datasets.load("aiw")
    assert (table["trials"] == 60).all() and table.groupby("model").size().eq(6).all()
    pooled = table.groupby("model")["successes"].sum() / 360
    assert pooled["gpt-4o-2024-05-13"] == pytest.approx(0.178, abs=5e-4)
    assert pooled["o1-preview"] == pytest.approx(0.989, abs=5e-4)
    assert pooled["claude-3-5-sonnet-20240620"] == pytest.approx(0.400, abs=5e-4)
    assert pooled["o1-mini"] == pytest.approx(0.083, abs=5e-4)
    second = table[(table["model"] == "gpt-4o-2024-05-13") & (table["variation"] == 2)]
    assert second["successes"].item() == 31


def test_madaan_half_widths_and_ratios_are_those_of_the_paper():
    """Half widths are near the analytic ones where they belong to the same checkpoint; ratios are those of the table."""
    table = datasets.load("madaan").set_index("benchmark")
    analytic = 1.96 * np.sqrt(table["mean"] * (1 - table["mean"]) / table["items"])
    same = ["MMLU", "MMLU-Cloze", "HellaSwag", "AGIEval", "SIQA", "COPA", "ARC-C", "PIQA"]
    np.testing.assert_allclose(table.loc[same, "half_width"], analytic[same], atol=3.5e-3, rtol=0.05)
    ratio = table["sd"] / (table["half_width"] / 1.96)
    expected = {"MMLU": 1.55, "BIG-Bench Hard": 1.59, "MATH": 1.61, "HellaSwag": 0.44, "PIQA": 0.40, "SIQA": 0.49}
    for name, value in expected.items():
        assert ratio[name] == pytest.approx(value, abs=0.006)
    assert table["continuous_monotonicity"].isna().sum() == 4


def test_a_summary_of_cruxeval_gives_the_mean_squares_of_the_whole_table():
    """Both histograms hold every sum of squares of models x items x samples: .0182, .0869, .0987, .0417, mean .429."""
    by_model, by_item = datasets.load("cruxeval"), datasets.load("cruxeval_items")
    assert by_model.groupby("model")["items"].sum().eq(800).all() and by_item["items"].sum() == 800
    assert (by_model["successes"] * by_model["items"]).sum() == (by_item["successes"] * by_item["items"]).sum()
    score, weight = by_model["successes"] / 10, by_model["items"]
    models, items, samples = 33, 800, 10
    mean = float((score * weight).sum() / weight.sum())
    own = (score * weight).groupby(by_model["model"]).sum() / items
    total = by_item["successes"] / (samples * models)
    square_model = items * float(((own - mean) ** 2).sum())
    square_item = models * float((by_item["items"] * (total - mean) ** 2).sum())
    square_cells = float((weight * (score - mean) ** 2).sum())
    within = float((weight * score * (1 - score)).sum() / weight.sum()) * samples / (samples - 1)
    both = (square_cells - square_model - square_item) / ((models - 1) * (items - 1))
    assert mean == pytest.approx(0.429, abs=5e-4)
    assert within == pytest.approx(0.0417, abs=5e-5)
    assert both - within / samples == pytest.approx(0.0987, abs=5e-5)
    assert (square_item / (items - 1) - both) / models == pytest.approx(0.0869, abs=5e-5)
    assert (square_model / (models - 1) - both) / items == pytest.approx(0.0182, abs=5e-5)


def test_the_pair_of_cruxeval_agrees_with_the_histograms():
    pair, by_model = datasets.load("cruxeval_pair"), datasets.load("cruxeval")
    for name in derive_benchmarks.PAIR:
        mine = pair.groupby(name)["items"].sum().to_dict()
        assert mine == by_model[by_model["model"] == name].set_index("successes")["items"].to_dict()
    wide = pair.loc[pair.index.repeat(pair["items"]), list(derive_benchmarks.PAIR)]
    found = moments_of_counts(wide.to_numpy().T, 10)
    difference = (wide["codetulu-2-34b"] - wide["codellama-34b"]).to_numpy() / 10
    assert difference.mean() == pytest.approx(0.0204, abs=5e-5)
    # With two models the mean squares give exactly the variance of the items' differences.
    assert found.paired_error() == pytest.approx(difference.std(ddof=1) / np.sqrt(800), rel=1e-12)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/benchmarks beside the checkout")
def test_derivation_gives_the_shipped_files(tmp_path, capsys):
    sources = [SHARED / "laion_aiw_trial_counts.csv", SHARED / "cruxeval_input_counts.parquet"]
    derive_benchmarks.main([*map(str, sources), str(tmp_path)])
    told = capsys.readouterr().out
    for name in SHIPPED:
        about = datasets.describe(name)
        assert f"{name}: {about['rows']} rows; sha256 {about['sha256']}" in told
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / f"{name}.csv"), datasets.load(name))


def items(rows):
    return pd.DataFrame(rows, columns=["model", "item", "successes", "trials"])


def test_derivation_counts_items():
    a, b = derive_benchmarks.PAIR
    table = items([(a, "x", 1, 10), (a, "y", 1, 10), (b, "x", 0, 10), (b, "y", 0, 10), ("c", "x", 3, 3)])
    assert derive_benchmarks.cruxeval(table).to_numpy().tolist() == [[a, 1, 2], [b, 0, 2]]
    assert derive_benchmarks.cruxeval_items(table).to_numpy().tolist() == [[1, 2]]
    assert derive_benchmarks.cruxeval_pair(table).to_numpy().tolist() == [[1, 0, 2]]
    runs = pd.DataFrame({"problem": ["AIW_plus"] * 3 + ["AIW"], "model": "m", "variation": ["1", "1", "2", "1"],
                         "n": 5, "k": [1, 2, 3, 5]})  # fmt: skip
    assert derive_benchmarks.aiw(runs).to_numpy().tolist() == [["m", 1, 3, 10], ["m", 2, 3, 5]]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("a", "x", 1, 10), ("a", "x", 2, 10)], "row 1 repeats"),
        ([("a", "x", 1, 10), ("b", "y", 2, 10)], "did not all answer"),
        ([("a", "x", 1, 3)], "did not all answer"),
    ],
)
def test_derivation_refuses_other_tables(rows, told):
    with pytest.raises(ValueError, match=told):
        derive_benchmarks.cruxeval(items(rows))
