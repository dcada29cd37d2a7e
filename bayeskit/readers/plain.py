"""Tables that hold scores already: long, wide (items by models) and summaries, from files or dataframes.

A long table has one row per score, and its columns are found by their names (`NAMES`) or named by the caller. A wide one has
one row per item and one column per model. A summary has a mean and a standard deviation over seeds per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError, SpecificationError, suggest
from bayeskit.readers.discover import LogFile
from bayeskit.readers.files import FileTable
from bayeskit.readers.frames import open_frame
from bayeskit.readers.jsonlines import Lines
from bayeskit.readers.long_table import FACETS, Block, Labels
from bayeskit.readers.options import Options, choose
from bayeskit.readers.scores import no_number, no_score
from bayeskit.readers.source import Mode, Source, Table

NAMES: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "model_name", "model_id"),
    "benchmark": ("benchmark", "task", "dataset", "benchmark_id", "task_name"),
    "item": ("item", "item_id", "example_id", "question_id", "problem_id", "instance_id", "doc_id", "native_id", "question"),
    "cluster": ("cluster",),
    "seed": ("seed", "train_seed"),
    "sample": ("sample", "epoch", "repeat"),
    "template": ("template", "prompt_id"),
    "checkpoint": ("checkpoint", "step"),
    "score": (
        "score",
        "pass1",
        "correct",
        "is_correct",
        "passed",
        "acc",
        "acc_norm",
        "accuracy",
        "exact_match",
        "primary_score",
    ),
    "trials": ("trials", "n_trials", "n_total"),
    "mean": ("mean",),
    "sd": ("sd", "std"),
    "n": ("n", "seeds", "n_seeds"),
}
"""Column names by which a column is known, the first one that is there."""


def read_plain(given: Any, files: Sequence[LogFile], wanted: str | None, options: Options) -> tuple[list[Block], list[str]]:
    """Read a dataframe (`given`), or the files of a table.

    Raises
    ------
    DataError
        If the columns do not say which kind of table it is, or a cell is no score.
    """
    for name in options.columns:
        if name not in NAMES:
            raise SpecificationError(f"read: columns names {name!r}; it may name {', '.join(NAMES)}.{suggest(name, NAMES)}")
    lines = [file for file in files if file.kind == "long"]
    blocks = [_long_lines(file, options) for file in lines]
    tables = [file.path for file in files if file.kind == "table"]
    if given is None and not tables:
        return blocks, []
    table = FileTable(tables) if given is None else open_frame(given)
    shown = _shown(tables)
    kind = wanted or _kind(table.names, options, shown)
    if kind == "wide":
        return [*blocks, *_wide(table, shown, options)], []
    return [*blocks, _long(table, shown, kind, options)], []


def _shown(paths: Sequence[Path]) -> str:
    return paths[0].name if len(paths) == 1 else "the table" if not paths else f"the {len(paths)} files"


def _kind(names: Sequence[str], options: Options, shown: str) -> str:
    if _scores(names, options):
        return "long"
    if "mean" in names and ("sd" in names or "std" in names):
        return "summary"
    item = options.item or _named(names, "item", options)
    if item in names and not _named(names, "model", options) and len(names) > 2:
        return "wide"
    raise DataError(
        f"The columns of {shown} do not say what it holds: {', '.join(map(repr, names[:12]))}.",
        rule="a long table has a score, a summary a mean and an sd, a wide one an item column and one column per model.",
        fix="name the columns: bk.read(..., columns={'score': ...}), or bk.read(..., format='wide', item=...).",
    )


def _scores(names: Sequence[str], options: Options) -> list[str]:
    """Return the columns that may be the score: the one that was named, or ``score``, or all that are known."""
    if "score" in options.columns:
        return [options.columns["score"]]
    if isinstance(options.metric, str):
        return [options.metric]
    found = [name for name in NAMES["score"] if name in names]
    return found[:1] if "score" in found else found


def _named(names: Sequence[str], role: str, options: Options) -> str | None:
    if role in options.columns:
        return options.columns[role]
    return next((name for name in NAMES[role] if name in names), None)


def _columns(names: Sequence[str], kind: str, options: Options, shown: str) -> dict[str, str]:
    """Columns of the table by role."""
    roles = {role: name for role in FACETS if (name := _named(names, role, options))}
    if options.item is not None:
        roles["item"] = options.item
    if options.cluster is not None:
        roles["cluster"] = options.cluster
    if kind == "summary":
        roles.update({role: name for role in ("mean", "sd", "n") if (name := _named(names, role, options))})
    else:
        found = _scores(names, options)
        roles["score"] = found[0] if len(found) == 1 else choose("metric", None, {shown: found})[shown]
        trials = _named(names, "trials", options)
        roles.update({"trials": trials} if trials else {})
    for role, name in roles.items():
        if name not in names:
            raise DataError(
                f"is not in {shown}.{suggest(name, names)}",
                column=name,
                rule=f"the {role} is a column of the table.",
                fix=f"its columns are {', '.join(map(repr, names[:12]))}.",
            )
    return roles


def _long(table: Table, shown: str, kind: str, options: Options) -> Block:
    roles = _columns(table.names, kind, options, shown)
    wanted: list[tuple[str, Mode]] = [(name, "label" if role in FACETS else "binary") for role, name in roles.items()]
    data = table.read(list(dict.fromkeys(wanted)))
    if data.n == 0:
        return Block(shown, {}, {"score": np.zeros(0)}, None, "row")
    facets: dict[str, str | Labels] = {}
    numbers: dict[str, NDArray[np.float64]] = {}
    for role, name in roles.items():
        if role in FACETS:
            source = data.columns[name, "label"]
            facets[role] = Labels(source.values, source.categories)
        else:
            numbers[role] = _numbers(data.columns[name, "binary"], name, shown, options if role == "score" else None)
    block = Block(shown, facets | _given(options), numbers, None, "row")
    _check_shares(block)
    return block


def _given(options: Options) -> dict[str, str | Labels]:
    return {name: value for name in ("model", "benchmark") if (value := getattr(options, name)) is not None}


def _numbers(source: Source, name: str, shown: str, options: Options | None) -> NDArray[np.float64]:
    """Return numbers, NaN where there is none; with `options`, refuse what they do not allow."""
    if len(source.bad_rows) or source.kind not in ("number", "bool"):
        row = int(source.bad_rows[0]) if len(source.bad_rows) else 0
        raise no_number(name, source.bad_values[0] if source.bad_values else None, f"{shown}, row {row}")
    values = np.where(source.null, np.nan, source.values.astype(float))
    gaps = np.flatnonzero(np.isnan(values))
    if options is not None and len(gaps) and options.unscored == "refuse":
        raise no_score(name, f"{shown}, row {gaps[0]}", "no value")
    return values


def _check_shares(block: Block) -> None:
    score, trials = block.numbers.get("score"), block.numbers.get("trials")
    if score is None or trials is None:
        return
    bad = np.flatnonzero((score != np.floor(score)) & (trials > 1) & ~np.isnan(score))
    if len(bad):
        raise DataError(
            f"is no whole number at {block.place(int(bad[0]))}, though there are trials.",
            column="score",
            rows=bad[:1000].tolist(),
            found=len(bad),
            values=score[bad[:5]].tolist(),
            rule="with trials, the score is the number of successes among them.",
            fix="multiply shares by the trials, or leave that column out.",
        )


def _wide(table: Table, shown: str, options: Options) -> list[Block]:
    names = list(table.names)
    item = options.item or _named(names, "item", options)
    if item is not None and item not in names:
        raise DataError(
            f"is not in {shown}.{suggest(item, names)}", column=item, rule="the items are a column of the table.",
            fix=f"its columns are {', '.join(map(repr, names[:12]))}.",
        )  # fmt: skip
    models = [name for name in names if name != item]
    wanted: list[tuple[str, Mode]] = [(name, "binary") for name in models]
    data = table.read([*wanted, *([(item, "label")] if item else [])])  # type: ignore[list-item]
    if data.n == 0:
        return []
    if item is None:
        codes: Labels = Labels(np.arange(data.n), [str(row + 1) for row in range(data.n)])
    else:
        source = data.columns[item, "label"]
        codes = Labels(source.values, source.categories)
    blocks = []
    for model in models:
        scores = _numbers(data.columns[model, "binary"], model, shown, None)
        block = Block(shown, {"model": model, "item": codes, **_given(options)}, {"score": scores}, None, "row")
        empty = int(np.isnan(scores).sum())
        if empty:
            cells = "cell is" if empty == 1 else "cells are"
            block.notes.append(f"{shown}, column {model!r}: {empty:,} empty {cells} missing, not 0.")
        blocks.append(block)
    return blocks


def _long_lines(file: LogFile, options: Options) -> Block:
    """A long table as JSON Lines."""
    lines = Lines(file.path, file.shown)
    roles = _columns(list(lines.first), "long", options, file.shown)
    score = roles.pop("score")
    labels, scores = lines.read(roles, score, options.unscored)
    numbers = {"score": scores}
    if "trials" in labels:
        part = labels.pop("trials")
        numbers["trials"] = np.array([float(text) for text in part.categories])[part.codes]
    block = Block(file.shown, {**labels, **_given(options)}, numbers, None, lines.unit)
    _check_shares(block)
    return block
