"""Derive ``judges.csv`` from the item-level table of verdicts.

Run as ``python -m bayeskit_models.datasets.derive_judges ITEM_LEVEL.csv judges.csv``. The item-level table
has one row per candidate and question: ``candidate``, ``item``, ``gold`` and one 0/1 column per judge
(empty: no verdict). Identical answers (same candidate, gold label and verdicts) are counted; which question
they belong to is dropped, and so are the two lexical judges, which are rules and not language models.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = ["derive", "main"]

LEXICAL = ("EM", "Contains")


def derive(source: str | Path, target: str | Path) -> int:
    """Write the table of counts; return the number of answers counted.

    Parameters
    ----------
    source : path
        Item-level CSV.
    target : path
        Table to write: UTF-8, LF line ends, rows sorted by candidate, gold, then verdicts (missing last).

    Returns
    -------
    int
        Number of answers, the sum of the counts.

    Raises
    ------
    ValueError
        If the first three columns are not candidate, item and gold, a value is not 0, 1 or empty, or a
        candidate has the same item twice.
    """
    with Path(source).open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    header = list(rows[0]) if rows else []
    if header[:3] != ["candidate", "item", "gold"]:
        raise ValueError(f"columns start with {header[:3]}: expected candidate, item, gold, then the judges.")
    judges = [name for name in header[3:] if name not in LEXICAL]
    seen = Counter((row["candidate"], row["item"]) for row in rows)
    twice = next((key for key, times in seen.items() if times > 1), None)
    if twice is not None:
        raise ValueError(f"candidate {twice[0]!r} has item {twice[1]!r} more than once: keep one row per answer.")
    counts: Counter[tuple[str, ...]] = Counter()
    for position, row in enumerate(rows):
        values = tuple(row[name] for name in ("gold", *judges))
        if row["gold"] not in ("0", "1") or any(value not in ("0", "1", "") for value in values):
            raise ValueError(f"row {position}: {values} holds something other than 0, 1 or (for a judge) nothing.")
        counts[(row["candidate"], *values)] += 1
    with Path(target).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["candidate", "gold", *judges, "count"])
        for key in sorted(counts, key=lambda k: (k[0], *(value or "~" for value in k[1:]))):
            writer.writerow([*key, counts[key]])
    return sum(counts.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: derive the table and print its SHA-256, which goes into the provenance sidecar."""
    parser = argparse.ArgumentParser(description="Count identical answers of an item-level table of verdicts.")
    parser.add_argument("source", type=Path, help="item-level CSV: candidate, item, gold, one column per judge")
    parser.add_argument("target", type=Path, help="table of counts to write")
    options = parser.parse_args(arguments)
    answers = derive(options.source, options.target)
    digest = hashlib.sha256(options.target.read_bytes()).hexdigest()
    print(f"{answers} answers; sha256 {digest}")


if __name__ == "__main__":
    main()
