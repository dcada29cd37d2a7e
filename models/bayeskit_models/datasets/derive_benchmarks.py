"""Derive the tables of benchmark scores from the item-level counts.

Run as ``python -m bayeskit_models.datasets.derive_benchmarks AIW_COUNTS.csv CRUXEVAL_COUNTS.parquet FOLDER``. The first file
has one row per model, prompt variation and run (``problem``, ``model``, ``variation``, ``n``, ``k``), the second one per model
and item (``model``, ``item``, ``successes``, ``trials``). Which item it was is in none of the derived tables.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["aiw", "cruxeval", "cruxeval_items", "cruxeval_pair", "main"]

PROBLEM = "AIW_plus"
SAMPLES = 10
PAIR = ("codellama-34b", "codetulu-2-34b")


def aiw(counts: pd.DataFrame) -> pd.DataFrame:
    """Successes and trials of the problem AIW+ by model and prompt variation, summed over runs."""
    rows = counts[counts["problem"] == PROBLEM].astype({"variation": int})
    out = rows.groupby(["model", "variation"], as_index=False)[["k", "n"]].sum()
    return out.rename(columns={"k": "successes", "n": "trials"}).astype({"successes": int, "trials": int})


def cruxeval(counts: pd.DataFrame) -> pd.DataFrame:
    """Items by model and number of successes, of the models with ten samples of every item."""
    table = _ten_samples(counts)
    out = table.groupby(["model", "successes"], as_index=False).size()
    return out.rename(columns={"size": "items"})


def cruxeval_items(counts: pd.DataFrame) -> pd.DataFrame:
    """Items by number of successes of all those models together."""
    total = _ten_samples(counts).groupby("item")["successes"].sum()
    return total.value_counts().sort_index().rename_axis("successes").rename("items").reset_index()


def cruxeval_pair(counts: pd.DataFrame) -> pd.DataFrame:
    """Items by the numbers of successes of two models."""
    table = _ten_samples(counts)
    wide = table[table["model"].isin(PAIR)].pivot_table(index="item", columns="model", values="successes")[list(PAIR)]
    out = wide.astype(int).groupby(list(PAIR), as_index=False).size()
    return out.rename(columns={"size": "items"})


def _ten_samples(counts: pd.DataFrame) -> pd.DataFrame:
    twice = counts.duplicated(["model", "item"])
    if twice.any():
        raise ValueError(f"row {int(twice.idxmax())} repeats a model and item: keep one row per pair.")
    rows = counts[counts["trials"] == SAMPLES]
    if rows.empty or len(rows) != rows["model"].nunique() * rows["item"].nunique():
        raise ValueError(f"the models with {SAMPLES} samples an item ({len(rows)} rows) did not all answer the same items.")
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: derive the tables and print their SHA-256, which go into the provenance sidecars."""
    import pandas as pd

    parser = argparse.ArgumentParser(description="Count benchmark scores that item-level tables hold.")
    parser.add_argument("aiw", type=Path, help="counts of the problem AIW+: problem, model, variation, n, k")
    parser.add_argument("cruxeval", type=Path, help="counts of CRUXEval-input: model, item, successes, trials")
    parser.add_argument("folder", type=Path, help="where the tables are written")
    options = parser.parse_args(arguments)
    items = pd.read_parquet(options.cruxeval)
    tables = {"aiw": aiw(pd.read_csv(options.aiw))}
    tables |= {make.__name__: make(items) for make in (cruxeval, cruxeval_items, cruxeval_pair)}
    for name, table in tables.items():
        content = table.to_csv(index=False, lineterminator="\n").encode()
        (options.folder / f"{name}.csv").write_bytes(content)
        print(f"{name}: {len(table)} rows; sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
