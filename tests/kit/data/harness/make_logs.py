"""Writes the golden logs beside this file with the real harnesses; see README.md for versions and how to run it.

Not a test: it needs `inspect-ai` or `lm-eval`, which the project itself does not.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MODELS = ("alpha", "beta", "gamma")
QUESTIONS = {"q1": "Paris", "q2": "Rome", "q3": "Oslo", "q4": "Bern", "q5": "Wien"}
# RIGHT[model][sample] says, item by item, whether the answer is right.
RIGHT = {"alpha": ("11110", "11011"), "beta": ("10110", "10010"), "gamma": ("00100", "01000")}


def answer(model: str, sample: int, item: int, truth: str) -> str:
    return truth if RIGHT[model][sample][item] == "1" else "no idea"


def inspect_parts():
    """Scorers and a solver with scripted answers."""
    from inspect_ai.model import ChatMessageAssistant, ModelOutput
    from inspect_ai.scorer import Score, accuracy, mean, scorer
    from inspect_ai.solver import solver

    @scorer(metrics={"length": [mean()], "polite": [mean()]})
    def style():
        async def score(state, target):
            return Score(value={"length": len(state.output.completion), "polite": False})

        return score

    @scorer(metrics=[accuracy()])
    def strict():
        async def score(state, target):
            return Score(value="C" if state.output.completion == target.text else "I")

        return score

    @solver
    def scripted(model, broken):
        async def solve(state, generate):
            item = list(QUESTIONS).index(state.sample_id)
            if broken and state.sample_id == "q4" and state.epoch == 2:
                raise RuntimeError("planted")
            text = answer(model, state.epoch - 1, item, state.target.text)
            state.messages.append(ChatMessageAssistant(content=text))
            state.output = ModelOutput.from_content(f"mockllm/{model}", text)
            return state

        return solve

    return strict, style, scripted


def inspect_logs(form: str, folder: str) -> None:
    """One log per model: five items, two epochs, two scorers (one with two values), and a run with a planted error."""
    import inspect_ai
    from inspect_ai import Task, task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match

    strict, style, scripted = inspect_parts()

    @task
    def capitals(model: str, broken: bool = False):
        samples = [
            Sample(input=f"{key}: the capital?", target=truth, id=key, metadata={"region": "north" if key == "q3" else "south"})
            for key, truth in QUESTIONS.items()
        ]
        scorers = [match()] if form == "plain" else [strict(), style()]
        return Task(dataset=samples, solver=scripted(model, broken), scorer=scorers, epochs=2, fail_on_error=False)

    kind = "json" if folder.endswith("json") else "eval"
    for model, broken in [("alpha", True)] if form == "errors" else [(model, False) for model in MODELS]:
        with tempfile.TemporaryDirectory() as scratch:
            inspect_ai.eval(
                capitals(model, broken),
                model=f"mockllm/{model}",
                log_dir=scratch,
                log_format=kind,
                display="none",
                max_samples=1,
            )
            written = next(Path(scratch).glob(f"*.{kind}"))
            log = inspect_ai.log.read_eval_log(str(written))
            for sample in log.samples:
                if sample.error:  # tracebacks name folders of the machine
                    sample.error.traceback = sample.error.traceback_ansi = ""
                sample.events = []
            target = HERE / folder / f"{model}{'-errors' if broken else ''}.{kind}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            inspect_ai.log.write_eval_log(log, str(target), format=kind)


def scripted_dummy():
    """The dummy model of lm-eval with scripted answers."""
    from lm_eval.models.dummy import DummyLM

    class Scripted(DummyLM):
        def __init__(self, model, run):
            super().__init__()
            self.model, self.run = model, run

        def generate_until(self, requests, disable_tqdm=False):
            out = []
            for request in requests:
                key = re.findall(r"(q\d):", request.arguments[0])[-1]
                item = list(QUESTIONS).index(key)
                out.append(f"It is {answer(self.model, self.run, item, QUESTIONS[key])}")
            return out

        def loglikelihood(self, requests, disable_tqdm=False):
            out = []
            for request in requests:
                item = list(QUESTIONS).index(re.findall(r"(q\d):", request.arguments[0])[-1])
                good = request.arguments[1].strip() in QUESTIONS.values()
                right = RIGHT[self.model][self.run][item] == "1"
                out.append((-1.0 if good == right else -2.0, False))
            return out

    return Scripted


def lm_eval_logs() -> None:
    """Three models, two few-shot seeds each: a generative task with two filters and a multiple-choice task."""
    import contextlib
    import json

    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        rows = [{"key": key, "capital": truth, "options": [truth, "no idea"]} for key, truth in QUESTIONS.items()]
        Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        common = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "q.jsonl"}}, "test_split": "test"}
        text = {**common, "doc_to_text": "{{key}}: the capital?", "num_fewshot": 1, "fewshot_split": "test"}
        metric = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]
        first = [{"function": "take_first"}]
        capitals = {
            **text, "task": "capitals", "output_type": "generate_until", "doc_to_target": "{{capital}}",
            "generation_kwargs": {"until": ["\n"]}, "metric_list": metric,
            "filter_list": [
                {"name": "last-word", "filter": [{"function": "regex", "regex_pattern": r"(\w+)$"}, *first]},
                {"name": "verbatim", "filter": first},
            ],
        }  # fmt: skip
        choice = {
            **text, "task": "capitals_mc", "output_type": "multiple_choice", "doc_to_choice": "options", "doc_to_target": 0,
            "metric_list": [{**metric[0], "metric": name} for name in ("acc", "acc_norm")],
        }  # fmt: skip
        for task in (capitals, choice):
            Path(f"{task['task']}.yaml").write_text(json.dumps(task))  # JSON is YAML
        manager = TaskManager(include_path=".", include_defaults=False)
        for model in MODELS:
            for run in (0, 1):
                tracker = EvaluationTracker(output_path=str(HERE / "lm_eval"))
                arguments = {"pretrained": f"toy/{model}"}
                tracker.general_config_tracker.log_experiment_args("scripted", arguments, "", "", False)
                results = simple_evaluate(
                    scripted_dummy()(model, run), tasks=["capitals", "capitals_mc"], task_manager=manager, log_samples=True,
                    evaluation_tracker=None, fewshot_random_seed=run + 1, bootstrap_iters=0,
                )  # fmt: skip
                samples = results.pop("samples")
                results["config"].update(model="scripted", model_args=arguments)
                tracker.save_results_aggregated(results=results, samples=samples)
                for name in samples:
                    tracker.save_results_samples(name, samples[name])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["inspect", folder]:
            inspect_logs("scorers", folder)
        case ["inspect-errors", folder]:
            inspect_logs("errors", folder)
        case ["inspect-plain", folder]:
            inspect_logs("plain", folder)
        case ["lm-eval"]:
            lm_eval_logs()
        case _:
            sys.exit("make_logs.py inspect|inspect-errors|inspect-plain FOLDER, or lm-eval")
