"""The demonstration ``bayeskit demo benchmarks``: six LLMs on six variations of one problem, and what their order is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayeskit.errors import StorageError
from bayeskit_models import datasets
from bayeskit_models.benchmarks.figures import FACET_WORDS
from bayeskit_models.benchmarks.model import BenchmarkVariance

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit

__all__ = ["demo_model", "naive_probability", "run_demo", "told"]

SEED = 1
PROB = 0.95
FILES = ("report.html", "report.md", "run.nc", "leaderboard.csv")
PAIR = ("gpt-4o-2024-05-13", "claude-3-opus-20240229")
VARIATIONS = (6, 12, 30)


def demo_model() -> BenchmarkVariance:
    """Return the specification: counts by model and variation, where a variation is a template of the problem."""
    return BenchmarkVariance(item=None, template="variation", score="successes", trials="trials")


def run_demo(out: Path, console: Console, progress: bool = True) -> int:
    """Run the demonstration.

    Parameters
    ----------
    out : Path
        Existing folder; ``report.html``, ``report.md``, ``run.nc`` and ``leaderboard.csv`` are written there and replaced.
    console : rich.console.Console
        Where to print.
    progress : bool
        Show a progress bar.

    Returns
    -------
    int
        0 if the checks passed (warnings included), 2 otherwise.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    table = datasets.load("aiw")
    console.print(
        f"{datasets.describe('aiw')['title']}: {table['trials'].sum():,d} answers. The variations tell the same problem with "
        "other names and numbers. The first run on a machine compiles for some seconds.", markup=False, highlight=False,
    )  # fmt: skip
    fit = demo_model().fit(table, draws=1000, tune=1000, chains=4, seed=SEED, progress=progress)
    console.print()
    console.print(str(fit.verdict), style="bold", markup=False, highlight=False)
    console.print(str(fit.leaderboard(prob=PROB)), markup=False, highlight=False, soft_wrap=True)
    console.print()
    for line in told(fit, table):
        console.print(line, markup=False, highlight=False)
    _write(fit, out)
    console.print(f"Written to {out}: {', '.join(FILES)}.", markup=False, highlight=False, soft_wrap=True)
    return 2 if fit.partial or fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else 0


def naive_probability(table: pd.DataFrame, a: str, b: str) -> float:
    """Probability that a is better where all answers of a model count as independent: the normal approximation."""
    from scipy.stats import norm

    sums = table.groupby("model")[["successes", "trials"]].sum()
    rate = sums["successes"] / sums["trials"]
    error = np.sqrt((rate * (1.0 - rate) / sums["trials"])[[a, b]].sum())
    return float(norm.cdf((rate[a] - rate[b]) / error))


def told(fit: BenchmarkFit, table: pd.DataFrame) -> tuple[str, ...]:
    """A comparison, the sources of variance and what more variations would show, in words."""
    a, b = PAIR
    found = fit.compare(a, b, prob=PROB)
    shares = fit.components().shares().table(PROB)
    parts = ", ".join(
        f"{FACET_WORDS[str(name)]} {row['median']:.0%} ({row['lower']:.0%} to {row['upper']:.0%})"
        for name, row in shares.iterrows()
    )
    design = fit.design(templates=VARIATIONS).table(PROB).reset_index()
    sizes = ", ".join(f"{row['templates']:.0f} variations {row['mde']:.2f}" for _, row in design.iterrows())
    answers = 10 * int(table["trials"].iloc[0])
    more = fit.design(items=[answers], templates=VARIATIONS[:1]).table(PROB)["mde"].item()
    return (
        repr(found),
        f"Counting all answers as independent, that probability would be {naive_probability(table, a, b):.3f}.",
        f"Shares of the variance of one answer ({PROB:.0%} equal-tailed intervals): {parts}.",
        f"Least difference of two models that is found with power 80 % at level 5 %: {sizes}; {VARIATIONS[0]} variations "
        f"with ten times the answers {more:.2f} (medians).",
    )


def _write(fit: BenchmarkFit, out: Path) -> None:
    try:
        for name in FILES[:2]:
            fit.report(out / name, prob=PROB)
        fit.save(out / FILES[2])
        fit.leaderboard(prob=PROB).table.to_csv(out / FILES[3], lineterminator="\n")
    except OSError as error:
        raise StorageError(f"Cannot write to {str(out)!r}: {error.strerror or error}.") from error
