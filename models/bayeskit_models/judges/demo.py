"""The demonstration ``bayeskit demo``: rank nine LLMs by nine LLM judges, then look at the human labels.

The labels are a check and nothing else: the fit reads the verdicts alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.errors import StorageError
from bayeskit_models import datasets
from bayeskit_models.judges.baselines import averaging_from_patterns
from bayeskit_models.judges.model import JudgeSimplex

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bayeskit.report.content import Report, Section
    from bayeskit_models.judges.judge_fit import JudgeFit

__all__ = ["Comparison", "compare", "demo_model", "run_demo"]

SEED = 1
PROB = 0.95
DRAWS, TUNE = 750, 500
FILES = ("report.html", "report.md", "run.nc", "ranking.csv")


def demo_model() -> JudgeSimplex:
    """Return the specification of the demonstration: joint likelihood, no gold labels."""
    about = datasets.describe("judges")
    judges = tuple(about["roles"]["judges"])
    return JudgeSimplex(levels=2, judge=judges, count="count", own=about["own"])


@dataclass(frozen=True)
class Comparison:
    """A ranking beside the human labels that it never saw.

    Attributes
    ----------
    table : DataFrame
        Index candidate, in the order of the ranking; columns human_share (of answers that people call
        correct), human_rank_best and human_rank_worst (equal unless candidates tie).
    covered, width : float
        Share of candidates whose human rank lies in the rank interval, and the mean width of the intervals
        in ranks.
    covered_by_average, width_of_average : float
        The same for averaged verdicts with bootstrap intervals.
    """

    table: pd.DataFrame
    covered: float
    width: float
    covered_by_average: float
    width_of_average: float

    def sentences(self) -> tuple[str, str]:
        """Return what the comparison says in two sentences."""
        size = len(self.table)
        own = (
            f"The rank by human labels lies in the {PROB:.0%} rank interval for "
            f"{round(self.covered * size)} of {size} candidates; the intervals are {self.width:.1f} ranks "
            "wide on average."
        )
        other = (
            "Averaging the verdicts and resampling the answers covers "
            f"{round(self.covered_by_average * size)} of {size}, with intervals "
            f"{self.width_of_average:.1f} ranks wide."
        )
        return own, other


def compare(fit: JudgeFit, table: pd.DataFrame) -> Comparison:
    """Compare a ranking with the human labels of the same answers.

    Parameters
    ----------
    fit : JudgeFit
        Fitted without the labels.
    table : DataFrame
        The data set "judges".
    """
    import pandas as pd

    from bayeskit.estimands import rank_coverage, rank_interval

    ranking = fit.ranking(PROB).table
    share = _shares(table).loc[ranking.index]
    values = share.to_numpy()
    best = 1 + (values[None, :] > values[:, None]).sum(1)
    worst = (values[None, :] >= values[:, None]).sum(1)
    lower, upper = ranking["rank_lower"].to_numpy(), ranking["rank_upper"].to_numpy()
    average = _average(table, list(ranking.index), list(demo_model().judge))
    bounds = rank_interval(average, PROB)
    return Comparison(
        pd.DataFrame({"human_share": values, "human_rank_best": best, "human_rank_worst": worst}, index=ranking.index),
        rank_coverage(lower, upper, best, worst),
        float(np.mean(upper - lower)),
        rank_coverage(bounds[:, 0], bounds[:, 1], best, worst),
        float(np.mean(bounds[:, 1] - bounds[:, 0])),
    )


def _shares(table: pd.DataFrame) -> pd.Series[float]:
    """Share of each candidate's answers that people call correct."""
    correct = (table["gold"] * table["count"]).groupby(table["candidate"]).sum()
    return correct / table["count"].groupby(table["candidate"]).sum()


def _average(table: pd.DataFrame, candidates: list[str], judges: list[str]) -> Any:
    """Bootstrap ranks of the averaged verdicts, shape (S, K), candidates in the given order."""
    code = table["candidate"].map({name: k for k, name in enumerate(candidates)}).to_numpy()
    counts = table["count"].to_numpy()
    return averaging_from_patterns(code, table[judges].to_numpy() + 1.0, counts, seed=SEED).rank_draws


def run_demo(out: Path, console: Console, progress: bool = True) -> int:
    """Run the demonstration.

    Parameters
    ----------
    out : Path
        Existing folder; ``report.html``, ``report.md``, ``run.nc`` and ``ranking.csv`` are written there and
        replaced.
    console : rich.console.Console
        Where to print.
    progress : bool
        Show a progress bar.

    Returns
    -------
    int
        0 if the checks passed (warnings included), 2 otherwise.
    """
    about, table, model = datasets.describe("judges"), datasets.load("judges"), demo_model()
    console.print(f"{about['title']}.", markup=False, highlight=False)
    console.print(
        f"{about['answers']:,d} answers. The fit sees the verdicts of the judges and no human label.\n"
        "The first run on a machine compiles for about a minute; later ones take half a minute in all.",
        markup=False, highlight=False,
    )  # fmt: skip
    fit = model.fit(
        table.drop(columns="gold"), draws=DRAWS, tune=TUNE, chains=4, seed=SEED, progress=progress, target_accept=0.8
    )
    comparison = compare(fit, table)
    _show(fit, comparison, console)
    _write(fit, comparison, out)
    console.print(f"Written to {out}: {', '.join(FILES)}.", markup=False, highlight=False, soft_wrap=True)
    failed = fit.partial or fit.verdict.status.value in ("FAIL", "NOT COMPUTED")
    return 2 if failed else 0


def _show(fit: JudgeFit, comparison: Comparison, console: Console) -> None:
    """Print the verdict first, then the ranking and the comparison."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    ranking = fit.ranking(PROB)
    console.print()
    console.print(str(fit.verdict), style="bold", markup=False, highlight=False)
    span = f"{PROB:.0%}"
    title = f"Ranking by the judges, {span} equal-tailed intervals; the last column is the check"
    grid = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1))
    grid.add_column("Candidate", no_wrap=True)
    for column in ("Share\ncorrect", "Interval", "Rank", "Rank\ninterval", "P(best)", "Human\nrank"):
        grid.add_column(column, justify="right", no_wrap=True)
    for place, (name, row) in enumerate(ranking.table.iterrows(), 1):
        best, worst = comparison.table.loc[name, ["human_rank_best", "human_rank_worst"]].astype(int)
        grid.add_row(
            Text(str(name)),
            f"{row['expected_score']:.2f}",
            f"{row['lower']:.2f}-{row['upper']:.2f}",
            str(place),
            f"{row['rank_lower']:.0f}-{row['rank_upper']:.0f}",
            _chance(row["p_best"]),
            str(best) if best == worst else f"{best}-{worst}",
        )
    console.print(grid)
    own, other = comparison.sentences()
    text = f"{ranking.note}\nCheck, with labels that the fit never saw: {own} {other}"
    console.print(text, markup=False, highlight=False)


def _chance(value: float) -> str:
    """Print a probability that was counted over draws: no number of draws shows certainty."""
    return "< 0.01" if value < 0.01 else "> 0.99" if value > 0.99 else f"{value:.2f}"


def _write(fit: JudgeFit, comparison: Comparison, out: Path) -> None:
    from bayeskit.report import build_report, render

    report = _with_check(build_report(fit, PROB), comparison)
    try:
        for name in FILES[:2]:
            render(report, out / name)
        fit.save(out / FILES[2])
        fit.ranking(PROB).table.join(comparison.table).to_csv(out / FILES[3], lineterminator="\n")
    except OSError as error:
        raise StorageError(f"Cannot write to {str(out)!r}: {error.strerror or error}.") from error


def _with_check(report: Report, comparison: Comparison) -> Report:
    """Put the comparison in front of the section on the data."""
    place = next((i for i, s in enumerate(report.sections) if s.id == "data"), len(report.sections))
    section = _section(comparison)
    return replace(report, sections=(*report.sections[:place], section, *report.sections[place:]))


def _section(comparison: Comparison) -> Section:
    from bayeskit.report import Paragraph, Section, Table

    rows = tuple(
        (str(name), float(row["human_share"]), int(row["human_rank_best"]), int(row["human_rank_worst"]))
        for name, row in comparison.table.iterrows()
    )
    lead = (
        "People labelled every answer. The fit did not see their labels; they are a check. They label a "
        "finite set of answers, so the rank that they give has sampling error of its own."
    )
    caption = "Human labels, in the order of the ranking by judges."
    heads = ("Candidate", "Share called correct", "Best rank", "Worst rank")
    blocks = (Paragraph(lead), Paragraph(" ".join(comparison.sentences())), Table(heads, rows, caption))
    return Section("Check against human labels", "human-labels", blocks)
