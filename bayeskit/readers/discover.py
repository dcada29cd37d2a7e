"""Which files a path, a glob or a folder means, and what format each of them has.

A format is told by what a file holds, not by its name alone: the first keys of JSON, the first line of JSON Lines, the
columns of a table.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayeskit.errors import DataError
from bayeskit.readers.jsontext import JsonStream, open_binary, unreadable

FORMATS = ("lm-eval", "inspect", "helm", "human-eval", "evalplus", "long", "wide", "summary")
_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_LOGS = (".json", ".jsonl", ".eval")
_SHOWN = 4


@dataclass(frozen=True)
class LogFile:
    """A file and what it holds.

    Attributes
    ----------
    shown
        Its name in messages, from the folder that was named on.
    kind
        One of `FORMATS`, with a colon and the part for formats of several files (``"lm-eval:results"``), ``"table"``, or
        ``""`` for what is not known.
    zipped
        Whether it is a zip archive.
    """

    path: Path
    shown: str
    kind: str
    zipped: bool = False

    @property
    def format(self) -> str:
        """The format without its part."""
        return self.kind.partition(":")[0]


def holds_logs(paths: str | Path | Sequence[str | Path]) -> bool:
    """Whether paths lead to logs of a harness rather than to CSV or Parquet files."""
    parts = [paths] if isinstance(paths, str | Path) else list(paths)
    for part in parts:
        path = Path(part)
        if path.is_dir():
            if any(_suffix(file) in _LOGS for file, _ in _inside(path)):
                return True
        elif any(_suffix(Path(name)) in _LOGS for name in ([str(path)] if path.is_file() else _globbed(part))):
            return True
    return False


def find_logs(
    paths: str | Path | Sequence[str | Path], wanted: str | None = None, notes: list[str] | None = None
) -> list[LogFile]:
    """Find the files of one format.

    Parameters
    ----------
    paths
        Files, folders (with everything below) and glob patterns.
    wanted
        The format to read, where there are several; None finds the only one.
    notes
        Takes a remark about files that are left out.

    Raises
    ------
    DataError
        If there is nothing, a named file has no known format, or there are several formats.
    """
    parts = [paths] if isinstance(paths, str | Path) else list(paths)
    named: list[LogFile] = []
    found: list[LogFile] = []
    for part in parts:
        path = Path(part)
        if path.is_dir():
            found += [_recognised(file, shown) for file, shown in _inside(path)]
            continue
        files = [path] if path.is_file() else [Path(name) for name in _globbed(part)]
        if not files:
            raise _nothing(str(part))
        inner = [(file, f"{folder.name}/{shown}") for folder in files if folder.is_dir() for file, shown in _inside(folder)]
        found += [_recognised(file, shown) for file, shown in inner]
        files = [file for file in files if file.is_file()]
        folders = {file.parent for file in files}
        named += [_recognised(file, file.name if len(folders) < 2 else f"{file.parent.name}/{file.name}") for file in files]
    alone = [file for file in named if not file.kind and len(named) == 1]
    if alone and wanted is None:
        raise DataError(
            f"The form of file {alone[0].shown!r} is not known.",
            rule="logs are those of lm-eval, Inspect, HELM, HumanEval and EvalPlus; tables are CSV, Parquet and JSON Lines.",
            fix="name its format if it is one of these: bk.read(..., format=...); else read it into a dataframe.",
        )
    return _one_format([*named, *found], parts, wanted, notes)


def _one_format(
    files: Sequence[LogFile], parts: Sequence[str | Path], wanted: str | None, notes: list[str] | None
) -> list[LogFile]:
    distinct = list({file.path.resolve(): file for file in files}.values())
    logs = [file for file in distinct if file.kind and file.kind != "table"]
    tables = [file for file in distinct if file.kind == "table"]
    plain = wanted in ("long", "wide", "summary")
    if plain:
        chosen = [*tables, *(file for file in logs if file.format == "long")]
    elif wanted is not None:
        chosen = [file for file in logs if file.format == wanted]
    else:
        chosen = logs or tables
    kinds = Counter(file.format for file in chosen)
    named_tables = [file for file in tables if any(Path(part).resolve() == file.path.resolve() for part in parts)]
    if wanted is None and logs and named_tables:
        kinds["table"] += len(named_tables)
    if len(kinds) > 1 and not (plain or set(kinds) == {"table", "long"}):
        counts = ", ".join(
            f"{number} of {kind} ({next(file.shown for file in [*chosen, *named_tables] if file.format == kind)})"
            for kind, number in sorted(kinds.items())
        )
        raise DataError(
            f"There are files of several formats: {counts}.",
            rule="one call reads one format, since the same run may be written twice.",
            fix=f"choose one with bk.read(..., format={min(kinds)!r}), read them apart and join the tables.",
        )
    if not chosen:
        raise _nothing(", ".join(str(Path(part).name) for part in parts), len(distinct), wanted)
    left = [file for file in distinct if file not in chosen]
    if left and notes is not None:
        shown = ", ".join(file.shown for file in left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        notes.append(f"{len(left)} other {'file was' if len(left) == 1 else 'files were'} left out: {shown}.")
    return chosen


def _nothing(shown: str, others: int = 0, wanted: str | None = None) -> DataError:
    what = f"{wanted} logs" if wanted else "logs"
    if others:
        problem = f"{shown!r} holds {others} {'file' if others == 1 else 'files'}, but no {what}."
    else:
        problem = f"No {what} at {Path(shown).name!r}: the folder is empty, or there is no such file."
    return DataError(
        problem,
        rule="a path leads to local logs or tables; folders are searched with everything below.",
        fix="check the path, and that the runs were logged (lm-eval: --output_path and --log_samples).",
    )


def _globbed(part: str | Path) -> list[str]:
    return sorted(glob.glob(str(part), recursive=True))


def _inside(folder: Path) -> list[tuple[Path, str]]:
    """Files below a folder, without hidden ones, and their names from it on."""
    out = []
    for path in sorted(folder.rglob("*")):
        shown = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in shown.parts):
            out.append((path, shown.as_posix()))
    return out


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _recognised(path: Path, shown: str) -> LogFile:
    suffix = _suffix(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        if start == b"PK\x03\x04" or suffix == ".eval":
            return LogFile(path, shown, "inspect" if suffix == ".eval" else "", start[:2] == b"PK" or suffix == ".eval")
        if suffix in _TABLES:
            return LogFile(path, shown, "table")
        if suffix == ".json":
            return LogFile(path, shown, _kind_of_json(path, shown))
        if suffix == ".jsonl":
            return LogFile(path, shown, _kind_of_lines(path, shown))
    except OSError as error:
        raise unreadable(shown, error) from None
    return LogFile(path, shown, "")


def _kind_of_json(path: Path, shown: str) -> str:
    if path.name == "per_instance_stats.json":
        return "helm:instances"
    if path.name == "run_spec.json" and (path.parent / "per_instance_stats.json").is_file():
        return "helm:spec"
    with open_binary(path) as raw:
        stream = JsonStream(raw, shown)
        if stream.peek() != "{":
            return ""
        seen: list[str] = []
        for key in stream.members():
            seen.append(key)
            if key == "results" and "status" not in seen and "version" not in seen:
                return "lm-eval:results"
            if key == "eval":
                # Inspect's object names its task; EvalPlus's maps tasks to results.
                inspect = "version" in seen or "status" in seen
                return "inspect" if inspect else "evalplus"
            if len(seen) == 12:
                return ""
            stream.value()
    return ""


def _kind_of_lines(path: Path, shown: str) -> str:
    with open_binary(path) as raw:
        stream = JsonStream(raw, shown)
        start = stream.peek()
        if not start:
            named = path.name.startswith("samples_")
            return "lm-eval:samples" if named else ""
        first: Any = next(stream.elements(), None) if start == "[" else stream.value()
    if not isinstance(first, dict):
        return ""
    if "doc_id" in first and ("doc" in first or "resps" in first or "filtered_resps" in first):
        return "lm-eval:samples"
    if "task_id" in first and "passed" in first:
        return "human-eval"
    return "long" if "score" in first or ("model" in first and len(first) > 2) else ""
