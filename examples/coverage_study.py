"""How often do rank intervals hold the rank that people give?

Repeatedly take a few random judges and half of the items of a table of verdicts with human gold labels, rank the candidates
without the gold labels, and look whether the intervals contain the ranks by the gold labels of ALL items. The methods:

* averaging the verdicts, with a bootstrap over items;
* JudgeSimplex with strict constancy, with constancy relaxed by a fixed scale, and with constancy learned (the default);
* the default once more, asked about the bank of all items of which half are at hand (`fit.item_bank`): what the ranks by all
  gold labels are about. Without it the ranks are about the population that items come from, which is less well known.

Nothing is tuned to the gold labels: the priors were chosen on simulated panels.

    python examples/coverage_study.py TABLE.csv --judges 3 --replicates 40 --out study.csv

TABLE.csv has one row an answer: candidate, item, gold (0 or 1), and one column of verdicts (0, 1 or empty) for every judge
named with --columns. The TriviaQA table of "Judging the Judges" (arXiv 2406.12624) in this shape gives the figures quoted in
docs/judges.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from bayeskit.errors import BayeskitError
from bayeskit.estimands import rank_interval
from bayeskit_models.judges import JudgeSimplex
from bayeskit_models.judges.baselines import averaging_from_items

PROB = 0.95
METHODS = {"strict": "strict", "relaxed 0.5": 0.5, "learned": "learned"}
NOT_JUDGES = ("candidate", "item", "gold", "EM", "Contains")


def gold_ranks(table: pd.DataFrame, candidates: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Best and worst rank of every candidate by the mean of the gold labels (different only where means tie)."""
    mean = table.groupby("candidate")["gold"].mean().reindex(candidates)
    return tuple(mean.rank(ascending=False, method=m).to_numpy() for m in ("min", "max"))  # type: ignore[return-value]


def score(ranks: np.ndarray, estimate: np.ndarray, truth: tuple[np.ndarray, np.ndarray], gold: np.ndarray) -> dict[str, float]:
    """Coverage and mean width of both kinds of rank interval, and the rank correlation of the estimate."""
    out = {}
    for kind in ("eti", "hdi"):
        bounds = rank_interval(ranks, PROB, kind)  # type: ignore[arg-type]
        out[f"coverage_{kind}"] = float(np.mean((bounds[:, 0] <= truth[1]) & (bounds[:, 1] >= truth[0])))
        out[f"width_{kind}"] = float(np.mean(bounds[:, 1] - bounds[:, 0]))
    out["spearman"] = float(pd.Series(estimate).corr(pd.Series(gold), method="spearman"))
    return out


def averaging(wide: pd.DataFrame, names: list[str], candidates: list[str], seed: int):
    """Averaged verdicts with a bootstrap over items."""
    items = wide["item"].unique()
    cube = np.full((len(candidates), len(items), len(names)), np.nan)
    k = wide["candidate"].map({c: i for i, c in enumerate(candidates)}).to_numpy()
    i = wide["item"].map({c: j for j, c in enumerate(items)}).to_numpy()
    cube[k, i] = wide[names].to_numpy(dtype=float)
    found = averaging_from_items(cube, draws=2000, seed=seed)
    return found.rank_draws, found.scores


def replicate(table: pd.DataFrame, judges: list[str], count: int, seed: int, methods: dict) -> list[dict]:
    """One replicate: random judges, half of the items, every method on the same table."""
    rng = np.random.default_rng([count, seed])
    chosen = rng.choice(judges, count, replace=False)
    items = rng.choice(table["item"].unique(), table["item"].nunique() // 2, replace=False)
    names = [f"judge {j + 1}" for j in range(count)]  # the same names every time: one compiled model serves all replicates
    part = table[table["item"].isin(items)].rename(columns=dict(zip(chosen, names, strict=True)))
    wide = part[["candidate", "item", *names]].reset_index(drop=True)
    candidates = sorted(wide["candidate"].unique())
    truth = gold_ranks(table, candidates)
    gold = table.groupby("candidate")["gold"].mean().reindex(candidates).to_numpy()
    base = {"judges": count, "seed": seed, "panel": ", ".join(chosen)}
    rows = [base | {"method": "averaging"} | score(*averaging(wide, names, candidates, seed), truth, gold)]
    for name, constancy in methods.items():
        spec = JudgeSimplex(levels=2, judge=tuple(names), item="item", constancy=constancy)
        start = time.perf_counter()
        try:
            fit = spec.fit(wide, draws=500, tune=500, chains=2, seed=seed, progress=False, target_accept=0.9)
        except BayeskitError as error:
            rows.append(base | {"method": name, "error": str(error)})
            continue
        seconds = time.perf_counter() - start
        result = score(fit.rank_draws(), fit.posterior_mean_scores(), truth, gold)
        divergences = int(fit.draws["sample_stats"]["diverging"].sum())
        facts = {"divergences": divergences, "seconds": seconds}
        rows.append(base | {"method": name} | result | facts)
        if name == "learned":
            bank = fit.item_bank(table["item"].nunique(), seed=seed)
            result = score(bank.rank_draws(), bank.posterior_mean_scores(), truth, gold)
            rows.append(base | {"method": "learned, bank of items"} | result | facts)
    return rows


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over replicates, with the standard error of coverage over replicates."""
    columns = ["coverage_eti", "width_eti", "coverage_hdi", "width_hdi", "spearman", "divergences", "seconds"]
    grouped = frame.groupby(["judges", "method"], sort=False)
    out = grouped[[c for c in columns if c in frame]].mean()
    out.insert(1, "se", grouped["coverage_eti"].sem())
    out.insert(0, "replicates", grouped.size())
    return out.round(3)


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--judges", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--columns", nargs="+", help="columns of verdicts (default: all others)")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--replicates", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="seed of the first replicate")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    table = pd.read_csv(options.table)
    judges = options.columns or [c for c in table.columns if c not in NOT_JUDGES]
    methods = {m: METHODS[m] for m in options.methods}
    rows: list[dict] = []
    for count in options.judges:
        for seed in range(options.first, options.first + options.replicates):
            rows += replicate(table, judges, count, seed, methods)
            if options.out:
                pd.DataFrame(rows).to_csv(options.out, index=False)
        print(summary(pd.DataFrame(rows)).to_string(), flush=True)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
