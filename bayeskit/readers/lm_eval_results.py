"""Results of lm-evaluation-harness: ``results_<date>.json``, and what they say of the runs.

A row is one benchmark of one run. Where every metric is a share of whole successes, as accuracies are, the score is their
number and `trials` the number of documents; else the score is the printed value, with its standard error.

Formats: ``results[task]["acc,none"]`` of lm_eval 0.4, and ``results[task]["acc"]`` of the versions before, which wrote no
numbers of documents: there n = p (1 - p) / se^2 + 1, exact for accuracies, since the harness divides by n - 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bayeskit.errors import DataError
from bayeskit.readers.discover import LogFile
from bayeskit.readers.jsontext import JsonStream, open_binary
from bayeskit.readers.long_table import Block, Labels, labelled
from bayeskit.readers.options import Options, choose
from bayeskit.readers.scores import no_number, no_score, to_score

_DATE = re.compile(r"results_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.json")
_MODEL = ("peft", "delta", "pretrained", "model", "path", "engine")  # the order in which the harness looks for a name
_NOT_METRICS = ("alias", "name", "sample_len", "samples", "sample_count")


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the harness: its model and the settings that tell it from others of the model."""

    model: str
    folder: Path
    date: str | None = None
    template: Mapping[str, str] = field(default_factory=dict)  # by benchmark: how many examples, from which seed
    seeds: str | None = None
    checkpoint: str | None = None
    note: str = ""


def runs_of(results: Sequence[LogFile], options: Options | None = None) -> list[Run]:
    """Read what results files say of their runs."""
    return [_run(file, _payload(file), options or Options()) for file in results]


def run_of(file: LogFile, date: str | None, runs: Sequence[Run], options: Options) -> Run:
    """Find the run that a file of samples belongs to: the results of its folder and date."""
    here = [run for run in runs if run.folder == file.path.parent.resolve()]
    found = [run for run in here if run.date == date] or (here if len(here) == 1 else [])
    if found:
        run = found[0]
        return run if options.model is None else Run(options.model, run.folder, date, run.template, run.seeds, run.checkpoint)
    if options.model is not None:
        return Run(options.model, file.path.parent.resolve(), date)
    folder = file.path.resolve().parent.name
    note = f"{file.shown}: no results file of this run is there, so its model is named after the folder {folder!r}."
    return Run(folder.replace("__", "/", 1), file.path.parent.resolve(), date, note=note)


def varying(runs: Sequence[tuple[Run, str]]) -> list[dict[str, str | Labels]]:
    """Facets that tell the runs of one model and benchmark apart, for pairs of run and benchmark.

    Returns
    -------
    One mapping a pair: ``template`` where examples differ anywhere, ``sample`` where the generator's seeds do so under one
    template, ``checkpoint`` where a run names a revision.
    """
    templates: dict[str, set[str]] = {}
    seeds: dict[tuple[str, str, str], set[str]] = {}
    for run, task in runs:
        template = run.template.get(task, "")
        templates.setdefault(task, set()).add(template)
        seeds.setdefault((f"{run.model}@{run.checkpoint}", task, template), set()).add(run.seeds or "")
    by_template = any(len(kinds) > 1 for kinds in templates.values())
    by_seed = any(len(kinds) > 1 for kinds in seeds.values())
    by_checkpoint = any(run.checkpoint for run, _ in runs)
    out: list[dict[str, str | Labels]] = []
    for run, task in runs:
        facets: dict[str, str | Labels] = {}
        if by_template:
            facets["template"] = run.template.get(task) or "unknown"
        if by_seed:
            facets["sample"] = run.seeds or "unknown"
        if by_checkpoint:
            facets["checkpoint"] = run.checkpoint or "main"
        out.append(facets)
    return out


def read_lm_eval_results(files: Sequence[LogFile], options: Options) -> tuple[list[Block], list[str]]:
    """Read results without samples; see the module."""
    payloads = [_payload(file) for file in files]
    runs = [_run(file, payload, options) for file, payload in zip(files, payloads, strict=True)]
    tables = [_metrics(file, payload) for file, payload in zip(files, payloads, strict=True)]
    found: dict[str, list[str]] = {}
    for table in tables:
        for task, metrics in table.items():
            names = found.setdefault(task, [])
            names += [name for name in metrics if name not in names]
    wanted = _full_names(options, found)
    chosen = choose("metric", wanted, found)
    rows = [
        _row(file, run, payload, task, table[task], chosen[task], options)
        for file, run, payload, table in zip(files, runs, payloads, tables, strict=True)
        for task in table
        if task in chosen
    ]
    _fill_sizes(rows)
    counted = all(row.counts for row in rows)
    facets = varying([(row.run, row.task) for row in rows])
    blocks = []
    for row, more in zip(rows, facets, strict=True):
        numbers = (
            {"score": row.value, "stderr": row.stderr} if not counted else {"score": round(row.value * row.n), "trials": row.n}
        )
        columns: dict[str, str | Labels] = {"model": row.run.model, "benchmark": labelled([options.benchmark or row.task])}
        arrays = {name: np.array([number], float) for name, number in numbers.items()}
        blocks.append(Block(row.shown, {**columns, **more}, arrays, None, "entry"))
    notes = ["There are no samples: a row is a whole benchmark, and its items cannot be told apart."]
    return blocks, notes + [run.note for run in runs if run.note]


@dataclass(eq=False)
class _Row:
    shown: str
    run: Run
    task: str
    value: float
    stderr: float
    n: float

    @property
    def counts(self) -> bool:
        """Whether the value is a share of whole successes."""
        k = self.value * self.n
        return 0 <= self.value <= 1 and self.n > 0 and abs(k - round(k)) < 1e-6 * max(1.0, self.n)


def _payload(file: LogFile) -> dict[str, Any]:
    with open_binary(file.path) as raw:
        payload = JsonStream(raw, file.shown).value()
    if not isinstance(payload, dict) or not isinstance(payload.get("results"), dict):
        raise DataError(
            f"File {file.shown!r} has no object 'results'.",
            rule="results of lm-evaluation-harness map tasks to metrics.",
            fix="check that the file is a results file of lm-eval.",
        )
    return payload


def _run(file: LogFile, payload: Mapping[str, Any], options: Options) -> Run:
    config = payload.get("config")
    config = config if isinstance(config, dict) else {}
    arguments = _arguments(config.get("model_args"))
    named = options.model or payload.get("model_name") or next((arguments[key] for key in _MODEL if key in arguments), None)
    note = ""
    if named is None:
        named = file.path.name.split(".")[0] if not _DATE.match(file.path.name) else file.path.resolve().parent.name
        note = f"{file.shown} does not name its model; it is called {named!r} here."
    revision = arguments.get("revision") or config.get("model_revision")
    seeds = "/".join(str(config[key]) for key in ("random_seed", "numpy_seed", "torch_seed") if config.get(key) is not None)
    shots = payload.get("n-shot")
    shots = shots if isinstance(shots, dict) else {}
    draw = config.get("fewshot_seed")
    template = {}
    for task in payload["results"]:
        number = shots.get(task, config.get("num_fewshot"))
        parts = [f"{number}-shot"] if number is not None else []
        parts += [f"seed {draw}"] if draw is not None and number else []
        template[task] = ", ".join(parts)
    match = _DATE.match(file.path.name)
    checkpoint = str(revision) if revision and revision != "main" else None
    return Run(
        str(named), file.path.parent.resolve(), match["date"] if match else None, template, seeds or None, checkpoint, note
    )


def _arguments(given: Any) -> dict[str, str]:
    """Arguments of the model, which are an object or, in older versions, text."""
    if isinstance(given, dict):
        return {str(key): str(value) for key, value in given.items()}
    pairs = (part.partition("=") for part in given.split(",")) if isinstance(given, str) else ()
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _metrics(file: LogFile, payload: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Metrics by task: ``"acc"``, or ``"exact_match,strict-match"`` where there are filters."""
    groups = payload.get("group_subtasks")
    groups = {name for name, parts in groups.items() if parts} if isinstance(groups, dict) else set()
    out = {}
    for task, entries in payload["results"].items():
        if not isinstance(entries, dict):
            raise DataError(
                f"File {file.shown!r}: the results of {task!r} are no object.",
                rule="results map tasks to metrics.",
                fix="check that the file is a results file of lm-eval.",
            )
        if task in groups:
            continue  # the average of tasks that stand there by themselves
        out[task] = {
            name.removesuffix(",none"): value
            for name, value in entries.items()
            if name not in _NOT_METRICS and not name.partition(",")[0].endswith("_stderr")
        }
    return out


def _full_names(options: Options, found: Mapping[str, Sequence[str]]) -> str | dict[str, str] | None:
    """Metrics as results write them, with the filter behind a comma unless it is called none."""
    metrics = options.metrics()
    if metrics is None:
        return None
    kinds = {task: [name.partition(",")[2] or "none" for name in names] for task, names in found.items()}
    filters = options.filters({task: list(dict.fromkeys(parts)) for task, parts in kinds.items()})
    out = {} if isinstance(metrics, str) else {task: name for task, name in metrics.items() if task not in found}
    for task, names in found.items():
        name = metrics if isinstance(metrics, str) else metrics.get(task)
        if name is None:
            continue
        full = f"{name},{filters[task]}" if filters.get(task, "none") != "none" else name
        alone = [other for other in names if other.partition(",")[0] == name]
        out[task] = alone[0] if full == name and len(alone) == 1 else full
    return out


def _row(
    file: LogFile, run: Run, payload: Mapping[str, Any], task: str, metrics: Mapping[str, Any], metric: str, options: Options
) -> _Row:
    place = f"{file.shown}, task {task!r}"
    if metric not in metrics:
        raise no_score(metric, place, "no value")
    value = to_score(metrics[metric])
    if value is None:
        raise no_number(metric, metrics[metric], place)
    if value != value and options.unscored == "refuse":
        raise no_score(metric, place, "NaN")
    entries = payload["results"][task]
    name, comma, kind = metric.partition(",")
    keys = (f"{name}_stderr{comma}{kind}", f"{name}_stderr,none", f"{name}_stderr")
    stderr = next((to_score(entries[key]) for key in keys if key in entries), None)
    sizes = payload.get("n-samples")
    size = sizes.get(task) if isinstance(sizes, dict) else None
    n = to_score(size.get("effective")) if isinstance(size, dict) else to_score(entries.get("sample_len"))
    if n is None and stderr and 0 < value < 1:
        n = value * (1 - value) / stderr**2 + 1
        n = float(round(n)) if abs(n - round(n)) < 1e-3 else None
    return _Row(file.shown, run, task, value, math.nan if stderr is None else stderr, math.nan if n is None else n)


def _fill_sizes(rows: Sequence[_Row]) -> None:
    """Where all or none were right the standard error says nothing of n: take it from other runs of the benchmark."""
    known: dict[str, set[float]] = {}
    for row in rows:
        if row.n == row.n:
            known.setdefault(row.task, set()).add(row.n)
    for row in rows:
        if row.n != row.n and len(known.get(row.task, ())) == 1:
            row.n = next(iter(known[row.task]))
