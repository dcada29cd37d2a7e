"""What a ranking by judges rests on, as named assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayeskit.assumptions import Assumption, Dial, Prior
from bayeskit_models.judges.presets import beta_of, boost_of

if TYPE_CHECKING:
    from bayeskit_models.judges.model import JudgeSimplex

__all__ = ["assumptions_of", "is_binary", "relaxed_scale"]

_LIKELIHOOD = {
    "marginal": (
        "Verdicts of different judges on the same answer, and on the answers of different candidates to the same item, count "
        "as independent answers, so the sampling error of the items is understated where they are shared."
    ),
    "joint": (
        "Given the true level of an answer, the errors of different judges are independent, and answers of different "
        "candidates are unrelated even where they answer the same item."
    ),
    "paired": (
        "Given the true level of an answer, the errors of different judges are independent; candidates answer the same items, "
        "whose difficulty shifts all of them alike on the logit scale."
    ),
}


def is_binary(spec: JudgeSimplex) -> bool:
    """Whether judges are parameterised by quality and lean (two levels, better than chance by construction)."""
    return spec.levels == 2 and spec.monotone


def relaxed_scale(spec: JudgeSimplex) -> float | None:
    """The fixed scale of relaxed constancy, or None where it is strict or learned."""
    if isinstance(spec.constancy, str):
        return 0.5 if spec.constancy == "relaxed" else None
    return float(spec.constancy)


def assumptions_of(spec: JudgeSimplex, statistics: xr.Dataset) -> tuple[Assumption, ...]:
    """Every assumption of a specification, in the order in which variables depend on one another."""
    likelihood = str(statistics.attrs["likelihood"])
    parts = [
        Assumption(
            "likelihood", _LIKELIHOOD[likelihood], "structural", setting="likelihood",
            alternatives=("marginal", "joint", "paired"),
        ),
        *(_ability(spec) if likelihood == "paired" else _prevalence(statistics)),
        *_judges(spec),
        *_constancy(spec, statistics.sizes["judge"]),
        *_strata(statistics),
        *_self_cells(spec),
    ]  # fmt: skip
    return tuple(parts)


def _prevalence(statistics: xr.Dataset) -> list[Assumption]:
    strata = statistics.sizes["stratum"] > 1
    dims = ("candidate", "stratum", "level") if strata else ("candidate", "level")
    return [
        Assumption(
            "prevalence",
            "Before any verdict, every mix of true levels is equally plausible for a candidate, independently of the others.",
            "hyper",
            Prior("Dirichlet", dims=dims, a=1.0),
        )
    ]


def _ability(spec: JudgeSimplex) -> list[Assumption]:
    out = [
        Assumption(
            "ability_mean", "The typical candidate's ability is near the difficulty of the typical item, on the logit scale.",
            "hyper", Prior("Normal", mu=0.0, sigma=1.5),
        ),
        Assumption(
            "ability_scale", "Candidates differ in ability by about one unit on the logit scale.",
            "hyper", Prior("HalfNormal", sigma=1.0),
        ),
        Assumption(
            "ability", "Abilities are draws from one normal population of candidates.",
            "latent", Prior("Normal", dims=("candidate",), mu=0.0, sigma=1.0),
        ),
        Assumption(
            "difficulty_scale", "Items differ in difficulty by a few units on the logit scale, normally distributed.",
            "hyper", Prior("HalfNormal", sigma=2.0),
        ),
    ]  # fmt: skip
    if spec.levels > 2:
        out.append(
            Assumption(
                "cut_gap", "Neighbouring levels of quality are one to three units apart on the logit scale.",
                "hyper", Prior("LogNormal", dims=("cut",), mu=float(np.log(1.5)), sigma=0.5),
            )
        )  # fmt: skip
    return out


def _judges(spec: JudgeSimplex) -> list[Assumption]:
    if is_binary(spec):
        a, b = beta_of(spec.quality)
        return [
            Assumption(
                "judge_quality",
                "Every judge is better than a coin: its rate of true positives exceeds that of false positives by this much.",
                "hyper", Prior("Beta", dims=("judge",), alpha=a, beta=b), setting="quality",
                alternatives=("vague", "weak", "moderate", "strong", "near-perfect"), also={"monotone": (True, False)},
            ),
            Assumption(
                "judge_lean", "A judge of given quality may be strict or lenient: any split of its errors is as plausible.",
                "hyper", Prior("Beta", dims=("judge",), alpha=1.0, beta=1.0),
            ),
        ]  # fmt: skip
    boost = boost_of(spec.quality)
    out = [
        Assumption(
            "judge_vertices",
            "Judges give the true level more often than any other one: each row of a judge's matrix is Dirichlet with extra "
            "pseudo-counts on the true level.",
            "hyper", Prior("DiagonalDirichlet", dims=("judge", "level", "score"), base=1.0, boost=boost), setting="quality",
            alternatives=("vague", "weak", "moderate", "strong", "near-perfect"),
        )
    ]  # fmt: skip
    if spec.monotone:
        sharpness = Dial(
            "monotone.sharpness", 50.0, 0.0, 1e4, "how hard a drop of the cumulative score probability is punished; 0 is off"
        )
        out.append(
            Assumption(
                "monotone", "The better the true level, the higher the score a judge gives, in stochastic order.",
                "constraint", constants={"sharpness": sharpness}, setting="monotone", alternatives=(True, False),
            )
        )  # fmt: skip
    else:
        out.append(
            Assumption(
                "monotone",
                "Judges need not give better answers higher scores: only their prior says that they lean to the truth.",
                "structural", setting="monotone", alternatives=(True, False),
            )
        )  # fmt: skip
    return out


def _constancy(spec: JudgeSimplex, judges: int) -> list[Assumption]:
    options = ("strict", 0.25, 0.5, 1.0, "learned")
    if spec.constancy == "strict":
        return [
            Assumption(
                "constancy", "A judge makes the same errors on every candidate.", "structural", setting="constancy",
                alternatives=options,
            )
        ]  # fmt: skip
    scale = relaxed_scale(spec)
    if scale is None:
        out = _learned(options, judges)
    else:
        out = [
            Assumption(
                "constancy", "A judge's error rates differ between candidates by this much on the logit scale.", "constraint",
                constants={"scale": Dial("constancy.scale", scale, 0.01, 10.0, "standard deviation on the logit scale")},
                setting="constancy", alternatives=options,
            )
        ]  # fmt: skip
    own = Assumption(
        "constancy_deviation", "What is a judge's own in these differences is unrelated between candidates and levels.",
        "latent", Prior("Normal", dims=("candidate", "judge", "level"), mu=0.0, sigma=1.0),
    )  # fmt: skip
    return [*out, own]


def _learned(options: tuple[str | float, ...], judges: int) -> list[Assumption]:
    """How far error rates differ between candidates, learned; with one judge nothing tells its share from the others'."""
    out = [
        Assumption(
            "constancy_scale",
            "A typical judge's error rates differ between candidates by about this much on the logit scale; how much is "
            "learned from the data.",
            "hyper", Prior("HalfNormal", sigma=0.5), setting="constancy", alternatives=options,
        )
    ]  # fmt: skip
    if judges == 1:
        return out
    return [
        *out,
        Assumption(
            "constancy_factor", "Some judges are steadier than others, by a factor of about two either way.",
            "hyper", Prior("LogNormal", dims=("judge",), mu=0.0, sigma=0.7),
        ),
        Assumption(
            "shared_share",
            "Judges err alike: this share of the differences between candidates is common to them, probably under a half.",
            "hyper", Prior("Beta", alpha=1.0, beta=3.0),
        ),
        Assumption(
            "shared_deviation", "What judges have in common in their errors is unrelated between candidates and levels.",
            "latent", Prior("Normal", dims=("candidate", "level"), mu=0.0, sigma=1.0),
        ),
    ]  # fmt: skip


def _strata(statistics: xr.Dataset) -> list[Assumption]:
    if statistics.sizes["stratum"] == 1:
        return []
    out = [
        Assumption(
            "stratum_scale", "A judge's error rates may differ between strata of items by this much on the logit scale.",
            "hyper", Prior("HalfNormal", sigma=0.5),
        ),
        Assumption(
            "stratum_deviation", "The deviations of a judge's error rates are unrelated between strata.",
            "latent", Prior("Normal", dims=("stratum", "judge", "level"), mu=0.0, sigma=1.0),
        ),
    ]  # fmt: skip
    if statistics.attrs["likelihood"] == "paired":
        out += [
            Assumption(
                "stratum_difficulty", "Strata of items differ in difficulty by one or two units on the logit scale.",
                "hyper", Prior("Normal", dims=("stratum",), mu=0.0, sigma=1.5),
            ),
            Assumption(
                "stratum_ability_scale", "Candidates may be better in some strata than in others by this much.",
                "hyper", Prior("HalfNormal", sigma=0.5),
            ),
            Assumption(
                "stratum_ability", "A candidate's strengths in different strata are unrelated.",
                "latent", Prior("Normal", dims=("candidate", "stratum"), mu=0.0, sigma=1.0),
            ),
        ]  # fmt: skip
    return out


def _self_cells(spec: JudgeSimplex) -> list[Assumption]:
    if not spec.own:
        return []
    options = ("free", "keep", "drop")
    if spec.self_cells == "free":
        return [
            Assumption(
                "self_deviation",
                "A judge may treat its own candidates unlike the others, by about one unit on the logit scale at each level.",
                "hyper", Prior("Normal", dims=("own_cell", "level"), mu=0.0, sigma=1.0), setting="self_cells",
                alternatives=options,
            )
        ]  # fmt: skip
    sentence = {
        "keep": "A judge treats its own candidates like the others.",
        "drop": "A judge's verdicts on its own candidates are left out.",
    }[spec.self_cells]
    return [Assumption("self_cells", sentence, "structural", setting="self_cells", alternatives=options)]
