"""Logs go the same road as every table: `spec.fit`, the command line, intake; and JSON text is read in pieces of any size."""

from __future__ import annotations

import io
import json

import examples
import harness_files as files
import numpy as np
import pytest
from harness_files import HARNESS, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import bayeskit as bk
from bayeskit import cli
from bayeskit.intake import Column, encode
from bayeskit.readers import jsontext, open_table
from bayeskit.readers.jsontext import JsonStream

COLUMNS = [
    Column("model", "model", "label", "who answered"),
    Column("item", "item", "label", "the question"),
    Column("score", "score", "binary", "whether it was right", allow_missing=True),
]


def test_intake_of_a_folder_is_intake_of_its_long_table():
    folder = HARNESS / "inspect_json"
    rows = encode(folder, COLUMNS)
    assert rows.n == 30 and rows.levels["item"] == files.ITEMS
    assert rows.digest == encode(bk.read(folder), COLUMNS).digest == encode(bk.read(folder).to_pandas(), COLUMNS).digest
    assert rows.digest == encode(str(folder / "*.json"), COLUMNS).digest
    assert rows.columns["score"].sum() == sum(truth().values())
    folded = encode(folder, COLUMNS, fold=True)
    assert folded.columns["count"].sum() == 30


def test_notes_of_the_reader_are_notes_of_the_rows():
    rows = encode(bk.read(HARNESS / "inspect_errors", metric="strict"), COLUMNS)
    assert rows.missing["score"].sum() == 1
    assert "alpha-errors.eval: 1 failed or unscored sample is missing, not 0." in rows.notes
    with pytest.raises(bk.DataError, match="1 value is missing"):
        encode(bk.read(HARNESS / "inspect_errors", metric="strict"), [Column("score", "score", "binary", "a verdict")])


def test_a_fit_to_a_folder_is_the_fit_to_its_successes():
    spec = examples.BetaBinomial(outcome="score")
    fit = spec.fit(str(HARNESS / "inspect_json"), seed=3, draws=400, tune=400, progress=False)
    assert int(fit.statistics["n"]) == 30 and int(fit.statistics["k"]) == sum(truth().values())
    mean = (2 + sum(truth().values())) / (5 + 30)
    assert abs(float(fit.posterior["p"].mean()) - mean) < 0.02  # the posterior's sd is 0.08, its Monte Carlo error 0.003


def invoke(*arguments):
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def test_the_command_line_reads_folders_and_choices(tmp_path):
    out = tmp_path / "run.nc"
    common = ("-s", "outcome=score", "--out", str(out), "--seed", "3", "--draws", "400", "--tune", "400", "--no-progress")
    done = invoke("fit", "BetaBinomial", str(HARNESS / "lm_eval"), *common)
    assert done.exit_code != 0 and "--read metric=acc" in done.stderr + done.stdout
    done = invoke("fit", "BetaBinomial", str(HARNESS / "lm_eval"), "--read", 'metric={"capitals_mc": "acc"}', *common)
    assert done.exit_code == 0, done.stdout
    assert int(bk.load(out).statistics["k"]) == sum(truth().values())
    wrong = invoke("fit", "BetaBinomial", str(HARNESS / "lm_eval"), "--read", "metrik=acc", *common)
    assert wrong.exit_code != 0 and "Did you mean 'metric'?" in wrong.stderr + wrong.stdout


def test_csv_files_and_folders_of_them_are_opened_as_before(tmp_path):
    (tmp_path / "t.csv").write_text("model,item,score\na,x,1\n")
    assert open_table(tmp_path / "t.csv").names == ("model", "item", "score")
    with pytest.raises(bk.DataError, match="is a folder"):
        open_table(tmp_path)
    with pytest.raises(bk.DataError, match="No file matches"):
        open_table(tmp_path / "*.json")


# --- text in pieces ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=VALUES, indent=st.sampled_from([None, 2]), chunk=st.integers(1, 40), escape=st.booleans())
def test_pieces_of_any_size_give_the_same_values(value, indent, chunk, escape):
    text = json.dumps(value, indent=indent, ensure_ascii=escape).encode("utf-8", "surrogatepass")
    if b"\xed" in text:  # a lone surrogate is no UTF-8
        text = json.dumps(value, indent=indent).encode()
    expected = json.loads(text)
    old, jsontext._CHUNK = jsontext._CHUNK, chunk
    try:
        stream = JsonStream(io.BytesIO(text + b" \n"), "f")
        if isinstance(expected, list):
            found = list(stream.elements())
        elif isinstance(expected, dict):
            found = {key: stream.value() for key in stream.members()}
        else:
            found = stream.value()
        assert json.dumps(found) == json.dumps(expected) and stream.peek() == ""
    finally:
        jsontext._CHUNK = old


@settings(max_examples=100, deadline=None)
@given(value=st.lists(VALUES, min_size=1, max_size=4), chunk=st.integers(1, 40), data=st.data())
def test_a_cut_text_never_passes_for_a_whole_one(value, chunk, data):
    text = json.dumps(value, indent=1).encode()
    place = data.draw(st.integers(0, len(text) - 1))
    old, jsontext._CHUNK = jsontext._CHUNK, chunk
    try:
        with pytest.raises(bk.DataError, match=r"File 'f', line (\d+): ") as caught:
            list(JsonStream(io.BytesIO(text[:place]), "f").elements())
        line = int(str(caught.value).split("line ")[1].split(":")[0])
        assert line <= text[:place].count(b"\n") + 1
    finally:
        jsontext._CHUNK = old


def test_lines_of_faults_count_from_the_start_of_the_file(monkeypatch):
    monkeypatch.setattr(jsontext, "_CHUNK", 7)
    text = '[\n{"a":\n 1},\n\n{"b": x}\n]'
    with pytest.raises(bk.DataError, match="line 5: Expecting value"):
        list(JsonStream(io.BytesIO(text.encode()), "f").elements())
    with pytest.raises(bk.DataError, match="line 3: the bytes are not UTF-8"):
        list(JsonStream(io.BytesIO(b'[\n"a",\n"\xff"]'), "f").elements())


def test_every_member_of_a_golden_archive_is_read_as_inspect_wrote_it():
    """Both compressions: sizes and checksums are those that the archive states, so the bytes are the tool's own."""
    from bayeskit.readers.archive import Archive

    for folder in ("inspect_eval", "inspect_eval_2025"):
        with Archive(HARNESS / folder / "gamma.eval", "gamma.eval") as opened:
            samples = [json.loads(opened.read(name)) for name in opened.names if name.startswith("samples/")]
        right = [sample["scores"]["strict"]["value"] == "C" for sample in samples]
        assert np.sum(right) == sum(score for (model, *_), score in truth().items() if model == "gamma")
