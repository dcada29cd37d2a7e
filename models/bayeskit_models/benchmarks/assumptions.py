"""What a benchmark fit rests on, as named assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import xarray as xr

from bayeskit.assumptions import Assumption, Dial, Prior
from bayeskit.errors import DataError, suggest
from bayeskit_models.benchmarks.families import CUTS, FAMILIES, RATIO

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["assumptions_of", "chance_dials", "check_chance", "effect_of", "spreads"]

_WORDS = {
    "item_sd": ("Items of a benchmark differ in difficulty by {s} or so", 2.0),
    "item_model_sd": ("Beyond its difficulty, an item suits some models more than others by {s} or so", 1.0),
    "cluster_sd": ("Items of one cluster share a difficulty, which varies by {s} or so", 1.0),
    "run_sd": ("Training runs of a model with other seeds differ by {s} or so", 0.5),
    "template_sd": ("Prompt templates move all models together by {s} or so", 0.5),
    "model_template_sd": ("A prompt template suits some models more than others by {s} or so", 0.5),
}
_MEANS = {
    "counted": "The average model's log odds on a benchmark are within four of even odds, beyond chance.",
    "linear": "The average model's score on a benchmark is within four units of the mean of the table.",
    "ends": "Scores of the average model on a benchmark that are neither 0 nor 1 have a mean within four log odds of a half.",
}
_CUTS = {
    "cut_low": (
        "The log odds at which a score of 0 is as likely as not are within four of -1: zeros take over where scores inside "
        "would be low.",
        Prior("Normal", dims=("benchmark",), mu=-1.0, sigma=2.0),
    ),
    "cut_width": (
        "The log odds at which a score of 1 is as likely as not are half of one to eight above those of a score of 0: from "
        "scores that are mostly 0 or 1 to scores that hardly ever are.",
        Prior("LogNormal", dims=("benchmark",), mu=0.7, sigma=0.7),
    ),
}  # fmt: skip

_FLEXIBILITY = Assumption(
    "curve_flexibility", "Over the logarithm of the training step a score follows a smooth curve, which bends by ten times "
    "the noise, or much less, or more (half-Cauchy); the noise is independent from one checkpoint to the next.", "hyper",
    constants={"scale": Dial("curve_flexibility.scale", 10.0, 1e-3, 1e4, "typical bend of the curve, in sds of the noise")},
)  # fmt: skip

_BY_BENCHMARK = ("item_sd", "item_model_sd", "run_sd")
"""Standard deviations that differ between benchmarks where there are several."""

_EFFECTS = {
    "cluster_sd": ("cluster_effect", "cluster_place", "clusters of items"),
    "run_sd": ("run_effect", "run", "training runs"),
    "template_sd": ("template_effect", "template_place", "templates"),
    "model_template_sd": ("model_template_effect", "model_template", "models and templates"),
}


def spreads(statistics: xr.Dataset) -> tuple[str, ...]:
    """Names of the standard deviations that the facets of the table give rise to."""
    several = statistics.sizes["model"] > 1
    there = {
        "item_sd": statistics.attrs["integrated"] == "item",
        "item_model_sd": bool(statistics.attrs["interaction"]),
        "cluster_sd": "cluster_place" in statistics.sizes,
        "run_sd": "run" in statistics.sizes,
        "template_sd": "template_place" in statistics.sizes and several,
        "model_template_sd": "template_place" in statistics.sizes,
    }
    return tuple(name for name in _WORDS if there[name])


def effect_of(statistics: xr.Dataset, name: str) -> tuple[str, str] | None:
    """Variable and dimension of the effects that have this standard deviation; None where they are integrated out."""
    if name not in _EFFECTS or (name == "run_sd" and statistics.attrs["integrated"] == "run"):
        return None
    return _EFFECTS[name][:2]


def assumptions_of(spec: BenchmarkVariance, statistics: xr.Dataset) -> tuple[Assumption, ...]:
    """Every assumption of a specification, in the order in which variables depend on one another."""
    models, benchmarks = statistics.sizes["model"], statistics.sizes["benchmark"]
    law, unit = spec.law, "units" if spec.law.linear else "log odds"
    out = [_family(spec), *_items(spec, statistics), *_interaction(spec, statistics)]
    out += _chance(spec, statistics) if law.counted else []
    dims = ("benchmark",)
    out.append(
        Assumption(
            "benchmark_mean", _MEANS["linear" if law.linear else "ends" if law.ends else "counted"],
            "hyper",
            Prior("Normal", dims=dims, mu=0.0, sigma=2.0),
        )
    )  # fmt: skip
    if models > 1:
        out += [
            Assumption(
                "ability_sd", f"Models differ in ability by one of the {unit} or so.", "hyper", Prior("HalfNormal", sigma=1.0)
            ),
            Assumption(
                "ability", "Abilities are about their mean as a normal sample, in units of its standard deviation: a model is "
                "shrunk towards the others.", "latent", Prior("ZeroSumNormal", dims=("model",), sigma=1.0),
            ),
        ]  # fmt: skip
    if models > 1 and benchmarks > 1:
        out += [
            Assumption(
                "model_benchmark_sd", f"Beyond its ability, a model is better on some benchmarks by half of the {unit} or so.",
                "hyper", Prior("HalfNormal", sigma=0.5),
            ),
            Assumption(
                "model_benchmark", "How models depart from their ability on a benchmark is a normal sample.", "latent",
                Prior("ZeroSumNormal", dims=("benchmark", "model"), sigma=1.0),
            ),
        ]  # fmt: skip
    for name in spreads(statistics):
        sentence, scale = _WORDS[name]
        out.append(Assumption(name, sentence.format(s=f"{scale:g} {unit}") + ".", "hyper", Prior("HalfNormal", sigma=scale)))
        if name in _BY_BENCHMARK and benchmarks > 1:
            told = "This standard deviation differs between benchmarks by a factor of 1.6 or so."
            out.append(Assumption(f"{name}_ratio", told, "hyper", Prior("LogNormal", dims=dims, mu=0.0, sigma=RATIO)))
        effect = effect_of(statistics, name)
        if effect is not None:
            sentence = f"Effects of {_EFFECTS[name][2]} are a normal sample, in units of their standard deviation."
            out.append(Assumption(effect[0], sentence, "latent", Prior("Normal", dims=(effect[1],), mu=0.0, sigma=1.0)))
    if law.ends:
        out += [Assumption(name, _CUTS[name][0], "hyper", _CUTS[name][1]) for name in CUTS]
    if law.parameter is not None:
        assert law.prior is not None
        out.append(Assumption(law.parameter, law.sentence, "hyper", law.prior))
        if benchmarks > 1:
            prior = Prior("LogNormal", dims=dims, mu=0.0, sigma=law.ratio)
            out.append(Assumption(f"{law.parameter}_ratio", law.ratio_sentence, "hyper", prior))
    if "checkpoint_step" in statistics:
        out.append(_FLEXIBILITY)
    return tuple(out)


def _family(spec: BenchmarkVariance) -> Assumption:
    words = {
        "binomial": "Given everything that is named below, each answer is right or wrong by an independent chance.",
        "beta_binomial": "Given everything that is named below, answers of one model to one item are alike beyond chance.",
        "gaussian": "Given everything that is named below, scores are normal.",
        "ordered_beta": "Given everything that is named below, one predictor says how often scores are 0 or 1 and what "
        "they are between.",
    }
    choices = tuple(name for name, law in FAMILIES.items() if law.statistics == spec.law.statistics)
    if not spec.law.counted:
        choices = ("gaussian", "ordered_beta")  # they read the same column, as any numbers or as numbers from 0 to 1
    return Assumption("family", words[spec.family], "structural", setting="family", alternatives=choices)


def _items(spec: BenchmarkVariance, statistics: xr.Dataset) -> list[Assumption]:
    if "member_item" not in statistics:
        if spec.law.linear:
            told = "The answer is about the items that the scores are means over: how items were chosen is not seen."
            return [Assumption("items", told, "structural", setting="items", alternatives=("random", "fixed"))]
        if spec.family == "beta_binomial" or spec.law.ends:
            return []
        told = (
            "All trials of a model on a benchmark have the same chance of success: without items, what answers to one item "
            "have in common is not seen."
        )
        return [Assumption("items", told, "structural", setting="family", alternatives=("binomial", "beta_binomial"))]
    if spec.items == "random":
        sentence = "The answer is about new items like these: items are a random sample, and their difficulties are normal."
    else:
        sentence = "The answer is about these items and no others; their difficulties are normal."
    return [Assumption("items", sentence, "structural", setting="items", alternatives=("random", "fixed"))]


def _interaction(spec: BenchmarkVariance, statistics: xr.Dataset) -> list[Assumption]:
    """Whether models find the same items hard; of laws that do not say it themselves."""
    if "member_item" not in statistics or spec.family == "beta_binomial":
        return []
    there = bool(statistics.attrs["interaction"])
    if there:
        told = "Models differ in which items they find hard, and repeated answers tell this from chance."
    else:
        told = "The same items are hard for all models: where a model departs from that, it is taken for chance in its answers."
    return [Assumption("interaction", told, "structural", setting="interaction", alternatives=(spec.interaction, not there))]


def chance_dials(spec: BenchmarkVariance, statistics: xr.Dataset) -> tuple[str, ...]:
    """Name of the dial that holds each benchmark's chance level."""
    if isinstance(spec.chance, float):
        return ("chance.value",) * statistics.sizes["benchmark"]
    return tuple(f"chance.value_{b + 1}" for b in range(statistics.sizes["benchmark"]))


def check_chance(spec: BenchmarkVariance, labels: Sequence[str]) -> None:
    """Raise `DataError` where a chance level is stated for a benchmark that the table lacks."""
    stated = {} if isinstance(spec.chance, float) else dict(spec.chance)
    for label in stated:
        if label not in labels:
            raise DataError(
                f"has no benchmark {label!r}, for which a chance level is stated.{suggest(label, labels)}",
                column=spec.column_of("benchmark"),
                rule="chance names benchmarks of the table.", fix="correct the label, or leave it out.",
            )  # fmt: skip


def _chance(spec: BenchmarkVariance, statistics: xr.Dataset) -> list[Assumption]:
    labels = [str(b) for b in statistics["benchmark"].values]
    told = "Nobody falls below the level of guessing, and a model that knows nothing is right with that probability"
    if isinstance(spec.chance, float):
        constants = {"value": Dial("chance.value", spec.chance, 0.0, 0.999, "probability of a success by guessing")}
        return [Assumption("chance", f"{told}: {spec.chance:g}.", "structural", constants=constants)]
    stated = dict(spec.chance)
    constants = {
        f"value_{b + 1}": Dial(f"chance.value_{b + 1}", stated.get(x, 0.0), 0.0, 0.999, f"probability of guessing right on {x}")
        for b, x in enumerate(labels)
    }
    listed = ", ".join(f"{stated.get(x, 0.0):g} on {x}" for x in labels)
    return [Assumption("chance", f"{told}: {listed}.", "structural", constants=constants)]
