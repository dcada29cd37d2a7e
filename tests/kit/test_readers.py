"""`bk.read`: every format gives the table that its tool scored."""

from __future__ import annotations

import gzip
import json
import shutil

import harness_files as files
import numpy as np
import pandas as pd
import polars as pl
import pytest
from harness_files import HARNESS, ITEMS, RIGHT, truth

import bayeskit as bk


def cells(table, item=str, sample=None):
    """Scores of a table by model (its last word), item and sample, all as `truth` names them."""
    frame = table.to_pandas()
    names = frame[sample].astype(str) if sample else pd.Series("1", index=frame.index)
    places = {name: place for place, name in enumerate(sorted(names.unique()))}
    model = frame["model"].astype(str).str.split("/").str[-1].str.split(" ").str[0]
    keys = zip(model, frame["item"].astype(str).map(item), names.map(places), strict=True)
    out = dict(zip(keys, frame["score"], strict=True))
    assert len(out) == len(frame)
    return out


def number(text):
    return ITEMS[int(text.split("/")[-1])]


@pytest.mark.parametrize("folder", ["inspect_eval", "inspect_eval_2025"])
def test_inspect_archives(folder):
    table = bk.read(HARNESS / folder, metric="strict", cluster="region")
    assert cells(table, sample="sample") == truth()
    assert table.column_names == ["model", "benchmark", "item", "cluster", "sample", "score"]
    assert set(table["benchmark"].to_pylist()) == {"capitals"}
    assert {(i, c) for i, c in zip(table["item"].to_pylist(), table["cluster"].to_pylist(), strict=True) if c == "north"} == {
        ("q3", "north")
    }
    lengths = cells(bk.read(HARNESS / folder, metric="style/length"), sample="sample")
    right = {"q1": 5.0}
    assert lengths == {key: right.get(key[1], 4.0) if score else 7.0 for key, score in truth().items()}
    assert set(bk.read(HARNESS / folder, metric="style/polite")["score"].to_pylist()) == {0.0}


def test_inspect_json_needs_no_choice_where_there_is_one_scorer():
    assert cells(bk.read(str(HARNESS / "inspect_json" / "*.json")), sample="sample") == truth()
    one = bk.read(HARNESS / "inspect_json" / "beta.json", model="mine", benchmark="towns")
    assert set(one["model"].to_pylist()) == {"mine"} and set(one["benchmark"].to_pylist()) == {"towns"}


def test_a_failed_sample_is_missing_and_said_so():
    table = bk.read(HARNESS / "inspect_errors", metric="strict")
    found = cells(table, sample="sample")
    wanted = {key: score for key, score in truth().items() if key[0] == "alpha"}
    assert np.isnan(found.pop(("alpha", "q4", 1)))
    del wanted["alpha", "q4", 1]
    assert found == wanted
    assert table["score"].null_count == 1
    assert b"1 failed or unscored sample is missing, not 0" in table.schema.metadata[b"bayeskit.notes"]


def inspect_json(path, change):
    log = json.loads((HARNESS / "inspect_json" / "beta.json").read_text())
    change(log)
    return files.write_json(path, log)


def test_inspect_values_errors_and_invalidated_samples(tmp_path):
    values = ["C", "P", "I", "N", True, "0.25", 3, "yes", float("nan"), None]

    def change(log):
        log["status"] = "error"
        for sample, value in zip(log["samples"], values, strict=True):
            sample["scores"] = {"match": {"value": value}} if value is not None else {}
        log["samples"][-1]["error"] = {"message": "stopped"}
        log["samples"][6]["invalidation"] = {"author": "me"}

    table = bk.read(inspect_json(tmp_path / "log.json", change))
    expected = [1, 0.5, 0, 0, 1, 0.25, np.nan, 1, np.nan, np.nan]
    np.testing.assert_array_equal(table.to_pandas()["score"], expected)
    notes = table.schema.metadata[b"bayeskit.notes"].decode()
    assert "3 failed or unscored samples" in notes and "status 'error'" in notes


def test_lm_eval_samples_with_few_shot_draws_as_templates():
    documents = bk.read(HARNESS / "lm_eval", metric={"capitals_mc": "acc"}, cluster="key")
    assert documents.column_names == ["model", "benchmark", "item", "cluster", "template", "score"]
    names = dict(zip(documents["item"].to_pylist(), documents["cluster"].to_pylist(), strict=True))
    assert cells(documents, names.get, "template") == truth()
    assert set(documents["template"].to_pylist()) == {"1-shot, seed 1", "1-shot, seed 2"}
    both = bk.read(HARNESS / "lm_eval", metric={"capitals": "exact_match", "capitals_mc": "acc_norm"}, filter="last-word")
    assert both.num_rows == 60
    for task in ("capitals", "capitals_mc"):
        part = both.filter(np.array(both["benchmark"].to_pylist()) == task)
        assert cells(part, names.get, "template") == truth()  # one hash for a document in both tasks
    verbatim = bk.read(str(HARNESS / "lm_eval" / "*" / "samples_capitals_2*"), metric="exact_match,verbatim")
    assert set(verbatim["score"].to_pylist()) == {0.0} and set(verbatim["model"].to_pylist()) == {f"toy/{m}" for m in RIGHT}


def test_lm_eval_results_are_successes_of_trials():
    table = bk.read(
        str(HARNESS / "lm_eval" / "*" / "results*"), metric={"capitals": "exact_match,last-word", "capitals_mc": "acc"}
    ).to_pandas()
    for (model, template, task), rows in table.groupby(["model", "template", "benchmark"], observed=True):
        run = int(template[-1]) - 1
        assert rows["score"].tolist() == [RIGHT[model.split("/")[1]][run].count("1")], task
    assert set(table["trials"]) == {5} and "item" not in table


def test_lm_eval_of_old_versions(tmp_path):
    samples = bk.read(files.old_samples(tmp_path / "a"), metric="acc")
    assert cells(samples, number, "template") == truth()
    assert set(samples["benchmark"].to_pylist()) == {"toy_capitals"}
    results = bk.read(files.old_results(tmp_path / "b"), metric="acc").to_pandas()
    assert results[["benchmark", "checkpoint", "score", "trials"]].values.tolist() == [
        ["arc_challenge", "step1000", 199, 1172],
        ["piqa", "step1000", 1100, 1838],
        ["arc_challenge", "step143000", 280, 1172],
        ["piqa", "step143000", 0, 1838],  # nobody right: the size is that of the other run
    ]
    assert set(results["model"]) == {"toy/one"}


def test_lm_eval_results_that_are_no_counts(tmp_path):
    results = {"perplexing": {"ppl,none": 12.5, "ppl_stderr,none": 0.5, "alias": "perplexing"}}
    payload = {
        "results": results,
        "n-samples": {"perplexing": {"original": 9, "effective": 9}},
        "model_name": "m",
        "config": {},
    }
    table = bk.read(files.write_json(tmp_path / "results_2025-01-01T00-00-00.000001.json", payload))
    assert table.to_pylist() == [{"model": "m", "benchmark": "perplexing", "score": 12.5, "stderr": 0.5}]


def test_documents_of_one_text_are_told_apart(tmp_path):
    row = {"doc": {}, "resps": [], "filter": "none", "metrics": ["acc"], "target": ""}
    rows = [{**row, "doc_id": i, "doc_hash": h * 64, "acc": 1.0} for i, h in ((10, "b"), (2, "a"), (9, "b"), (11, "b"))]
    table = bk.read(files.write_lines(tmp_path / "m" / "samples_t_2025-01-01T00-00-00.jsonl", rows))
    assert table["item"].to_pylist() == ["b" * 16 + "~2", "a" * 16, "b" * 16, "b" * 16 + "~3"]
    assert b"named after the folder 'm'" in table.schema.metadata[b"bayeskit.notes"]


def test_helm(tmp_path):
    table = bk.read(files.helm(tmp_path / "a"), metric="exact_match")
    assert cells(table, sample="template") == truth()
    assert set(table["benchmark"].to_pylist()) == {"capitals:subject=all"}
    assert table.column_names == ["model", "benchmark", "item", "template", "score"]
    nameless = bk.read(files.helm(tmp_path / "b", spec=False), metric="f1")
    assert {model for model, *_ in cells(nameless, sample="template")} == set(RIGHT)
    files.helm(tmp_path / "c", perturbed=True)
    assert cells(bk.read(tmp_path / "c", metric="exact_match", filter="none"), sample="template") == truth()
    every = bk.read(tmp_path / "c", metric="exact_match", filter="all")
    assert every.num_rows == 60 and "typos, trial 1" in every["template"].to_pylist()


def test_helm_splits_are_read_one_at_a_time(tmp_path):
    entries = [
        {"instance_id": f"q{place}", "stats": [files.stat("f1", score, split=split)]}
        for place, (score, split) in enumerate([(1.0, "test"), (0.0, "valid"), (0.5, "test")])
    ]
    files.write_json(tmp_path / "run" / "per_instance_stats.json", entries)
    assert bk.read(tmp_path, model="m", split="test")["score"].to_pylist() == [1.0, 0.5]
    assert bk.read(tmp_path, model="m", split="valid")["item"].to_pylist() == ["q1"]


def test_helm_counts_are_trials(tmp_path):
    entries = [{"instance_id": "q1", "train_trial_index": 0, "stats": [files.stat("pass", 3.0, count=5)]}]
    files.write_json(tmp_path / "run" / "per_instance_stats.json", entries)
    table = bk.read(tmp_path, model="m")
    assert table.to_pylist() == [{"model": "m", "benchmark": "run", "item": "q1", "score": 3.0, "trials": 5}]


def test_human_eval_and_evalplus(tmp_path):
    table = bk.read(files.human_eval(tmp_path / "a"))
    assert cells(table, number, "sample") == truth()
    assert "alpha (temperature 0.8)" in table["model"].to_pylist() and set(table["benchmark"].to_pylist()) == {"HumanEval"}
    for old in (False, True):
        files.evalplus(tmp_path / f"b{old}", old=old)
        assert cells(bk.read(tmp_path / f"b{old}", metric="plus"), number, "sample") == truth()
        assert set(bk.read(tmp_path / f"b{old}", metric="base")["score"].to_pylist()) == {1.0}
        only = bk.read(files.evalplus(tmp_path / f"c{old}", old=old, plus=False))
        assert set(only["score"].to_pylist()) == {1.0}


def frames():
    rows = [{"model": m, "item": i, "sample": s, "score": score} for (m, i, s), score in truth().items()]
    return pd.DataFrame(rows)


def test_long_tables(tmp_path):
    frame = frames()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    files.write_lines(tmp_path / "t.jsonl", frame.to_dict("records"))
    renamed = frame.rename(columns={"model": "who", "item": "question_id", "score": "pass1"})
    for given in (frame, pl.from_pandas(frame), *(tmp_path / f"t.{kind}" for kind in ("csv", "parquet", "jsonl"))):
        assert cells(bk.read(given), sample="sample") == truth()
    assert cells(bk.read(renamed, columns={"model": "who"}), sample="sample") == truth()
    assert cells(bk.read(renamed, columns={"model": "who"}, metric="pass1"), sample="sample") == truth()
    counts = frame.groupby(["model", "item"], as_index=False).agg(score=("score", "sum"), trials=("score", "size"))
    assert bk.read(counts)["trials"].to_pylist() == [2] * 15


def test_wide_tables_and_summaries(tmp_path):
    wide = frames().query("sample == 0").pivot(index="item", columns="model", values="score").reset_index()
    wide.to_csv(tmp_path / "w.csv", index=False)
    first = {key: score for key, score in truth().items() if key[2] == 0}
    assert cells(bk.read(tmp_path / "w.csv")) == first
    assert cells(bk.read(wide)) == first
    unnamed = bk.read(wide.drop(columns="item"), format="wide")
    assert cells(unnamed, lambda place: ITEMS[int(place) - 1]) == first
    wide.loc[0, "beta"] = np.nan
    holes = bk.read(wide)
    assert holes["score"].null_count == 1 and b"1 empty cell is missing, not 0" in holes.schema.metadata[b"bayeskit.notes"]
    summary = pd.DataFrame({"benchmark": ["MMLU", "PIQA"], "mean": [25.86, 76.93], "sd": [0.57, 0.41], "n": [10, 10]})
    assert bk.read(summary).to_pandas().to_dict("list") == summary.to_dict("list")


def test_folders_take_the_one_harness_and_say_what_they_leave_out(tmp_path):
    shutil.copytree(HARNESS / "inspect_json", tmp_path / "logs")
    (tmp_path / "logs" / "notes.txt").write_text("x")
    (tmp_path / "logs" / "config.json").write_text('{"a": 1}')
    (tmp_path / "logs" / "board.csv").write_text("model,score\na,1\n")
    (tmp_path / "logs" / ".hidden.json").write_text("{")
    table = bk.read(tmp_path / "logs")
    assert cells(table, sample="sample") == truth()
    assert b"3 other files were left out: board.csv, config.json, notes.txt." in table.schema.metadata[b"bayeskit.notes"]
    files.human_eval(tmp_path / "logs")
    assert cells(bk.read(tmp_path / "logs", format="inspect"), sample="sample") == truth()
    assert cells(bk.read(tmp_path / "logs", format="human-eval"), number, "sample") == truth()
    assert bk.read(tmp_path / "logs", format="long").num_rows == 1
    twice = [tmp_path / "logs" / "alpha.json", str(tmp_path / "logs" / "a*.json")]
    assert bk.read(twice).num_rows == 10  # a file that is named twice is read once


def test_compressed_logs_and_byte_order_marks(tmp_path):
    text = (HARNESS / "inspect_json" / "alpha.json").read_bytes()
    with gzip.open(tmp_path / "alpha.json.gz", "wb") as stream:
        stream.write(b"\xef\xbb\xbf" + text)
    assert bk.read(tmp_path / "alpha.json.gz").num_rows == 10
    rows = [{"task_id": "HumanEval/0", "passed": True}]
    with gzip.open(tmp_path / "one.jsonl.gz", "wt") as stream:
        stream.write(json.dumps(rows[0]))
    assert bk.read(tmp_path / "one.jsonl.gz").num_rows == 1


def test_repeats_are_numbered_on_request(tmp_path):
    frame = frames().drop(columns="sample")
    with pytest.raises(bk.DataError, match="15 cells occur more than once"):
        bk.read(frame)
    assert cells(bk.read(frame, repeated="sample"), sample="sample") == truth()
