"""Results of HumanEval's own evaluation: ``samples.jsonl_results.jsonl``.

A row is one completion; its number within its task is the sample. Format: ``human_eval.evaluation`` of openai/human-eval,
whose lines are those of the samples with ``result`` and ``passed``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayeskit.readers.discover import LogFile
from bayeskit.readers.evalplus import dataset_of, model_of
from bayeskit.readers.jsonlines import Lines
from bayeskit.readers.long_table import Block, Labels, numbered
from bayeskit.readers.options import Options, choose


def read_human_eval(files: Sequence[LogFile], options: Options) -> tuple[list[Block], list[str]]:
    """Read results; see the module."""
    choose("metric", options.metric, {"HumanEval": ["passed"]})
    blocks: list[Block] = []
    notes: list[str] = []
    for file in files:
        lines = Lines(file.path, file.shown)
        named = isinstance(lines.first.get("model"), str)
        labels, scores = lines.read({"task": "task_id", **({"model": "model"} if named else {})}, "passed", options.unscored)
        task = labels["task"]
        model: str | Labels = labels["model"] if named and options.model is None else model_of(file, options, notes)
        cells = task.codes if isinstance(model, str) else task.codes * len(model.categories) + model.codes
        _, groups = np.unique(cells, return_inverse=True)
        facets: dict[str, str | Labels] = {
            "model": model,
            "benchmark": options.benchmark or Labels(*dataset_of(task)),
            "item": task,
            "sample": numbered(groups),
        }
        blocks.append(Block(file.shown, facets, {"score": scores}, None, lines.unit))
    return blocks, notes
