"""What is known of people whom nobody tested? One synthetic screening study, seven readings, and the truth beside them.

4000 people, of whom doctors test those they think at risk, and by a rule that tests more from the age of 50 on. The disease is
known for the tested alone. The study is read by regression on the tested, by counting the untested as healthy, by weighting
the tested, and by `SelectiveRisk` without outside knowledge, with the prevalence of a registry, with the rule of testing, with
both, and with a registry that is a quarter off.

    python examples/who_was_not_tested.py --out report.html
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bayeskit_models.risk import Prevalence, RiskFit, SelectiveRisk

RISK = "age + bmi + smoker"
RULE = "I(age >= 50)"


@dataclass(frozen=True)
class Study:
    """The table that an analyst gets, and what nobody sees."""

    table: pd.DataFrame
    ill: np.ndarray
    family_history: np.ndarray


def simulate(seed: int, n: int = 4000) -> Study:
    """Risk rises with age, weight, smoking and a family history that stands in no table; testing follows risk and the rule."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"age": rng.integers(35, 70, n), "bmi": rng.normal(27.0, 4.0, n).round(1)})
    table["smoker"] = rng.choice(["no", "yes"], n, p=[0.75, 0.25])
    family = rng.uniform(0.0, 2.5, n)
    score = -3.1 + 0.05 * (table["age"] - 50) + 0.06 * (table["bmi"] - 27) + 0.7 * (table["smoker"] == "yes") + family
    ill = rng.logistic(size=n) < score
    tested = rng.logistic(size=n) < score + 1.2 + 1.5 * (table["age"] >= 50)
    table["t"] = tested.astype(int)
    table["y"] = np.where(tested, ill.astype(float), np.nan)
    return Study(table, ill.to_numpy().astype(int), family)


def readings(study: Study, **sampling: object) -> dict[str, RiskFit]:
    """The fits of `SelectiveRisk`: what is known from outside is right in all of them but the last."""
    share = float(study.ill.mean())
    registry, wrong = (Prevalence(p, n=4000) for p in (share, 1.25 * share))
    full = f"{RISK} + {RULE}"
    model = {
        "no outside knowledge": SelectiveRisk(risk=RISK, testing=full),
        "prevalence": SelectiveRisk(risk=RISK, testing=full, prevalence=registry),
        "rule of testing": SelectiveRisk(risk=RISK, testing=RULE),
        "both": SelectiveRisk(risk=RISK, testing=RULE, prevalence=registry),
        "both, registry 25 % off": SelectiveRisk(risk=RISK, testing=RULE, prevalence=wrong),
    }
    return {name: spec.fit(study.table, **sampling) for name, spec in model.items()}


def compared(study: Study, fits: dict[str, RiskFit]) -> pd.DataFrame:
    """Prevalence among the untested by every reading, with 95 % intervals, and how well it ranks them."""
    untested = study.table["t"].to_numpy() == 0
    later = study.table[untested].assign(y=study.ill[untested])
    truth = float(study.ill[untested].mean())
    rows = []
    comparators = next(iter(fits.values())).baselines()
    for method in comparators["method"].unique():
        found = comparators[(comparators["method"] == method) & (comparators["term"] == "mean outcome, untested")]
        if len(found):
            row = found.iloc[0]
            rows.append((method, row["estimate"], row["lower"], row["upper"], np.nan, ""))
    for name, fit in fits.items():
        row = fit.summary().loc["prevalence[untested]"]
        auc = float(fit.validate(later).summary().loc[("all", "auc"), "median"])
        told = ", ".join(c.name for c in fit.verdict.concerns) or "nothing"
        rows.append((name, row["median"], row["lower"], row["upper"], auc, f"{fit.verdict.status.value}: {told}"))
    out = pd.DataFrame(rows, columns=["reading", "untested", "lower", "upper", "AUC", "the fit warns of"])
    out["holds the truth"] = (out["lower"] <= truth) & (truth <= out["upper"])
    out.attrs["truth"] = truth
    return out.set_index("reading")


def main(arguments: list[str] | None = None, **sampling: object) -> pd.DataFrame:
    """Run the study; returns the comparison that it prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, help="report (.html or .md) of the reading with both constraints")
    chosen = parser.parse_args(arguments)
    study = simulate(chosen.seed)
    fits = readings(study, **{"seed": 1, "progress": False, **sampling})
    table = compared(study, fits)
    print(f"Of the untested {table.attrs['truth']:.3f} have the disease, which no reading sees. Intervals: 95 %.")
    print(table.round(3).to_string())
    family = np.corrcoef(fits["both"].unobserved().summary()["mean"], study.family_history)[0, 1]
    print(f"The inferred unobservable has correlation {family:.2f} with the family history that only the doctors saw.")
    print(fits["both"].policy("age", [40, 49, 50, 60]))
    if chosen.out is not None:
        print(f"Report: {fits['both'].report(chosen.out)}")
    return table


if __name__ == "__main__":
    main()
