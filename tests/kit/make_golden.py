"""Write the golden file of the current format. Run once a format: files of released formats load for ever.

python tests/kit/make_golden.py
"""

from __future__ import annotations

from pathlib import Path

import examples
import numpy as np
import pandas as pd

from bayeskit import storage

LABELS = ("", "=cmd", "NaN", "<script>", "a/b", "žluť 猫")


def golden_table():
    return pd.DataFrame({"group": np.repeat(LABELS, 2), "y": np.arange(12) / 4.0})


def main():
    path = Path(__file__).parent / "data" / f"golden_v{storage.FORMAT_VERSION}.nc"
    if path.exists():
        raise SystemExit(f"{path.name} exists; a golden file is never written again.")
    fit = examples.NormalNormal().fit(golden_table(), seed=1, draws=10, tune=200, chains=4, progress=False)
    fit.save(path)
    print(path.name, path.stat().st_size, fit.posterior["mu"].values.sum())


if __name__ == "__main__":
    main()
