"""Intake of CSV, TSV and Parquet files."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayeskit.errors import DataError
from bayeskit.intake import Column, count_cells, encode, fold

G = Column("g", "g", "label", "a group")
K = Column("k", "k", "level", "a grade", low=1, high=5)
X = Column("x", "x", "number", "a measured cell", allow_missing=True)
B = Column("b", "b", "binary", "a verdict")
WORDS = ["", "NaN", "=cmd", "<script>", "a/b", 'q"q', "a,b", "a\nb", "007", "1.0", "true", " a ", "é"]


def write(path, text: str):
    path.write_bytes(text.encode())
    return path


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.tuples(st.sampled_from(WORDS), st.integers(1, 5)), min_size=1, max_size=20))
def test_files_give_what_frames_give(tmp_path, cells):
    frame = pd.DataFrame(cells, columns=["g", "k"])
    expected = encode(frame, [G, K])
    frame.to_csv(tmp_path / "t.csv", index=False, quoting=1)
    frame.to_csv(tmp_path / "t.tsv", index=False, quoting=1, sep="\t")
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=3)
    for name in ("t.csv", "t.tsv", "t.parquet"):
        rows = encode(tmp_path / name, [G, K])
        assert rows.decode("g").tolist() == frame["g"].tolist()
        assert rows.digest == expected.digest
        small = encode(tmp_path / name, [G, K], fold=True)
        assert small.digest == encode(frame, [G, K], fold=True).digest
        assert (count_cells(small, ["g", "k"]) == count_cells(expected, ["g", "k"])).all()


def test_csv_cells_are_read_by_rules_not_by_guessing(tmp_path):
    text = '\ufeffg,x,b,unused,unused\r\n007,1e3,true,1,2\r\n"", 2.5 ,FALSE,,\r\nNA,NA,1,,\r\n1.0,,0,,'
    rows = encode(write(tmp_path / "t.csv", text), [G, X, B])
    assert rows.decode("g").tolist() == ["007", "", "NA", "1.0"]
    assert rows.columns["x"][:2].tolist() == [1000, 2.5]
    assert rows.missing["x"].tolist() == [False, False, True, True]
    assert rows.columns["b"].tolist() == [1, 0, 1, 0]
    with gzip.open(tmp_path / "z.csv.gz", "wb") as stream:
        stream.write(text.encode())
    assert encode(tmp_path / "z.csv.gz", [G, X, B]).digest == rows.digest
    semicolon = write(tmp_path / "s.csv", "g;x\na,b;1.5\n")
    assert encode(semicolon, [G, X]).decode("g").tolist() == ["a,b"]


@pytest.mark.parametrize("fold_it", [False, True])
def test_faults_of_csv_cells(tmp_path, fold_it):
    path = write(tmp_path / "t.csv", 'g,x\na,1\nb,"2,5"\n,3\n')
    with pytest.raises(DataError, match="Column 'x': 1 cell is no number") as caught:
        encode(path, [X], fold=fold_it)
    assert caught.value.values == ("2,5",) and caught.value.rows == (() if fold_it else (1,))
    with pytest.raises(DataError, match="Column 'g': 1 row has no label") as caught:
        encode(path, [G], fold=fold_it)
    assert caught.value.rows == (() if fold_it else (2,))
    assert ("row numbers" in str(caught.value)) == fold_it
    with pytest.raises(DataError, match="is not a whole number"):
        encode(write(tmp_path / "f.csv", "k\n1.5\n2\n"), [K], fold=fold_it)
    with pytest.raises(DataError, match=r"2\*\*53"):
        number = Column("n", "n", "count", "s")
        encode(write(tmp_path / "h.csv", f"n\n{2**53 + 1}\n"), [number], fold=fold_it)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("g,k\na,1\na\n", "cannot be read"),
        ("g,g\na,1\n", "2 columns of the table have this name"),
        ("", "is empty"),
        ("g,k\n", "no rows"),
        ("h,k\na,1\n", "is not in the table"),
    ],
)
def test_faults_of_csv_files(tmp_path, text, problem):
    with pytest.raises(DataError, match=problem) as caught:
        encode(write(tmp_path / "t.csv", text), [G, K])
    assert caught.value.rule and caught.value.fix and str(tmp_path) not in str(caught.value)


def test_faults_of_other_files(tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"g,k\n\xe9,1\n")
    write(tmp_path / "broken.parquet", "PAR1 no")
    for name in ("latin.csv", "broken.parquet"):
        with pytest.raises(DataError, match="cannot be read"):
            encode(tmp_path / name, [G, K])
    with pytest.raises(DataError, match="is a folder"):
        encode(tmp_path, [G])
    with pytest.raises(DataError, match="CSV and Parquet"):
        encode([tmp_path / "latin.csv", tmp_path / "broken.parquet"], [G])
    with pytest.raises(DataError, match="No file matches"):
        encode("https://example.org/t.csv", [G])
    frame = pd.DataFrame({"k": ["1", "2"]})
    frame.to_parquet(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="holds text, not numbers"):
        encode(tmp_path / "text.parquet", [K])


def test_several_files_are_one_table_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "b.csv", "k,g\n3,z\n")
    write(tmp_path / "a.csv", "g,k\nx,1\ny,2\n")
    write(tmp_path / "c.csv", "g,other,k\nw,0,4\n")
    rows = encode(str(tmp_path / "*.csv"), [G, K])
    assert rows.decode("g").tolist() == ["x", "y", "z", "w"] and rows.columns["k"].tolist() == [1, 2, 3, 4]
    write(tmp_path / "d.csv", "g\nw\n")
    with pytest.raises(DataError, match=r"occurs 0 times in file 'd.csv'"):
        encode(tmp_path / "*.csv", [G, K])
    # An integer file followed by one with fractions: DuckDB alone would round 1.7 to 2.
    pq.write_table(pa.table({"x": [1, 2], "g": ["a", "b"]}), tmp_path / "p1.parquet")
    pq.write_table(pa.table({"g": ["c"], "x": [1.7]}), tmp_path / "p2.parquet")
    both = encode([tmp_path / "p1.parquet", tmp_path / "p2.parquet"], [G, X])
    assert both.columns["x"].tolist() == [1, 2, 1.7] and both.decode("g").tolist() == ["a", "b", "c"]


def test_awkward_names_of_files_and_columns(tmp_path):
    odd = Column("g", 'a "b"; DROP TABLE x --', "label", "a group")
    folder = tmp_path / "set=1"
    folder.mkdir()
    frame = pd.DataFrame({odd.name: ["u", "v"]})
    frame.to_csv(folder / "t[1].csv", index=False)
    frame.to_parquet(folder / "t'[1]*.parquet")
    for name in ("t[1].csv", "t'[1]*.parquet"):
        assert encode(folder / name, [odd]).decode("g").tolist() == ["u", "v"]


def test_counts_are_summed_when_a_file_is_folded(tmp_path):
    path = write(tmp_path / "t.csv", "g,n\na,2\na,2\nb,3\na,5\n")
    rows = encode(path, [G, Column("count", "n", "count", "equal rows")], fold=True)
    assert rows.decode("g").tolist() == ["a", "b"] and rows.columns["count"].tolist() == [9, 3]
    with pytest.raises(DataError, match="is below 0"):
        encode(write(tmp_path / "u.csv", "g,n\na,-2\n"), [G, Column("count", "n", "count", "s")], fold=True)


def test_order_of_rows_survives_a_file_of_many_blocks(tmp_path):
    n = 1_000_000
    frame = pd.DataFrame({"g": np.array([f"label-{i}" for i in range(97)])[np.arange(n) % 97], "x": np.arange(n)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    rows = encode(tmp_path / "t.csv", [G, X])
    assert (rows.columns["x"] == np.arange(n)).all()
    assert rows.decode("g")[-1] == f"label-{(n - 1) % 97}"
    assert fold(rows, ["g"]).columns["count"].sum() == n
