"""Results of EvalPlus: ``eval_results.json``.

A row is one completion. The metrics are ``base`` (the tests of the original benchmark) and ``plus`` (these and the added
ones: a completion passes only if it passes both, as EvalPlus itself counts).

Formats: ``evalplus.evaluate``, with a list of objects per task, or in versions before 0.2 one object of lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.readers.discover import LogFile
from bayeskit.readers.jsontext import JsonStream, open_binary
from bayeskit.readers.long_table import Block, Labels, labelled
from bayeskit.readers.options import Options, choose
from bayeskit.readers.scores import no_score

_MODEL = re.compile(r"(?P<model>.+?)_temp_(?P<temperature>[\d.]+?)(?:[_.-](?:eval_results|samples|sanitized|raw).*)?$")
_NAMES = ("eval_results", "samples", "results")


def read_evalplus(files: Sequence[LogFile], options: Options) -> tuple[list[Block], list[str]]:
    """Read results; see the module."""
    notes: list[str] = []
    read = [(file, _completions(file)) for file in files]
    found: dict[str, list[str]] = {}
    for _, rows in read:
        names = found.setdefault(_dataset(rows), []) if rows else []
        for metric, place in (("base", 2), ("plus", 3)):
            if metric not in names and any(row[place] is not None for row in rows):
                names.append(metric)
    chosen = choose("metric", options.metric, found)
    blocks = []
    for file, rows in read:
        if not rows or _dataset(rows) not in chosen:
            continue
        metric = chosen[_dataset(rows)]
        values = [row[2] if metric == "base" else row[3] for row in rows]
        for row, value in enumerate(values):
            if value is None and options.unscored == "refuse":
                raise no_score(metric, f"{file.shown}, entry {row + 1}", "no value")
        item = labelled([row[0] for row in rows])
        facets: dict[str, str | Labels] = {
            "model": model_of(file, options, notes),
            "benchmark": options.benchmark or Labels(*dataset_of(item)),
            "item": item,
            "sample": labelled([str(row[1] + 1) for row in rows]),
        }
        scores = np.array([np.nan if value is None else value for value in values], float)
        blocks.append(Block(file.shown, facets, {"score": scores}, None, "entry"))
    return blocks, notes


def model_of(file: LogFile, options: Options, notes: list[str]) -> str:
    """Return the model that a file's name or its folder's tells, with the temperature if it stands there."""
    if options.model is not None:
        return options.model
    stem = file.path.name.split(".json")[0]
    folder = file.path.resolve().parent.name
    name = folder if stem in _NAMES else stem
    match = _MODEL.match(name)
    if match:
        return f"{match['model']} (temperature {match['temperature']})"
    name = name.removesuffix("_eval_results").removesuffix("-sanitized")
    notes.append(f"{file.shown} does not say which model it is of; it is called {name!r} here, after the file or folder.")
    return name


def dataset_of(item: Labels) -> tuple[NDArray[np.int64], list[str]]:
    """Return codes and names of the benchmarks that tasks such as ``HumanEval/12`` are of."""
    names = labelled([text.partition("/")[0] if "/" in text else "HumanEval" for text in item.categories])
    return names.codes[item.codes], list(names.categories)


def _dataset(rows: Sequence[tuple[str, int, bool | None, bool | None]]) -> str:
    return rows[0][0].partition("/")[0] if "/" in rows[0][0] else "HumanEval"


def _completions(file: LogFile) -> list[tuple[str, int, bool | None, bool | None]]:
    """Task, number within it, and whether the base tests and all tests passed."""
    rows: list[tuple[str, int, bool | None, bool | None]] = []
    with open_binary(file.path) as raw:
        stream = JsonStream(raw, file.shown)
        for key in stream.members():
            if key != "eval":
                stream.value()
                continue
            for task in stream.members():
                try:
                    statuses = _statuses(stream.value())
                except (KeyError, TypeError, IndexError):
                    stream.odd(f"task {task!r} has no statuses of EvalPlus")
                for number, (base, plus) in enumerate(statuses):
                    both = None if plus is None or base is None else base and plus
                    rows.append((task, number, base, both))
    return rows


def _statuses(entry: Any) -> list[tuple[bool | None, bool | None]]:
    if isinstance(entry, dict):  # before 0.2: {"nfiles", "base": [[status, details], ...], "plus": [...]}
        base = [_passed(part[0]) for part in entry["base"]]
        plus = [_passed(part[0]) for part in entry.get("plus") or []]
        return list(zip(base, plus or [None] * len(base), strict=True))
    return [(_passed(part["base_status"]), _passed(part.get("plus_status"))) for part in entry]


def _passed(status: Any) -> bool | None:
    """What EvalPlus counts: everything but a pass, time-outs among it, is a failure. No status: the tests were not run."""
    if status is None:
        return None
    if not isinstance(status, str):
        raise TypeError
    return status in ("pass", "success")
