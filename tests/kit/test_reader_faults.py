"""Every fault of a log is refused, naming the file, the place, the rule and the fix: the messages are a snapshot."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import harness_files as files
import pandas as pd
import pyarrow as pa
import pytest
from harness_files import HARNESS

import bayeskit as bk
from bayeskit.readers import archive
from bayeskit.readers.jsontext import JsonStream

SNAPSHOT = Path(__file__).parent / "snapshots" / "reader_errors.txt"
ROW = {"doc_id": 0, "doc": {"subject": "a"}, "resps": [], "filter": "none", "metrics": ["acc"], "doc_hash": "a", "acc": 1.0}
SAMPLES = "samples_task_2025-01-01T00-00-00.000001.jsonl"


def lines(folder, *texts, name=SAMPLES):
    """A file of samples, from objects or from text as it stands."""
    path = folder / "toy__m" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [part if isinstance(part, bytes) else (json.dumps({**ROW, **part})).encode() for part in texts]
    path.write_bytes(b"\n".join(parts) + b"\n")
    return path


def log(folder, **change):
    """An Inspect log in JSON with other fields."""
    whole = json.loads((HARNESS / "inspect_json" / "beta.json").read_text())
    return files.write_json(folder / "log.json", {key: value for key, value in {**whole, **change}.items() if value != "drop"})


def eval_log(folder, *, header=None, extra=(), without=(), summaries=None):
    """An Inspect archive, from the golden one of the older version."""
    path = folder / "log.eval"
    with zipfile.ZipFile(HARNESS / "inspect_eval_2025" / "alpha.eval") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "header.json" and header:
                data = json.dumps({**json.loads(data), **header}).encode()
            if name == "summaries.json" and summaries is not None:
                data = summaries
            if name not in without:
                new.writestr(name, data)
        for name, data in extra:
            new.writestr(name, data)
    return path


def damaged(folder):
    data = bytearray((HARNESS / "inspect_eval" / "alpha.eval").read_bytes())
    with zipfile.ZipFile(HARNESS / "inspect_eval" / "alpha.eval") as whole:
        member = whole.getinfo("summaries.json")
    data[member.header_offset + 80] ^= 255
    (folder / "log.eval").write_bytes(data)
    return folder / "log.eval"


def link():
    info = zipfile.ZipInfo("samples/x.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def cut(source, folder, name):
    data = source.read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    return folder / name


def plain(folder, text):
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


def mixed(folder):
    lines(folder, {})
    log(folder)
    return folder


def statistics(folder, change):
    files.helm(folder)
    path = folder / "capitals:subject=all,model=toy_beta" / "per_instance_stats.json"
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))
    return folder


def twice(folder):
    lines(folder / "a", {}, {"doc_id": 1, "doc_hash": "b"})
    lines(folder / "b", {})
    return folder


def empty(folder):
    (folder / "logs").mkdir()
    return folder / "logs"


def results(folder, **tasks):
    payload = {"results": tasks, "config": {"model_args": "pretrained=m"}, "n-samples": {}}
    return files.write_json(folder / "results_2025-01-01T00-00-00.000001.json", payload)


# Name -> what makes the files, and the arguments of bk.read.
FAULTS = {
    # --- JSON Lines
    "truncated line": (lambda f: lines(f, {}, b'{"doc_id": 1, "acc": 1.', {}), {}),
    "line that is no JSON": (lambda f: lines(f, {}, b"oops"), {}),
    "first line cut": (lambda f: lines(f, b'{"doc_id": 1, "doc": {"a'), {}),
    "line that is not UTF-8": (lambda f: lines(f, {}, b'{"doc_id": 1, "doc": "\xff\xfe", "acc": 1.0}'), {}),
    "number of 5000 digits": (
        lambda f: lines(f, {}, b'{"doc_id": 1, "doc_hash": "b", "filter": "none", "acc": ' + b"9" * 5000 + b"}"),
        {},
    ),
    "nested too deeply": (lambda f: lines(f, {}, b'{"doc": ' + b"[" * 100_000), {}),
    "empty samples file": (lambda f: lines(f, b""), {}),
    "label missing in a line": (lambda f: lines(f, {}, {"doc_id": 1, "doc_hash": None}), {}),
    "first value is a list": (lambda f: lines(f, b"[[1]]"), {"format": "lm-eval"}),
    # --- scores
    "NaN score": (lambda f: lines(f, {}, {"doc_id": 1, "doc_hash": "b", "acc": float("nan")}), {}),
    "score that is absent": (lambda f: lines(f, {}, b'{"doc_id": 1, "doc_hash": "b", "filter": "none"}'), {}),
    "infinite score": (lambda f: lines(f, {}, {"doc_id": 1, "doc_hash": "b", "acc": float("inf")}), {}),
    "score of 2**60": (lambda f: lines(f, {}, {"doc_id": 1, "doc_hash": "b", "acc": 2**60}), {}),
    "score that is a pair": (lambda f: lines(f, {"acc": [1.0, 2.0]}), {}),
    "score that is text": (lambda f: lines(f, {"acc": "good"}), {}),
    "Inspect score of words": (lambda f: log(f, samples=[{"id": 1, "epoch": 1, "scores": {"m": {"value": "fine"}}}]), {}),
    "Inspect score of a list": (lambda f: log(f, samples=[{"id": 1, "epoch": 2, "scores": {"m": {"value": [1]}}}]), {}),
    "Inspect sample without score": (
        lambda f: log(f, samples=[{"id": 1, "scores": {"m": {"value": 1}}}, {"id": 2, "scores": {}}]),
        {},
    ),
    # --- choices
    "several metrics": (lambda f: HARNESS / "inspect_eval", {}),
    "several metrics by benchmark": (lambda f: lines(f, {"metrics": ["acc", "f1"], "f1": 0.5}), {}),
    "several filters": (lambda f: lines(f, {}, {"filter": "strict"}), {}),
    "unknown metric": (lambda f: HARNESS / "inspect_eval", {"metric": "strickt"}),
    "unknown filter": (lambda f: HARNESS / "lm_eval", {"metric": {"capitals": "exact_match,last"}}),
    "unknown benchmark": (lambda f: HARNESS / "lm_eval", {"metric": {"capital": "acc"}}),
    "unscored run": (lambda f: log(f, samples=[{"id": 1, "epoch": 1, "scores": {}}]), {}),
    "unknown cluster in Inspect": (lambda f: HARNESS / "inspect_eval", {"metric": "strict", "cluster": "regio"}),
    "unknown cluster in lm-eval": (lambda f: lines(f, {}), {"cluster": "subjekt"}),
    "unknown cluster in HELM": (files.helm, {"metric": "f1", "cluster": "x"}),
    "several splits": (
        lambda f: statistics(f, lambda e: e.append({"instance_id": "q9", "stats": [files.stat("f1", 1.0, split="valid")]})),
        {"metric": "f1"},
    ),
    "perturbations": (lambda f: files.helm(f, perturbed=True), {"metric": "exact_match"}),
    # --- files
    "empty folder": (empty, {}),
    "no such file": (lambda f: f / "nothing" / "x.json", {}),
    "folder of other things": (lambda f: (lines(f, b"x", name="notes.txt"), f)[1], {}),
    "file of another form": (lambda f: lines(f, b"x", name="notes.txt"), {}),
    "JSON of another form": (lambda f: files.write_json(f / "x.json", {"a": 1, "b": 2}), {}),
    "mixed formats": (mixed, {}),
    "mixed with a table": (lambda f: [lines(f, {}), plain(f, "model,score\na,1\n")], {}),
    "format that is not there": (mixed, {"format": "helm"}),
    "repeated cells": (twice, {"model": "m"}),
    # --- Inspect
    "cut archive": (lambda f: cut(HARNESS / "inspect_eval" / "alpha.eval", f, "log.eval"), {}),
    "archive without header": (lambda f: eval_log(f, without=("header.json",)), {}),
    "other archive": (lambda f: eval_log(f, without=("header.json", "_journal/start.json")), {}),
    "damaged member": (damaged, {}),
    "broken member": (lambda f: eval_log(f, summaries=b'[\n{"id": 1},\n{"id": 2'), {}),
    "absolute name": (lambda f: eval_log(f, extra=[("/etc/passwd", b"x")]), {}),
    "name that climbs": (lambda f: eval_log(f, extra=[("samples/../../x", b"x")]), {}),
    "name with a drive": (lambda f: eval_log(f, extra=[("C:/x", b"x")]), {}),
    "name with backslashes": (lambda f: eval_log(f, extra=[("..\\x", b"x")]), {}),
    "link in the archive": (lambda f: eval_log(f, extra=[(link(), b"/etc/passwd")]), {}),
    "unknown version": (lambda f: log(f, version=3), {}),
    "unknown version in an archive": (lambda f: eval_log(f, header={"version": "x"}), {}),
    "log without model": (lambda f: log(f, eval={"task": "t"}), {}),
    "cut JSON": (lambda f: cut(HARNESS / "inspect_json" / "beta.json", f, "log.json"), {}),
    "sample without id": (lambda f: log(f, samples=[{"epoch": 1}]), {}),
    # --- the others
    "HELM entry without stats": (lambda f: statistics(f, lambda e: e[3].pop("stats")), {"metric": "f1"}),
    "HELM statistic without value": (lambda f: statistics(f, lambda e: e[1]["stats"][0].pop("sum")), {"metric": "f1"}),
    "HELM run without model": (
        lambda f: files.write_json(f / "run" / "per_instance_stats.json", [{"instance_id": "1", "stats": []}]),
        {},
    ),
    "EvalPlus task of another form": (
        lambda f: files.write_json(f / "eval_results.json", {"date": "x", "eval": {"HumanEval/0": [{"base": 1}]}}),
        {},
    ),
    "EvalPlus base and plus": (files.evalplus, {}),
    "results without the metric": (lambda f: results(f, a={"acc,none": 0.5}, b={"f1,none": 0.5}), {"metric": "acc"}),
    "results that are NaN": (lambda f: results(f, a={"acc,none": float("nan")}), {}),
    # --- tables
    "columns that say nothing": (lambda f: plain(f, "a,b\n1,2\n"), {}),
    "two scores in a table": (lambda f: plain(f, "model,acc,acc_norm\na,1,0\n"), {}),
    "column that is not there": (lambda f: plain(f, "model,score\na,1\n"), {"columns": {"item": "Model"}}),
    "text as a score": (lambda f: plain(f, "model,score\na,1\nb,x\n"), {}),
    "empty score": (lambda f: plain(f, "model,score\na,1\nb,\n"), {}),
    "shares with trials": (lambda f: plain(f, "model,score,trials\na,1,10\nb,0.5,10\n"), {}),
    "repeated rows": (lambda f: plain(f, "model,item,score\na,1,1\nb,1,1\na,1,0\n"), {}),
    "wide table without that item": (lambda f: plain(f, "item,a,b\n1,1,0\n"), {"format": "wide", "item": "Item"}),
    "no rows": (lambda f: plain(f, "model,score\n"), {}),
}


def message(name, folder):
    make, arguments = FAULTS[name]
    with pytest.raises(bk.DataError) as caught:
        bk.read(make(folder), **arguments)
    text = str(caught.value)
    assert str(folder) not in text and "/tmp" not in text and str(HARNESS.parent) not in text
    assert caught.value.rule and caught.value.fix
    return text


def test_messages_of_faults(tmp_path):
    texts = []
    for place, name in enumerate(FAULTS):
        folder = tmp_path / str(place) / "case"
        folder.mkdir(parents=True)
        texts.append(f"## {name}\n{message(name, folder)}\n\n")
    text = "".join(texts)
    if os.environ.get("BAYESKIT_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def test_scores_that_are_absent_may_stay_missing(tmp_path):
    path = lines(tmp_path, {}, {"doc_id": 1, "doc_hash": "b", "acc": float("nan")}, {"doc_id": 2, "doc_hash": "c", "acc": None})
    table = bk.read(path, unscored="missing")
    assert table["score"].to_pylist() == [1.0, None, None]


def test_sizes_of_archives_are_capped(tmp_path, monkeypatch):
    path = eval_log(tmp_path)
    monkeypatch.setattr(archive, "_MOST_BYTES", 100)
    with pytest.raises(bk.DataError, match=r"holds a member of [\d,]+ bytes"):
        bk.read(path, metric="strict")
    monkeypatch.setattr(archive, "_MOST_BYTES", 1 << 30)
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 3)
    with pytest.raises(bk.DataError, match="holds 15 members"):
        bk.read(path, metric="strict")


def test_a_member_that_says_it_is_small_does_not_unpack_to_more(tmp_path):
    """The list at the end of a zip may lie: what is unpacked stops one byte past the size that it states."""
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("header.json", b" " * 50_000_000)
    data = path.read_bytes().replace((50_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(bk.DataError, match=r"'header.json' that is damaged"):
        bk.read(path)


def test_no_flipped_bit_of_a_zstandard_member_changes_a_score(tmp_path):
    """Frames carry no checksum of their own, so a flipped bit may unpack: the archive's checksum is what finds it."""
    whole = (HARNESS / "inspect_eval" / "alpha.eval").read_bytes()
    with archive.Archive(HARNESS / "inspect_eval" / "alpha.eval", "alpha.eval") as opened:
        content = opened.read("summaries.json")
    with zipfile.ZipFile(HARNESS / "inspect_eval" / "alpha.eval") as opened:
        member = opened.getinfo("summaries.json")
    start = member.header_offset + 30 + len(member.filename)
    path, refused = tmp_path / "log.eval", 0
    places = range(start, start + member.compress_size, 3)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with archive.Archive(path, "log.eval") as opened:
            try:
                assert opened.read("summaries.json") == content  # a bit that the format does not use
            except bk.DataError as fault:
                assert "'summaries.json' that is damaged" in str(fault)
                refused += 1
    assert refused >= len(places) - 3


def test_zstandard_members_of_several_frames(tmp_path):
    """Inspect cuts large members into frames; CRC and size are those of the whole."""
    parts = [b'{"a": 1}' * 1000, b"x" * 1000]
    packed = b"".join(pa.compress(part, codec="zstd", asbytes=True) for part in parts)
    whole = b"".join(parts)
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("m", packed)
    import zlib

    info = zipfile.ZipFile(path).getinfo("m")
    data = path.read_bytes()
    old = info.CRC.to_bytes(4, "little") + len(packed).to_bytes(4, "little") * 2
    fresh = zlib.crc32(whole).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + len(whole).to_bytes(4, "little")
    data = data.replace(old, fresh)
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # the method, stored so far, becomes Zstandard
        at = data.index(mark) + offset
        data = data[:at] + (93).to_bytes(2, "little") + data[at + 2 :]
    path.write_bytes(data)
    with archive.Archive(path, "z.zip") as opened:
        assert opened.read("m") == whole


@pytest.mark.parametrize(
    "arguments",
    [
        {"format": "inspekt"},
        {"format": "inspect"},
        {"metric": 3},
        {"metric": ""},
        {"columns": {"score": 3}},
        {"columns": {"scor": "x"}},
        {"repeated": "keep"},
        {"unscored": "zero"},
        {"model": ""},
        {"filter": 1},
    ],
)
def test_arguments_that_make_no_sense(arguments):
    with pytest.raises(bk.SpecificationError, match=r"^read: "):
        bk.read(pd.DataFrame({"model": ["a"], "score": [1]}), **arguments)


def test_a_stream_refuses_values_that_never_end(monkeypatch):
    import io

    from bayeskit.readers import jsontext

    monkeypatch.setattr(jsontext, "_MOST", 1000)
    monkeypatch.setattr(jsontext, "_CHUNK", 100)
    with pytest.raises(bk.DataError, match="one value is longer than"):
        JsonStream(io.BytesIO(b'["' + b"x" * 5000), "f").take("[") or JsonStream(io.BytesIO(b'"' + b"x" * 5000), "f").value()
