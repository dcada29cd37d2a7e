"""Intake of tables in memory: coding, faults and their messages, counting."""

from __future__ import annotations

import copy
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeskit.errors import DataError, SpecificationError, suggest
from bayeskit.intake import (
    Column,
    Rows,
    count_cells,
    encode,
    fold,
    melt,
    require_levels,
    require_unique,
    require_varying,
)

SNAPSHOT = Path(__file__).parent / "snapshots" / "intake_errors.txt"
WHO = Column("candidate", "model", "label", "the system that answered")
JUDGE = Column("judge", "judge", "label", "who judged the answer")
SCORE = Column("score", "score", "level", "the verdict", low=1, high=5)
LONG = [WHO, JUDGE, SCORE]
LABELS = st.one_of(
    st.sampled_from(["", "NaN", "nan", "None", "=cmd", "<script>", "a/b", "é", "e\u0301", " a", "a", "-1", "0", "\x00"]),
    st.text(max_size=6),
)


def table(**changed) -> dict:
    base = {"model": list("abab"), "judge": list("xxyy"), "score": [1, 2, 3, 5]}
    return {**base, **changed}


def number(kind="number", **more) -> list[Column]:
    return [Column("x", "x", kind, "a measured cell", **more)]


def label(**more) -> list[Column]:
    return [Column("g", "g", "label", "a group", **more)]


# --- properties -------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.lists(LABELS, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_labels_round_trip_in_range_and_follow_the_order_of_rows(labels, random):
    rows = encode({"g": labels}, label())
    codes = rows.columns["g"]
    assert rows.decode("g").tolist() == labels
    assert codes.dtype == np.int64 and codes.min() >= 0 and codes.max() < len(rows.levels["g"])
    assert rows.levels["g"] == tuple(sorted(set(labels)))
    order = list(range(len(labels)))
    random.shuffle(order)
    moved = encode({"g": [labels[place] for place in order]}, label())
    assert moved.levels == rows.levels
    assert (moved.columns["g"] == codes[order]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LABELS, st.integers(1, 5), st.floats(-9, 9)), min_size=1, max_size=12))
def test_every_library_gives_the_same_rows_and_digest(cells):
    g, k, x = (list(part) for part in zip(*cells, strict=True))
    columns = [*label(), Column("k", "k", "level", "a grade", low=1, high=5), *number()]
    plain = {"g": g, "k": k, "x": x}
    frame = pd.DataFrame({**plain, "g": pd.Series(g, dtype=object)})
    polars = pl.DataFrame(plain)
    tables = [
        plain,
        {"g": np.array(g, object), "k": np.array(k, np.int8), "x": np.array(x)},
        {"g": np.array(g, object), "k": np.array(k, float), "x": pl.Series(x)},
        frame,
        frame.astype({"g": "str", "k": "Int64"}),
        frame.astype({"g": "category"}),
        polars,
        polars.lazy(),
        polars.with_columns(pl.col("g").cast(pl.Categorical)),
        pa.table(plain),
        pa.table(plain).to_batches()[0],
        encode(plain, columns),
    ]
    rows = [encode(each, columns) for each in tables]
    assert len({each.digest for each in rows}) == 1
    for each in rows[1:]:
        assert each.levels == rows[0].levels
        assert all((each.columns[role] == rows[0].columns[role]).all() for role in ("g", "k", "x"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=40))
def test_dense_and_sparse_counts_agree_with_counting_by_hand(cells):
    g, k, weight = (list(part) for part in zip(*cells, strict=True))
    columns = [*label(), Column("k", "k", "level", "a grade", low=1, high=5)]
    weighted = [*columns, Column("count", "n", "count", "equal rows")]
    rows = encode({"g": g, "k": k, "n": weight}, weighted)
    expected = np.zeros((len(set(g)), 5), np.int64)
    for a, b, times in cells:
        expected[sorted(set(map(str, g))).index(str(a)), b - 1] += times
    small = fold(rows)
    assert (count_cells(rows, ["g", "k"]) == expected).all()
    assert (count_cells(small, ["g", "k"]) == expected).all()
    assert small.n == len({(a, b) for a, b, _ in cells})
    pairs = list(zip(small.columns["g"].tolist(), small.columns["k"].tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert fold(rows, ["k"]).columns["count"].sum() == sum(weight)


# --- coding -----------------------------------------------------------------------------------------------


def test_digest_sees_cells_and_order_but_not_levels_or_names():
    rows = encode(table(), LONG)
    known = {"judge": ("z", "y", "x")}
    assert encode(table(), LONG, levels=known).digest == rows.digest
    renamed = [Column("candidate", "m", "label", "s"), *LONG[1:]]
    assert encode({"m": list("abab"), **table()}, renamed).digest == rows.digest
    assert encode(table(score=[1, 2, 3, 4]), LONG).digest != rows.digest
    turned = {name: cells[::-1] for name, cells in table().items()}
    assert encode(turned, LONG).digest != rows.digest
    assert encode(turned, LONG, fold=True).digest == encode(table(), LONG, fold=True).digest


def test_ordered_categories_keep_their_order_and_unused_ones_go_with_a_note():
    grades = pd.Categorical(["low", "high", "low"], categories=["low", "mid", "high"], ordered=True)
    rows = encode(pd.DataFrame({"g": grades}), label())
    assert rows.levels["g"] == ("low", "high") and rows.columns["g"].tolist() == [0, 1, 0]
    assert "1 categories that no row has are left out ('mid')" in rows.notes[0]
    series = pl.DataFrame({"g": pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"]))})
    assert encode(series, label()).levels["g"] == ("b", "a")


def test_fixed_levels_keep_order_and_unused_places():
    rows = encode({"g": ["yes", "no"]}, label(levels=("yes", "maybe", "no")))
    assert rows.levels["g"] == ("yes", "maybe", "no") and rows.columns["g"].tolist() == [0, 2]


def test_whole_numbers_are_the_same_labels_as_ints_floats_and_text():
    expected = encode({"g": ["1", "20", "3"]}, label())
    for cells in (
        [1, 20, 3],
        [1.0, 20.0, 3.0],
        np.array([1, 20, 3], np.uint8),
        pd.Series([1, 20, 3], dtype="category"),
    ):
        rows = encode({"g": cells}, label())
        assert rows.levels == expected.levels and rows.digest == expected.digest
    assert encode({"g": [2**70, 1]}, label()).levels["g"] == ("1", str(2**70))
    assert encode({"g": np.array(["2024-01-02"], "datetime64[D]")}, label()).levels["g"] == ("2024-01-02",)
    assert encode({"g": pd.to_datetime(["2024-01-02"])}, label()).levels["g"] == ("2024-01-02",)


def test_unseen_labels_are_refused_or_stand_for_the_population():
    rows = encode(table(), LONG)
    new = table(judge=["x", "q", "y", "w"])
    with pytest.raises(DataError, match="2 labels were not in the fitted data: 'q', 'w'"):
        encode(new, LONG, levels=rows.levels)
    other = encode(new, LONG, levels=rows.levels, new_levels="population")
    assert other.columns["judge"].tolist() == [0, 2, 1, 2]
    assert other.decode("judge").tolist() == ["x", None, "y", None]
    assert "2 unseen labels" in other.notes[0]
    again = encode(other, LONG, levels=rows.levels, new_levels="population")
    assert again.columns["judge"].tolist() == [0, 2, 1, 2]
    with pytest.raises(DataError, match="had not seen"):
        encode(other, LONG)
    with pytest.raises(DataError, match="has not seen"):
        count_cells(other, ["judge"])


def test_missing_cells_where_they_are_allowed():
    columns = [
        *label(allow_missing=True),
        Column("k", "k", "binary", "a verdict", allow_missing=True),
        *number(allow_missing=True),
    ]
    rows = encode(pd.DataFrame({"g": ["a", None, "b"], "k": [1, 0, None], "x": [0.5, np.nan, 2]}), columns)
    assert rows.columns["g"].tolist() == [0, -1, 1] and rows.columns["k"].tolist() == [1, 0, -1]
    assert np.isnan(rows.columns["x"][1]) and rows.missing["x"].tolist() == [False, True, False]
    with pytest.raises(DataError, match="1 rows have no value"):
        count_cells(rows, ["g", "k"])
    assert count_cells(rows, ["g", "k"], missing="drop").tolist() == [[0, 1], [0, 0]]
    assert count_cells(rows, ["g", "k"], missing="level").tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert fold(rows).n == 3
    polars = pl.DataFrame({"g": ["a", None, "b"], "k": [1, 0, None], "x": [0.5, float("nan"), 2]})
    assert encode(polars, columns).digest == rows.digest


def test_wide_tables_keep_their_columns_and_become_long():
    judges = Column("verdict", ("A", "B", "C"), "binary", "the judge's verdict", allow_missing=True)
    frame = pd.DataFrame({"model": ["m", "n"], "A": [1, 0], "B": [True, False], "C": [np.nan, 1.0]})
    rows = encode(frame, [WHO, judges])
    assert rows.columns["verdict"].tolist() == [[1, 1, -1], [0, 0, 1]]
    assert rows.levels["verdict"] == ("A", "B", "C") and rows.ranges["verdict"] == (0, 1)
    assert encode(rows, [WHO, judges]).digest == rows.digest
    long = melt(rows, "verdict", column_role="judge", value_role="score")
    assert long.decode("judge").tolist() == ["A", "B", "A", "B", "C"]
    assert long.columns["score"].tolist() == [1, 1, 0, 0, 1]
    assert count_cells(long, ["candidate", "judge", "score"])[:, :, 1].tolist() == [[1, 1, 0], [0, 0, 1]]
    twice = encode(pd.concat([frame, frame]), [WHO, judges])
    assert fold(twice).columns["count"].tolist() == [2, 2]
    with pytest.raises(SpecificationError, match="melt"):
        count_cells(rows, ["verdict"])
    with pytest.raises(DataError, match="Column 'B'"):
        encode(frame.assign(B=[1, 7]), [WHO, judges])


def test_optional_columns_and_notes():
    gold = Column("gold", "gold", "binary", "the true verdict", required=False)
    rows = encode(table(judge=["x", "x ", "NaN", "y"]), [*LONG, gold])
    assert "gold" not in rows.columns
    notes = " ".join(rows.notes)
    assert "'gold'" in notes and "only by white space" in notes and "'NaN' is a label like any other" in notes
    boolean = encode({"x": [True, False]}, number("level", low=0, high=1))
    assert boolean.columns["x"].tolist() == [1, 0] and "taken as 0 and 1" in boolean.notes[0]
    assert encode({"x": np.array([True, False])}, number("binary")).notes == ()


def test_rows_are_frozen_and_leave_the_users_array_alone():
    mine = np.array([1, 2, 3])
    rows = encode({"x": mine}, number("integer"))
    mine[0] = 9
    assert rows.columns["x"].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        rows.columns["x"][0] = 5
    assert "1, 2" not in repr(rows)
    assert isinstance(rows, Rows) and len(rows) == 3
    copied = copy.copy(DataError("p", column="c", rows=[1]))  # by the protocol with which errors cross process borders
    assert str(copied) == str(DataError("p", column="c", rows=[1]))


def test_folding_keeps_exact_counts():
    columns = [*label(), Column("count", "n", "count", "equal rows")]
    large = 2**52 - 1
    rows = encode({"g": ["a", "b", "a"], "n": [large, 1, 1]}, columns)
    assert fold(rows).columns["count"].tolist() == [large + 1, 1]
    with pytest.raises(DataError, match=r"add up to 9007199254740992"):
        fold(encode({"g": ["a", "b"], "n": [2**53 - 1, 1]}, columns))
    folded = encode({"g": ["a", "b", "a"]}, label(), fold=True)
    assert folded.n == 2 and folded.columns["count"].tolist() == [2, 1]
    assert encode(folded, label()).columns["count"].tolist() == [2, 1]  # weights are never lost on the way
    many = [Column(name, name, "integer", name) for name in "abcdef"]
    wide = encode({name: np.arange(2000) for name in "abcdef"}, many)
    assert fold(wide).n == 2000  # 2000**6 is more than int64 holds


def test_too_many_cells_are_refused_before_they_are_allocated():
    names = [str(number) for number in range(1300)]
    columns = [Column(role, role, "label", role) for role in "abc"]
    rows = encode(dict.fromkeys("abc", names), columns)
    with pytest.raises(DataError, match="2197000000 cells"):
        count_cells(rows, ["a", "b", "c"])
    assert count_cells(rows, ["a", "b"]).shape == (1300, 1300)


# --- faults -----------------------------------------------------------------------------------------------

BIG = np.array([1, 2**62, 2])
DUPLICATED = pd.DataFrame([["a", "b", "x", 1]], columns=["model", "model", "judge", "score"])
FAULTS = {
    "missing column": ({"model": ["a"], "Judges": ["x"], "score": [1]}, LONG),
    "NaN in outcome": ({"x": [1.0, np.nan, 3.0, np.nan]}, number()),
    "inf in outcome": ({"x": [1.0, np.inf, -np.inf]}, number()),
    "value 2 in 0/1": ({"x": [0, 1, 2, 1]}, number("binary")),
    "negative time": ({"x": [3.5, -0.25, 0.0]}, number(low=0)),
    "grade out of range": (table(score=[1, 2, 6, 0]), LONG),
    "fractional integer": ({"x": [1.0, 2.5]}, number("integer")),
    "negative count": ({"x": [3, -1]}, number("count")),
    "fractional count": ({"x": [3, 1.5]}, number("count")),
    "huge count": ({"x": BIG}, number("count")),
    "count of 2**53": ({"x": np.array([2**53])}, number("count")),
    "smallest int64": ({"x": np.array([-(2**63)])}, number("integer")),
    "beyond int64": ({"x": [1, 10**30]}, number("integer")),
    "beyond float64": ({"x": [1, 10**400]}, number("integer")),
    "huge unsigned": ({"x": np.array([2**63], np.uint64)}, number("integer")),
    "numbers as text": ({"x": ["1", "2"]}, number("integer")),
    "times as text": (pd.DataFrame({"x": ["3 days", None]}), number(allow_missing=True)),
    "dates as numbers": ({"x": pd.to_datetime(["2024-01-02"])}, number()),
    "bool as count": ({"x": [True, False]}, number("count")),
    "complex numbers": ({"x": np.array([1j])}, number()),
    "mixed types in numbers": ({"x": [1, 2, "three", 4]}, number()),
    "mixed types in labels": ({"g": ["1", 1, "2"]}, label()),
    "bool among numbers": ({"x": [1, 0, True]}, number("binary")),
    "objects": ({"g": [{"a": 1}, {"b": 2}]}, label()),
    "bytes": ({"g": [b"a"]}, label()),
    "invalid Unicode": ({"g": ["a", "\ud800"]}, label()),
    "NaN label": ({"g": ["a", np.nan, None, "b"]}, label()),
    "missing category": (pd.DataFrame({"g": pd.Categorical(["a", None])}), label()),
    "nothing but missing": ({"x": [np.nan, None]}, number(allow_missing=True)),
    "no labels at all": ({"g": [None, None]}, label(allow_missing=True)),
    "label not allowed": ({"g": ["yes", "Yess"]}, label(levels=("yes", "no"))),
    "label that would break a message": ({"g": ["a\n  fix: do nothing", "b" * 200]}, label(levels=("a",))),
    "duplicate columns": (DUPLICATED, LONG),
    "zero rows": ({"x": []}, number()),
    "lengths differ": (table(score=[1, 2]), LONG),
    "two dimensions": ({"x": np.zeros((2, 2))}, number()),
    "single value": ({"x": "abc"}, number()),
    "column in the index": (pd.DataFrame(table()).set_index("judge"), LONG),
    "columns without text names": (pd.DataFrame([[1, 2]]), number()),
    "no table": (42, number()),
    "list of dicts": ([{"x": 1}], number()),
    "no file": ("nowhere.csv", number()),
    "not a known file": (__file__, number()),
}
AFTER = {
    "unseen label": lambda: encode(table(judge=["x", "y ", "x", "q"]), LONG, levels={"judge": ("x", "y")}),
    "constant scores": lambda: require_varying(encode({"x": [2, 2, 2]}, number("integer")), "x"),
    "all censored": lambda: require_varying(encode({"x": [0, 0]}, number("binary")), "x"),
    "one judge": lambda: require_levels(encode({"g": ["solo", "solo"]}, label()), "g"),
    "repeated rows": lambda: require_unique(encode(table(judge=list("xxxy")), LONG), ["candidate", "judge"]),
}


def message(name: str) -> str:
    start = time.perf_counter()
    with pytest.raises(DataError) as caught:
        if name in AFTER:
            AFTER[name]()
        else:
            encode(*FAULTS[name])
    assert time.perf_counter() - start < 1
    fault = caught.value
    assert fault.rule and fault.fix, name
    return str(fault)


def test_messages_of_all_faults_are_as_recorded():
    encode(table(), LONG)  # imports are paid here, not by the first fault
    text = "".join(f"## {name}\n{message(name)}\n\n" for name in (*FAULTS, *AFTER))
    if os.environ.get("BAYESKIT_UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def test_faults_are_found_in_every_library():
    bad = {"g": ["a", None], "x": [1.5, float("inf")]}
    for make in (pd.DataFrame, pl.DataFrame, pa.table, lambda cells: pl.DataFrame(cells).lazy()):
        with pytest.raises(DataError, match=r"Column 'g': 1 row has no label\.\n  rows: 1 "):
            encode(make(bad), label())
        with pytest.raises(DataError, match=r"Column 'x': 1 value is not finite\.\n  rows: 1 .*\n  values: inf"):
            encode(make(bad), number())


def test_requests_that_make_no_sense():
    for make in (
        lambda: Column("x", "x", "lable", "s"),
        lambda: Column("x", ("a", "a"), "number", "s"),
        lambda: Column("x", (), "number", "s"),
        lambda: Column("x", ("a", "b"), "label", "s"),
        lambda: Column("x", "x", "level", "s"),
        lambda: Column("x", "x", "number", "s", levels=("a",)),
        lambda: Column("x", "x", "label", "s", levels=("a", "a")),
        lambda: encode(table(), []),
        lambda: encode(table(), [WHO, WHO]),
        lambda: encode(table(), LONG, levels={"judg": ("x",)}),
        lambda: encode(table(), LONG, levels={"judge": ("x", "x")}),
        lambda: encode(table(), LONG, new_levels="ignore"),
        lambda: encode(table(), LONG).decode("score"),
        lambda: count_cells(encode(table(), LONG), ["judges"]),
        lambda: count_cells(encode({"x": [1.5]}, number()), ["x"]),
    ):
        with pytest.raises(SpecificationError):
            make()
    assert suggest("Judge", ["model", "judge"]) == " Did you mean 'judge'?"
    assert suggest("zzz", ["model"]) == ""
