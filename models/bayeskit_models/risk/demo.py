"""The demonstration ``bayeskit demo risk``: people whom nobody tested, in a synthetic study whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayeskit.errors import StorageError
from bayeskit_models.risk.constraints import Prevalence
from bayeskit_models.risk.model import SelectiveRisk
from bayeskit_models.risk.simulate import Screening, synthetic_screening

if TYPE_CHECKING:
    from rich.console import Console

    from bayeskit_models.risk.risk_fit import RiskFit

__all__ = ["demo_model", "demo_study", "run_demo"]

SEED = 1
PROB = 0.95
ROWS = 3000
FILES = ("report.html", "report.md", "run.nc", "risk.csv")


def demo_study() -> Screening:
    """The synthetic study of the demonstration."""
    return synthetic_screening(5, n=ROWS)


def demo_model(study: Screening) -> SelectiveRisk:
    """Return the specification: a registry knows the prevalence, and testing departs from risk along one covariate."""
    registry = Prevalence(float(study.truth["outcome"].mean()), n=ROWS)
    return SelectiveRisk(risk="x1 + x2 + x3 + x4", prevalence=registry, expertise=["x1"])


def run_demo(out: Path, console: Console, progress: bool = True) -> int:
    """Run the demonstration.

    Parameters
    ----------
    out : Path
        Existing folder; ``report.html``, ``report.md``, ``run.nc`` and ``risk.csv`` are written there and replaced.
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
    study = demo_study()
    console.print(
        f"A synthetic screening study: {ROWS} people, of whom doctors tested {int(study.table['t'].sum())}. The first run on a "
        "machine compiles for some seconds.", markup=False, highlight=False,
    )  # fmt: skip
    fit = demo_model(study).fit(study.table, draws=1000, tune=1000, chains=4, seed=SEED, progress=progress)
    console.print()
    console.print(str(fit.verdict), style="bold", markup=False, highlight=False)
    for line in told(fit, study):
        console.print(line, markup=False, highlight=False)
    _write(fit, out)
    console.print(f"Written to {out}: {', '.join(FILES)}.", markup=False, highlight=False, soft_wrap=True)
    return 2 if fit.partial or fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else 0


def told(fit: RiskFit, study: Screening) -> tuple[str, ...]:
    """What the fit says of the untested, beside what nobody saw."""
    row = fit.prevalence().summary(PROB).loc["untested"]
    untested = study.table["t"] == 0
    truth = float(study.truth.loc[untested, "outcome"].mean())
    later = study.table[untested].assign(y=study.truth["outcome"])
    auc = fit.validate(later).summary(PROB).loc[("all", "auc")]
    gain = fit.misallocation().summary(PROB).loc["gain"]
    span = f"{PROB:.0%} equal-tailed interval"
    return (
        f"Of the untested {row['median']:.1%} have the disease, {span} {row['lower']:.1%} to {row['upper']:.1%}; in truth, "
        f"which the fit never saw, {truth:.1%}.",
        f"Their risks rank them with an AUC of {auc['median']:.2f}, {span} {auc['lower']:.2f} to {auc['upper']:.2f}.",
        f"As many tests given by risk would find {gain['median']:.0f} more, {span} {gain['lower']:.0f} to {gain['upper']:.0f}.",
        fit.usual_conflict.sentence(),
    )


def _write(fit: RiskFit, out: Path) -> None:
    try:
        for name in FILES[:2]:
            fit.report(out / name, prob=PROB)
        fit.save(out / FILES[2])
        fit.risk(given="untested").summary(PROB).to_csv(out / FILES[3], lineterminator="\n")
    except OSError as error:
        raise StorageError(f"Cannot write to {str(out)!r}: {error.strerror or error}.") from error
