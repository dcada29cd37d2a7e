"""Is this gain real? A code model and its fine-tuned successor on the same 800 items, ten samples each, read in six ways.

codetulu-2-34b is codellama-34b after fine-tuning. On CRUXEval (input prediction) it scores 2.0 points more. With all answers
counted as independent that is 2.6 standard errors; with items as a sample of each model's own 0.9; with the same items paired
1.9. `BenchmarkVariance` says which question each of these answers, what its own answer rests on, and which items it hangs on.

    python examples/is_this_gain_real.py --out report.html
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bayeskit_models import datasets
from bayeskit_models.benchmarks import BenchmarkFit, BenchmarkVariance

BEFORE, AFTER = "codellama-34b", "codetulu-2-34b"
SAMPLES = 10
DIALS = {
    "chance 5 %": {"chance.value": 0.05},
    "items alike (prior sd 0.5)": {"item_sd.sigma": 0.5},
    "no taste for items (prior sd 0.1)": {"item_model_sd.sigma": 0.1},
    "models far apart (prior sd 3)": {"ability_sd.sigma": 3.0},
    "models close (prior sd 0.1)": {"ability_sd.sigma": 0.1},
}
"""Other beliefs, turned one at a time."""


@dataclass(frozen=True)
class Study:
    """What was found; `conclusion` is made of it."""

    readings: pd.DataFrame
    errors: pd.DataFrame
    settings: pd.DataFrame
    fit: BenchmarkFit
    sensitivity: Any
    influence: Any
    fewest: Any
    conclusion: str


def item_table() -> pd.DataFrame:
    """One row for each model and item: successes in ten samples."""
    pair = datasets.load("cruxeval_pair")
    each = pair.loc[pair.index.repeat(pair["items"]), [BEFORE, AFTER]].reset_index(drop=True)
    table = each.rename_axis("item").reset_index().melt("item", var_name="model", value_name="successes")
    return table.assign(trials=SAMPLES)


def standard_errors(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """Standard errors of the difference of mean scores, by three readings; arrays are (..., items) of successes."""
    a, b = before / SAMPLES, after / SAMPLES
    n = a.shape[-1]
    p = np.stack([a.mean(-1), b.mean(-1)])
    return {
        "answers independent": np.sqrt((p * (1 - p)).sum(0) / (n * SAMPLES)),
        "items of each model independent": np.sqrt((a.var(-1, ddof=1) + b.var(-1, ddof=1)) / n),
        "items paired": (b - a).std(-1, ddof=1) / np.sqrt(n),
    }


def readings(table: pd.DataFrame, fits: dict[str, BenchmarkFit]) -> pd.DataFrame:
    """Gain by every reading, with 95 % intervals and the probability that there is one."""
    wide = table.pivot_table(index="item", columns="model", values="successes")
    before, after = wide[BEFORE].to_numpy(), wide[AFTER].to_numpy()
    gain = float((after - before).mean() / SAMPLES)
    rows = []
    for name, error in standard_errors(before, after).items():
        rows.append((name, gain, gain - 1.96 * error, gain + 1.96 * error, stats.norm.cdf(gain / error)))
    for name, fit in fits.items():
        for items, words in (("random", "new items"), ("fixed", "these items")):
            found = fit.compare(AFTER, BEFORE, items=items)
            rows.append((f"{name}, {words}", *found.difference, found.p_better))
    return pd.DataFrame(rows, columns=["reading", "gain", "lower", "upper", "P(gain)"]).set_index("reading")


def false_gains(fit: BenchmarkFit, tables: int, seed: int) -> pd.DataFrame:
    """How often each reading calls a difference where the models are equally able, on new items like these (95 % intervals)."""
    rng = np.random.default_rng(seed)
    posterior = fit.posterior
    item, taste = (float(posterior[name].mean()) for name in ("item_sd", "item_model_sd"))
    level = float(posterior["benchmark_mean"].mean())
    size = 800
    shared = rng.normal(scale=item, size=(tables, 1, size))
    x = level + shared + rng.normal(scale=taste, size=(tables, 2, size))
    k = rng.binomial(SAMPLES, 1 / (1 + np.exp(-x)))
    difference = (k[:, 1] - k[:, 0]).mean(-1) / SAMPLES
    found = {name: np.abs(difference) > 1.96 * error for name, error in standard_errors(k[:, 0], k[:, 1]).items()}
    share = {name: float(wrong.mean()) for name, wrong in found.items()}
    return pd.DataFrame({"calls a gain where there is none": share, "should be": 0.05})


def settings(table: pd.DataFrame, fit: BenchmarkFit, **sampling: Any) -> pd.DataFrame:
    """The gain under other beliefs (refits on the same compiled model) and another law of the answers."""
    fits = {"this fit": fit} | {name: fit.refit(dials=dials, **sampling) for name, dials in DIALS.items()}
    spec = BenchmarkVariance(score="successes", trials="trials", family="beta_binomial")
    fits["answers beta-binomial"] = spec.fit(table, seed=1, progress=False, **sampling)
    rows = []
    for name, each in fits.items():
        found = each.compare(AFTER, BEFORE)
        rows.append((name, *found.difference, found.p_better, each.verdict.status.value))
    return pd.DataFrame(rows, columns=["setting", "gain", "lower", "upper", "P(gain)", "verdict"]).set_index("setting")


def gain_of(estimands: Any) -> Any:
    """The gain as a quantity of the sensitivity analysis."""
    return estimands["score"].sel(model=AFTER) - estimands["score"].sel(model=BEFORE)


def concluded(table: pd.DataFrame, other: pd.DataFrame, influence: Any, fewest: Any) -> str:
    """The conclusion, put together from the numbers."""
    new, these = (table.loc[f"model, {words}", "P(gain)"] for words in ("new items", "these items"))
    low, high = other["P(gain)"].min(), other["P(gain)"].max()
    moved = influence.table["state"].eq("influential").sum()
    best = fewest.best
    hangs = (
        "No set of items was found that turns it." if best is None
        else f"Leaving out the {len(best.units)} items of 800 that speak most for the gain turns it."
    )  # fmt: skip
    return (
        f"That {AFTER} is better than {BEFORE} has probability {new:.2f} on new items and {these:.2f} on these. Under every "
        f"setting tried it is between {low:.2f} and {high:.2f}. {moved} single items move the gain by half a posterior "
        f"standard deviation or more. {hangs}"
    )


def main(arguments: list[str] | None = None, **sampling: Any) -> Study:
    """Run the study; returns what it prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=2000, help="simulated tables without a gain")
    parser.add_argument("--out", type=Path, help="report (.html or .md) of the fit")
    chosen = parser.parse_args(arguments)
    table = item_table()
    fit = BenchmarkVariance(score="successes", trials="trials").fit(table, seed=1, progress=False, **sampling)
    print(fit.verdict)
    found = readings(table, {"model": fit})
    print(found.round(3).to_string())
    errors = false_gains(fit, chosen.tables, seed=2)
    print(f"\nWhere there is no gain ({chosen.tables} simulated tables):")
    print(errors.round(3).to_string())
    other = settings(table, fit, **sampling)
    print("\nUnder other settings, about new items:")
    print(other.round(3).to_string())
    rests = fit.sensitivity({"gain": gain_of})
    print(f"\n{rests.headline}")
    influence = fit.influence("item", {"gain": gain_of})
    print(influence.headline)
    fewest = fit.smallest_set(f'"{AFTER}" > "{BEFORE}"', "item", methods=["greedy"], refits=3, **sampling)
    study = Study(found, errors, other, fit, rests, influence, fewest, concluded(found, other, influence, fewest))
    print(f"\n{study.conclusion}")
    design = fit.design(items=[800, 1600, 3200], samples=[1, 10]).table()
    print("\nLeast gain that is found with power 80 %, by items and samples of each:")
    print(design[["mde", "mde_lower", "mde_upper"]].round(3).to_string())
    if chosen.out is not None:
        print(f"Report: {fit.report(chosen.out)}")
    return study


if __name__ == "__main__":
    main()
