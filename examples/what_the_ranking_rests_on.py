"""What does a ranking of LLMs by LLM judges rest on? A study of nine candidates and nine judges on TriviaQA.

    python examples/what_the_ranking_rests_on.py --out study/

The joint likelihood is fitted to the shipped data set `judges` (human labels are not used), and then asked:

1. which named assumption moves which candidate's score;
2. which pairs keep their order under every other specification that differs in one setting;
3. which single judge the order of a close pair hangs on;
4. how little of the data would turn that pair round;
5. what the verdicts alone allow, beside the posterior.

It writes a document with tables and figures, and prints a conclusion that is put together from what was found, not written in
advance. At the end it looks at the human labels, which nothing before has seen. Some twenty fits: ten minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import bayeskit as bk
from bayeskit.sensitivity.document import write_sensitivity
from bayeskit_models import JudgeSimplex, datasets

SETTINGS = ("constancy", "quality", "self_cells")  # the likelihood is another question than the strength of a prior


@dataclass(frozen=True)
class Study:
    """Everything that was found, and the sentences that follow from it."""

    fit: Any
    parts: dict[str, Any]
    robustness: Any
    pair: tuple[str, str]
    conclusion: str


def specification(judges: Sequence[str]) -> JudgeSimplex:
    """The default specification, with the cells in which a judge judges itself."""
    own = {j: c for j, c in datasets.describe("judges")["own"].items() if j in judges}
    return JudgeSimplex(levels=2, judge=tuple(judges), count="count", own=own)


def closest_pair(fit: Any) -> tuple[str, str]:
    """Neighbours in the ranking whose order is least certain."""
    pairs = fit.pairs()
    order = list(fit.ranking().table.index)
    near = pairs[[order.index(b) - order.index(a) == 1 for a, b in zip(pairs["a"], pairs["b"], strict=True)]]
    row = near.loc[(near["p_a_above_b"] - 0.5).abs().idxmin()]
    return str(row["a"]), str(row["b"])


def other_fits(fit: Any, table: pd.DataFrame, draws: int) -> dict[str, Any]:
    """Fits of every specification that differs in one of `SETTINGS`; one that cannot be fitted is None, and stays in sight."""
    found: dict[str, Any] = {}
    others = fit.alternatives()
    for name in others:
        if name.split("=")[0] in SETTINGS:
            try:
                found[name] = others[name].fit(table, seed=2, draws=draws, tune=draws, progress=False)
            except bk.SamplingError:
                found[name] = None
    return found


def study(judges: Sequence[str], draws: int) -> Study:
    """Run the study."""
    table = datasets.load("judges")[["candidate", *judges, "count"]]
    fit = specification(judges).fit(table, seed=1, draws=draws, tune=draws, progress=False)
    pair = closest_pair(fit)
    lead = f'mean("{pair[0]}" - "{pair[1]}") > 0'
    parts: dict[str, Any] = {"Assumptions": fit.sensitivity()}
    robustness = fit.robustness(other_fits(fit, table, draws))
    gap = f"expected_score[{pair[0]}] - expected_score[{pair[1]}]"
    quantities = {gap: lambda e: e["expected_score"].sel(candidate=pair[0]) - e["expected_score"].sel(candidate=pair[1])}
    parts["Judges left out"] = fit.influence("judge", quantities, exact=True, draws=draws, tune=draws)
    parts["Fewest answers that turn the pair"] = fit.smallest_set(lead, methods=["greedy"], draws=draws, tune=draws)
    parts["What the verdicts alone allow"] = fit.bounds(gap)
    return Study(fit, parts, robustness, pair, conclude(fit, parts, robustness, pair))


def conclude(fit: Any, parts: dict[str, Any], robustness: Any, pair: tuple[str, str]) -> str:
    """Sentences that follow from the results, whatever they are."""
    order = list(fit.ranking().table.index)
    kept = robustness.of("robust")
    total = len(robustness.pairs)
    first = [f"Under every other setting tried {len(kept)} of {total} pairs keep their order with 95 % probability or more."]
    if robustness.left_out:
        first.append(f"{len(robustness.left_out)} fits failed their checks and are not counted.")
    above = [name for name in order[1:] if (order[0], name) in kept]
    if len(above) == len(order) - 1:
        first.append(f"That {order[0]} is best does not rest on any of them.")
    else:
        first.append(f"That {order[0]} is best holds in all of them against {len(above)} of the {len(order) - 1} others.")
    moved = {r.assumption for r in parts["Assumptions"].rows if r.state in ("sensitive", "conflict")}
    first.append(
        f"Scores move with {', '.join(sorted(moved))}." if moved else "No score moves much with the strength of any prior."
    )
    smallest = parts["Fewest answers that turn the pair"].best
    told = f"{pair[0]} leads {pair[1]}"
    if smallest is not None:
        first.append(
            f"{told}, but that hangs on {len(smallest.units)} answers: without them the order turns (confirmed by a refit)."
        )
    else:
        first.append(f"{told}; no small set of answers was found that turns it.")
    bounds = parts["What the verdicts alone allow"]
    first.append(bounds.sentence(bounds.quantities[0]))
    return " ".join(first)


def look_at_labels(found: Study) -> str:
    """Compare with the human labels, which the study has not used."""
    table = datasets.load("judges")
    weight = table["count"]
    gold = (table["gold"] * weight).groupby(table["candidate"]).sum() / weight.groupby(table["candidate"]).sum()
    right = [bool(gold[a] > gold[b]) for a, b in found.robustness.of("robust")]
    a, b = found.pair
    return (
        f"Human labels agree with {sum(right)} of {len(right)} robust pairs. Of the closest pair they put "
        f"{a if gold[a] > gold[b] else b} first ({gold[a]:.3f} and {gold[b]:.3f})."
    )


def main(arguments: list[str] | None = None) -> Study:
    """Run the study, print its conclusion and write its document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", nargs="+", default=datasets.describe("judges")["roles"]["judges"])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("study"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    found = study(options.judges, options.draws)
    print(found.fit.verdict)
    print(found.fit.ranking())
    print(found.robustness)
    for title, part in found.parts.items():
        print(f"\n{title}: {part.headline}")
    print(f"\nConclusion. {found.conclusion}")
    print(look_at_labels(found))
    for suffix in ("html", "json"):
        write_sensitivity(found.fit, {"Pairs over settings": found.robustness, **found.parts}, options.out / f"study.{suffix}")
    return found


if __name__ == "__main__":
    main()
