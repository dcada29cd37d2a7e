"""Logs of Inspect: `.eval` archives and `.json`, by the standard library.

A sample is a row: model, benchmark (the task), item (the sample's id) and sample (the epoch). Of an archive only the
header and the summaries are read, unless the question needs the samples themselves: a cluster by a metadata field that the
summaries of older versions lack, or samples that were invalidated afterwards.

Formats: the log schema of inspect_ai, versions 1 and 2 (``EvalLog`` and ``EvalSampleSummary`` in ``inspect_ai.log``).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayeskit.errors import DataError, show, suggest
from bayeskit.readers.archive import Archive
from bayeskit.readers.discover import LogFile
from bayeskit.readers.jsontext import JsonStream, open_binary
from bayeskit.readers.long_table import Block, Labels, labelled
from bayeskit.readers.options import Options, choose
from bayeskit.readers.scores import missing_note, scores_of

_VERSIONS = (1, 2)


@dataclass
class _Log:
    """What is kept of one log."""

    shown: str
    header: dict[str, Any]
    items: list[str] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    clusters: list[str | None] = field(default_factory=list)
    failed: list[bool] = field(default_factory=list)
    values: dict[str, dict[int, Any]] = field(default_factory=dict)  # by metric, then row

    @property
    def benchmark(self) -> str:
        return str(self.header["eval"]["task"])

    def place(self, row: int) -> str:
        return f"{self.shown}, sample {self.items[row]!r}, epoch {self.epochs[row]}"

    def add(self, sample: Any, cluster: str | None) -> None:
        """Keep a sample or its summary."""
        if not isinstance(sample, dict) or "id" not in sample:
            raise _unknown(self.shown, "a sample without id")
        row = len(self.items)
        self.items.append(str(sample["id"]))
        self.epochs.append(str(sample.get("epoch", 1)))
        scores = sample.get("scores") or {}
        if not isinstance(scores, dict):
            raise _unknown(self.shown, "scores that are no object")
        if not scores and isinstance(sample.get("score"), dict):  # version 1 had one scorer
            scores = {"score": sample["score"]}
        self.failed.append(bool(sample.get("error") or sample.get("invalidation")))
        for scorer, score in scores.items():
            value = score.get("value") if isinstance(score, dict) else score
            if isinstance(value, dict):
                for key, part in value.items():
                    self.values.setdefault(f"{scorer}/{key}", {})[row] = part
            else:
                self.values.setdefault(scorer, {})[row] = value
        if cluster is not None:
            self.clusters.append(self._cluster(sample, cluster))

    def _cluster(self, sample: dict[str, Any], name: str) -> str:
        metadata = sample.get("metadata") or {}
        if name in metadata:
            return str(metadata[name])
        raise DataError(
            f"Sample {str(sample['id'])!r} in {self.shown} has no metadata {name!r}.{suggest(name, metadata)}",
            column="cluster",
            rule="the cluster is a metadata field of every sample.",
            fix=f"its fields are {sorted(metadata)[:12]}.",
        )


def read_inspect(files: Sequence[LogFile], options: Options) -> tuple[list[Block], list[str]]:
    """Read logs; see the module."""
    logs = [_archive(file, options) if file.zipped else _plain(file, options) for file in files]
    found: dict[str, list[str]] = {}
    for log in logs:
        names = found.setdefault(log.benchmark, [])
        names += [name for name in log.values if name not in names]
    chosen = choose("metric", options.metric, found)
    return [_block(log, chosen[log.benchmark], options) for log in logs if log.items and log.benchmark in chosen], []


def _archive(file: LogFile, options: Options) -> _Log:
    with Archive(file.path, file.shown) as archive:
        names = set(archive.names)
        if "header.json" not in names:
            started = "_journal/start.json" in names
            problem = "the run has not finished" if started else "it is another kind of archive"
            fix = "finish the run with 'inspect eval-retry'." if started else "read .eval files that Inspect wrote."
            raise DataError(f"File {file.shown!r} has no header.json: {problem}.", rule="a finished log has one.", fix=fix)
        header = _parsed(archive, "header.json", file.shown).value()
        log = _Log(file.shown, _checked(header, file.shown))
        whole = bool(header.get("invalidated")) or "summaries.json" not in names
        summaries = [] if whole else list(_parsed(archive, "summaries.json", file.shown).elements())
        if options.cluster and not whole:
            whole = any(options.cluster not in (part.get("metadata") or {}) for part in summaries if isinstance(part, dict))
        for sample in _samples(archive, file.shown) if whole else summaries:
            log.add(sample, options.cluster)
    return log


def _samples(archive: Archive, shown: str) -> Iterator[Any]:
    for name in archive.names:
        if name.startswith("samples/") and name.endswith(".json"):
            yield _parsed(archive, name, shown).value()


def _parsed(archive: Archive, name: str, shown: str) -> JsonStream:
    return JsonStream(io.BytesIO(archive.read(name)), f"{shown}/{name}")


def _plain(file: LogFile, options: Options) -> _Log:
    header: dict[str, Any] = {}
    log = _Log(file.shown, header)
    with open_binary(file.path) as raw:
        stream = JsonStream(raw, file.shown)
        for key in stream.members():
            if key == "samples" and stream.peek() == "[":
                for sample in stream.elements():
                    log.add(sample, options.cluster)
            else:
                header[key] = stream.value()
    _checked(header, file.shown)
    return log


def _checked(header: Any, shown: str) -> dict[str, Any]:
    if not isinstance(header, dict) or not isinstance(header.get("eval"), dict):
        raise _unknown(shown, "no object 'eval'")
    version = header.get("version")
    if version not in _VERSIONS:
        raise DataError(
            f"File {shown!r} has log version {show(version)}.",
            rule=f"the versions of Inspect's log that are known are {_VERSIONS[0]} and {_VERSIONS[1]}.",
            fix="take a newer bayeskit, or rewrite the log with 'inspect log convert' of an older Inspect.",
        )
    missing = [key for key in ("task", "model") if not isinstance(header["eval"].get(key), str)]
    if missing:
        raise _unknown(shown, f"no {missing[0]!r} in 'eval'")
    return header


def _unknown(shown: str, what: str) -> DataError:
    return DataError(
        f"File {shown!r} has {what}.",
        rule="a log of Inspect has the fields of its EvalLog.",
        fix="write it again with Inspect, or read the scores from a table.",
    )


def _block(log: _Log, metric: str, options: Options) -> Block:
    cells = log.values.get(metric, {})
    values = [cells.get(row) for row in range(len(log.items))]
    # NaN is how Inspect itself marks a sample as unscored.
    failed = [bad or value != value for bad, value in zip(log.failed, values, strict=True)]
    scores = scores_of(values, failed, metric, log.place, unscored=options.unscored)
    facets: dict[str, str | Labels] = {
        "model": options.model or log.header["eval"]["model"],
        "benchmark": options.benchmark or log.benchmark,
        "item": labelled(log.items),
        "sample": labelled(log.epochs),
    }
    if options.cluster is not None:
        facets["cluster"] = labelled(log.clusters)
    return Block(log.shown, facets, {"score": scores}, None, "sample", _notes(log, failed))


def _notes(log: _Log, failed: Sequence[bool]) -> list[str]:
    notes = []
    if np.any(failed):
        notes.append(missing_note(log.shown, sum(failed)))
    status = log.header.get("status", "success")
    if status != "success":
        notes.append(f"{log.shown}: the run has status {show(status)}; only the samples that it finished are read.")
    return notes
