"""Rank candidates from item-level verdicts with the paired likelihood, and write a report.

Candidates answered the same items and several judges scored the same answers; the paired likelihood uses both facts.

    python examples/rank_from_items.py TABLE.csv --judges GPT-4 Llama3-70B Mistral-7B --out report.html

TABLE.csv has one row an answer: candidate, item and one column of verdicts (0, 1 or empty) for every judge. A column ``gold``
with the true verdicts is used only to look at the result afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from bayeskit_models.judges import JudgeSimplex


def main(arguments: list[str] | None = None) -> int:
    """Fit, print the ranking and write the report; 0 if the fit passed its checks, 2 if it did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--judges", nargs="+", required=True, help="columns of verdicts")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("report.html"))
    options = parser.parse_args(arguments)

    table = pd.read_csv(options.table)
    spec = JudgeSimplex(levels=2, judge=tuple(options.judges), item="item")
    fit = spec.fit(table, seed=options.seed, draws=options.draws, tune=options.draws)
    print(fit.verdict)
    ranking = fit.ranking()
    print(ranking)
    if "gold" in table:
        rank = table.groupby("candidate")["gold"].mean().rank(ascending=False, method="min")
        inside = ranking.table["rank_lower"].le(rank) & ranking.table["rank_upper"].ge(rank)
        print(f"The rank by gold labels lies in the interval for {int(inside.sum())} of {len(rank)} candidates.")
    print(f"Report: {fit.report(options.out)}")
    return 0 if fit.verdict.status.value in ("PASS", "WARN") else 2


if __name__ == "__main__":
    raise SystemExit(main())
