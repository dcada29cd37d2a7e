"""The demonstration ``bayeskit demo survival``: hormonal therapy, crossing curves and cure in a breast cancer trial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayeskit.errors import StorageError
from bayeskit_models import datasets
from bayeskit_models.survival.model import FlexibleSurvival

if TYPE_CHECKING:
    from rich.console import Console

    from bayeskit_models.survival.survival_fit import SurvivalFit

__all__ = ["demo_model", "run_demo"]

SEED = 1
PROB = 0.95
FIVE_YEARS = 1825.0  # days
FILES = ("report.html", "report.md", "run.nc", "survival.csv")


def demo_model() -> FlexibleSurvival:
    """Return the specification of the demonstration: therapy acts on time and on the power of time."""
    return FlexibleSurvival.mpr_aft("horTh", duration="time", event="cens")


def run_demo(out: Path, console: Console, progress: bool = True) -> int:
    """Run the demonstration.

    Parameters
    ----------
    out : Path
        Existing folder; ``report.html``, ``report.md``, ``run.nc`` and ``survival.csv`` are written there and replaced.
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
    about = datasets.describe("gbsg2")
    console.print(f"{about['title']}.", markup=False, highlight=False)
    console.print(
        "Time to recurrence with and without hormonal therapy. The first run on a machine compiles for some seconds.",
        markup=False, highlight=False,
    )  # fmt: skip
    fit = demo_model().fit(datasets.load("gbsg2"), draws=1000, tune=1000, chains=4, seed=SEED, progress=progress)
    console.print()
    console.print(str(fit.verdict), style="bold", markup=False, highlight=False)
    for line in told(fit):
        console.print(line, markup=False, highlight=False)
    _write(fit, out)
    console.print(f"Written to {out}: {', '.join(FILES)}.", markup=False, highlight=False, soft_wrap=True)
    return 2 if fit.partial or fit.verdict.status.value in ("FAIL", "NOT COMPUTED") else 0


def told(fit: SurvivalFit) -> tuple[str, ...]:
    """What the fit says of the three questions, each with its interval and what it rests on."""
    therapy, none = {"horTh": ["yes"]}, {"horTh": ["no"]}
    gain = fit.rmst_difference(FIVE_YEARS, therapy, none).summary(PROB).iloc[0]
    ratio = fit.hazard_ratio(therapy, none, [365.0, FIVE_YEARS]).summary(PROB)["median"].to_numpy()
    cure = fit.cure(none)
    share = cure.summary(PROB).iloc[0]
    span = f"{PROB:.0%} equal-tailed interval"
    return (
        f"Over five years therapy gains {gain['median']:.0f} days without recurrence, {span} {gain['lower']:.0f} to "
        f"{gain['upper']:.0f}.",
        f"Its hazard ratio is {ratio[0]:.2f} after one year and {ratio[1]:.2f} after five (posterior medians).",
        f"A cured share of {share['median']:.0%}, {span} {share['lower']:.0%} to {share['upper']:.0%}: extrapolation, and it "
        f"rests on tying lambda to 1. {cure.note}",
    )


def _write(fit: SurvivalFit, out: Path) -> None:
    times = [365.0, 730.0, 1095.0, 1460.0, FIVE_YEARS]
    try:
        for name in FILES[:2]:
            fit.report(out / name, prob=PROB)
        fit.save(out / FILES[2])
        fit.survival({"horTh": ["no", "yes"]}, times).summary(PROB).to_csv(out / FILES[3], lineterminator="\n")
    except OSError as error:
        raise StorageError(f"Cannot write to {str(out)!r}: {error.strerror or error}.") from error
