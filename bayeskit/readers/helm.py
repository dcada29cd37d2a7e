"""Run folders of HELM: ``per_instance_stats.json`` with ``run_spec.json`` beside it.

A row is one instance in one train trial: which examples stand in the prompt is drawn anew in each, so trials are templates,
and so are perturbations of the instance. HELM writes several entries for one instance, one for every metric class.

Formats: ``PerInstanceStats`` in ``helm.benchmark.metrics.metric`` and ``Stat`` in ``helm.benchmark.metrics.statistic``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayeskit.errors import DataError
from bayeskit.readers.discover import LogFile
from bayeskit.readers.jsontext import JsonStream, open_binary
from bayeskit.readers.long_table import Block, Labels, labelled
from bayeskit.readers.options import Options, choose
from bayeskit.readers.scores import no_number, no_score, to_score

NO_PERTURBATION = "none"


@dataclass(eq=False)
class _Folder:
    shown: str
    model: str
    benchmark: str
    # instance, perturbation, trial, split, cluster, sum, count; by metric
    stats: dict[str, list[tuple[str, str, str, str, str | None, Any, Any]]] = field(default_factory=dict)


def read_helm(files: Sequence[LogFile], options: Options) -> tuple[list[Block], list[str]]:
    """Read run folders; see the module."""
    folders = [_folder(file, options) for file in files if file.kind == "helm:instances"]
    metrics: dict[str, list[str]] = {}
    for folder in folders:
        names = metrics.setdefault(folder.benchmark, [])
        names += [name for name in sorted(folder.stats) if name not in names]
    metric = choose("metric", options.metric, metrics)
    folders = [folder for folder in folders if folder.benchmark in metric]
    rows = {id(folder): folder.stats.get(metric[folder.benchmark], []) for folder in folders}
    splits = _found(folders, rows, 3)
    split = choose("split", options.split, splits)
    kinds = _found(folders, rows, 1)
    every = options.filter == "all"
    kind = {} if every else choose("filter", options.filter, kinds)
    blocks = []
    for folder in folders:
        kept = [
            row for row in rows[id(folder)] if row[3] == split[folder.benchmark] and (every or row[1] == kind[folder.benchmark])
        ]
        if not kept:
            raise no_score(metric[folder.benchmark], folder.shown, "no value")
        blocks.append(_block(folder, metric[folder.benchmark], kept, every, options))
    trials = any((block.numbers["trials"] != 1).any() for block in blocks)
    several = any(len(set(labels.categories)) > 1 for block in blocks if isinstance(labels := block.facets["template"], Labels))
    for block in blocks:
        if not trials:
            del block.numbers["trials"]
        if not several:
            del block.facets["template"]
    return blocks, []


def _found(folders: Sequence[_Folder], rows: dict[int, list[Any]], place: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for folder in folders:
        names = found.setdefault(folder.benchmark, [])
        names += [name for name in dict.fromkeys(row[place] for row in rows[id(folder)]) if name not in names]
    return found


def _folder(file: LogFile, options: Options) -> _Folder:
    model, benchmark = _specified(file, options)
    folder = _Folder(file.shown, options.model or model, options.benchmark or benchmark)
    with open_binary(file.path) as raw:
        stream = JsonStream(raw, file.shown)
        for entry in stream.elements():
            try:
                perturbation = entry.get("perturbation")
                kind = NO_PERTURBATION if perturbation is None else str(perturbation["name"])
                head = (str(entry["instance_id"]), kind, str(entry.get("train_trial_index", 0)))
                for stat in entry["stats"]:
                    name = stat["name"]
                    cluster = name.get("sub_split") if options.cluster else None
                    cell = (*head, str(name.get("split") or ""), cluster, stat.get("sum"), stat.get("count"))
                    folder.stats.setdefault(str(name["name"]), []).append(cell)
            except (KeyError, TypeError, AttributeError) as error:
                what = str(error) if isinstance(error, KeyError) else "an object"
                stream.odd(f"an entry lacks {what} of HELM's PerInstanceStats")
    return folder


def _specified(file: LogFile, options: Options) -> tuple[str, str]:
    """Return model and benchmark as the run's specification names them, else as its folder does."""
    path = file.path.parent / "run_spec.json"
    name = file.path.resolve().parent.name
    model = None
    if path.is_file():
        with open_binary(path) as raw:
            spec = JsonStream(raw, file.shown.replace(file.path.name, path.name)).value()
        if isinstance(spec, dict):
            name = str(spec.get("name", name))
            adapter = spec.get("adapter_spec")
            model = adapter.get("model") if isinstance(adapter, dict) else None
    scenario, colon, arguments = name.partition(":")
    pairs = [part for part in arguments.split(",") if part]
    if model is None:
        model = next((part.removeprefix("model=").replace("_", "/", 1) for part in pairs if part.startswith("model=")), None)
    if model is None and options.model is None:
        raise DataError(
            f"{file.shown}: neither run_spec.json nor the folder's name says which model ran.",
            rule="a run folder of HELM is named 'scenario:arguments,model=...' and holds a run_spec.json.",
            fix="copy run_spec.json along, or name the model: bk.read(..., model=...).",
        )
    kept = [part for part in pairs if not part.startswith(("model=", "model_deployment="))]
    return str(model), scenario + (colon + ",".join(kept) if kept else "")


def _block(folder: _Folder, metric: str, rows: Sequence[Any], every: bool, options: Options) -> Block:
    score, trials = np.full(len(rows), np.nan), np.ones(len(rows))
    for place, (instance, *_, total, count) in enumerate(rows):
        where = f"{folder.shown}, instance {instance!r}"
        n = to_score(count) if count is not None else None
        value = to_score(total) if total is not None else np.nan
        if value is None or n is None:
            raise no_number(metric, total if value is None else count, where)
        if value != value or n < 1:
            if options.unscored == "refuse":
                raise no_score(metric, where, "no value" if total is None or n < 1 else "NaN")
            continue
        score[place], trials[place] = value, n
    facets: dict[str, str | Labels] = {
        "model": folder.model,
        "benchmark": folder.benchmark,
        "item": labelled([row[0] for row in rows]),
        "template": labelled([f"{row[1]}, trial {row[2]}" if every else f"trial {row[2]}" for row in rows]),
    }
    if options.cluster is not None:
        if options.cluster != "sub_split":
            raise DataError(
                f"HELM's statistics have no field {options.cluster!r}.",
                column="cluster",
                rule="the only cluster that they name is the part of a split.",
                fix="choose cluster='sub_split', or join the clusters to the table by its items.",
            )
        facets["cluster"] = labelled([row[4] for row in rows])
    return Block(folder.shown, facets, {"score": score, "trials": trials}, None, "entry")
