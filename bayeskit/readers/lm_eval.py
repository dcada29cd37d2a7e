"""Samples of lm-evaluation-harness: ``samples_<task>_<date>.jsonl``, streamed through DuckDB.

Only the identifying fields and the wanted metrics leave DuckDB, so that prompts and answers never stand in memory. A row is
one document under one filter. Its item is the hash of the document, which joins runs whatever the split was; versions
before 0.4.4 wrote no hash, and the first ones wrote a JSON array: there it is the number of the document.

Fields: ``EvaluationTracker.save_results_samples`` of lm_eval 0.4; see `bayeskit.readers.lm_eval_results` for the runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import DataError, suggest
from bayeskit.readers.discover import LogFile
from bayeskit.readers.jsonlines import Lines
from bayeskit.readers.lm_eval_results import Run, run_of, runs_of, varying
from bayeskit.readers.long_table import Block, Labels
from bayeskit.readers.options import Options, choose

_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+))?\.jsonl(?:\.gz)?$")
_FIELDS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "repeats",
}  # fmt: skip
_HASH = 16  # characters of a SHA-256 that are kept: 64 bits


@dataclass(frozen=True, eq=False)
class _File:
    log: LogFile
    task: str
    run: Run
    lines: Lines
    metrics: tuple[str, ...]


def read_lm_eval_samples(
    samples: Sequence[LogFile], results: Sequence[LogFile], options: Options
) -> tuple[list[Block], list[str]]:
    """Read samples; `results` say which model and which seeds the runs had."""
    runs = runs_of([*results, *_beside(samples, results)])
    files = [_opened(file, runs, options) for file in samples]
    found: dict[str, list[str]] = {}
    for file in files:
        names = found.setdefault(file.task, [])
        names += [name for name in file.metrics if name not in names]
    metric = choose("metric", options.metrics(), found)
    files = [file for file in files if file.task in metric]
    blocks = [_block(file, metric[file.task], options) for file in files]
    filters: dict[str, list[str]] = {}
    for file, (_, kinds) in zip(files, blocks, strict=True):
        names = filters.setdefault(file.task, [])
        names += [name for name in kinds.categories if name not in names]
    filters = {task: names for task, names in filters.items() if names}
    chosen = choose("filter", options.filters(filters), filters)
    facets = varying([(file.run, file.task) for file in files])
    out = []
    for file, (block, kinds), more in zip(files, blocks, facets, strict=True):
        if len(kinds.categories):
            wanted = [code for code, name in enumerate(kinds.categories) if name == chosen[file.task]]
            block = block.keep(np.isin(kinds.codes, wanted)) if len(kinds.categories) > 1 else block
        _number_same_documents(block)
        block.facets.update(more)
        out.append(block)
    notes = [file.run.note for file in files if file.run.note]
    return out, [*dict.fromkeys(notes)]


def _beside(samples: Sequence[LogFile], results: Sequence[LogFile]) -> list[LogFile]:
    """Results that stand beside samples and were not named."""
    known = {file.path.resolve() for file in results}
    folders = dict.fromkeys(file.path.resolve().parent for file in samples)
    found = [path for folder in folders for path in sorted(folder.glob("results*.json")) if path not in known]
    return [LogFile(path, path.name, "lm-eval:results") for path in found]


def _opened(file: LogFile, runs: Sequence[Run], options: Options) -> _File:
    match = _NAME.search(file.path.name)
    date = match["date"] if match else None
    run = run_of(file, date, runs, options)
    task = match["task"] if match else _task(file.path.name.split(".json")[0], run)
    lines = Lines(file.path, file.shown)
    first = lines.first
    listed = first.get("metrics")
    metrics = listed if isinstance(listed, list) else [key for key in first if key not in _FIELDS]
    return _File(file, task, run, lines, tuple(str(name) for name in metrics if name in first))


def _task(stem: str, run: Run) -> str:
    """Return the task of ``<arguments>_<task>.jsonl``, as versions before 0.4.3 called the file: one of the run's tasks."""
    known = [task for task in run.template if stem == task or stem.endswith(f"_{task}")]
    return max(known, key=len, default=stem)


def _block(file: _File, metric: str, options: Options) -> tuple[Block, Labels]:
    """Read one file; return its rows and their filters."""
    if metric not in file.metrics:
        raise DataError(
            f"File {file.log.shown!r} has no metric {metric!r}.{suggest(metric, file.metrics)}",
            rule="all logs of a benchmark have the metric.",
            fix=f"it has {', '.join(map(repr, file.metrics)) or 'none'}: read it apart, or choose another.",
        )
    hashed = "doc_hash" in file.lines.first
    fields = {"id": "doc_id", **({"hash": "doc_hash"} if hashed else {})}
    if "filter" in file.lines.first:
        fields["filter"] = "filter"
    if options.cluster is not None:
        document = file.lines.first.get("doc")
        if not isinstance(document, dict) or options.cluster not in document:
            names = list(document) if isinstance(document, dict) else []
            raise DataError(
                f"The documents in {file.log.shown} have no field {options.cluster!r}.{suggest(options.cluster, names)}",
                column="cluster",
                rule="the cluster is a field of every document.",
                fix=f"their fields are {', '.join(map(repr, names[:12])) or 'unknown'}.",
            )
        fields["cluster"] = f"doc.{options.cluster}"
    labels, scores = file.lines.read(fields, metric, options.unscored)
    item = Labels(labels["hash"].codes, [text[:_HASH] for text in labels["hash"].categories]) if hashed else labels["id"]
    facets: dict[str, str | Labels] = {"model": file.run.model, "benchmark": options.benchmark or file.task, "item": item}
    if "cluster" in labels:
        facets["cluster"] = labels["cluster"]
    block = Block(file.log.shown, facets, {"score": scores}, None, file.lines.unit)
    if hashed:  # kept until the filter is chosen
        block.facets["_id"] = labels["id"]
    return block, labels.get("filter", Labels(np.zeros(0, np.int64), ()))


def _number_same_documents(block: Block) -> None:
    """Tell documents of one text apart: by the order of their numbers, the second gets ``~2`` behind its hash."""
    numbers: Any = block.facets.pop("_id", None)
    item: Any = block.facets["item"]
    if numbers is None:
        return
    pairs = np.unique(np.stack([item.codes, numbers.codes]), axis=1)
    times = np.bincount(pairs[0], minlength=len(item.categories))
    if times.max() <= 1:
        return
    order = np.array([int(text) if text.isdecimal() else place for place, text in enumerate(numbers.categories)])
    names = list(item.categories)
    codes: NDArray[np.int64] = item.codes.copy()
    for code in np.flatnonzero(times > 1):
        same = pairs[1][pairs[0] == code]
        for rank, number in enumerate(same[np.argsort(order[same], kind="stable")][1:], 2):
            codes[(item.codes == code) & (numbers.codes == number)] = len(names)
            names.append(f"{names[code]}~{rank}")
    block.facets["item"] = Labels(codes, names)
