"""What is asked of a saved run beyond a look at its own draws: options of two commands, and the results by heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli import completion
from bayeskit.errors import SpecificationError
from bayeskit.progress import SamplingProgress

if TYPE_CHECKING:
    from bayeskit.fit import Fit
    from bayeskit.report.answers import Answered

__all__ = [
    "Bounds", "Cache", "Dial", "Draws", "Grid", "High", "Low", "Questions", "Sweeps", "Tipping", "Units", "lost",
    "sweep_values",
]  # fmt: skip

_MOST = 100  # values of one dial
_PANEL = "Questions beyond the draws of the run"


Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep", metavar="DIAL=A:B:N", help="Refit at N values from A to B, or at values A,B,C; may be given several times.",
        autocompletion=completion.sweeps, rich_help_panel=_PANEL,
    ),
]  # fmt: skip
Grid = Annotated[bool, typer.Option("--grid", help="Every combination of several sweeps.", rich_help_panel=_PANEL)]
Tipping = Annotated[
    str | None,
    typer.Option("--tipping", metavar="CLAIM", help="Where does this claim flip? 'P(A > B) > 0.95'", rich_help_panel=_PANEL),
]
Dial = Annotated[
    str | None,
    typer.Option(
        "--dial", metavar="DIAL", help="The dial to turn for --tipping.",
        autocompletion=completion.dials, rich_help_panel=_PANEL,
    ),
]  # fmt: skip
Low = Annotated[float | None, typer.Option(help="Lowest value of that dial.", rich_help_panel=_PANEL)]
High = Annotated[float | None, typer.Option(help="Highest value of that dial.", rich_help_panel=_PANEL)]
Units = Annotated[
    str | None,
    typer.Option(
        "--influence", metavar="UNIT", help="Leave out each row, judge, item ...: which data matter?", rich_help_panel=_PANEL
    ),
]
Bounds = Annotated[
    list[str] | None,
    typer.Option("--bounds", metavar="QUANTITY", help="What the data alone allow for a quantity.", rich_help_panel=_PANEL),
]
Draws = Annotated[
    int | None, typer.Option(help="Draws per chain of refits; as in the run if not given.", rich_help_panel=_PANEL)
]
Cache = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder that keeps refits, so that they can resume.", rich_help_panel=_PANEL),
]


@dataclass(frozen=True)
class Questions:
    """Questions whose answers take refits, or more than the top-level priors.

    Attributes
    ----------
    sweep : dict of str to list of float
        Values by dial.
    grid : bool
        Every combination of them.
    tipping, dial : str or None
        A claim, and the dial that is turned until it flips: both or neither.
    low, high : float or None
        Range of that dial.
    influence : str or None
        Kind of unit that is left out.
    bounds : tuple of str
        Quantities for which the data alone are asked.
    draws : int or None
        Draws per chain of refits; None as in the run.
    cache : path or None
        Folder that keeps refits.
    """

    sweep: dict[str, list[float]] = field(default_factory=dict)
    grid: bool = False
    tipping: str | None = None
    dial: str | None = None
    low: float | None = None
    high: float | None = None
    influence: str | None = None
    bounds: tuple[str, ...] = ()
    draws: int | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if (self.tipping is None) != (self.dial is None):
            raise SpecificationError("--tipping and --dial go together: the claim, and the dial that is turned until it flips.")

    @property
    def asked(self) -> bool:
        """Whether there is any question."""
        return bool(self.sweep or self.tipping is not None or self.influence is not None or self.bounds)

    @property
    def refits(self) -> dict[str, Any]:
        """Settings of refits."""
        return {} if self.draws is None else {"draws": self.draws}

    def answers(self, fit: Fit, prob: float, progress: bool, quantities: Sequence[str] | None = None) -> dict[str, Answered]:
        """Ask them, one after the other."""
        out: dict[str, Answered] = {}
        if self.sweep:
            out["Sweep"] = fit.sweep(self.sweep, grid=self.grid, cache=self.cache, prob=prob, progress=progress, **self.refits)
        with SamplingProgress(progress) as bar:
            if self.tipping is not None and self.dial is not None:
                bar.stage("Looking for the place where the claim flips")
                out["Tipping point"] = fit.tipping_point(
                    self.tipping, self.dial, self.low, self.high, cache=self.cache, **self.refits
                )
            if self.influence is not None:
                bar.stage("Leaving out data")
                out["Influence"] = fit.influence(self.influence, quantities, prob=prob)
            for name in self.bounds:
                bar.stage("What the data alone allow")
                out[f"Bounds of {name}"] = fit.bounds(name, prob=prob)
        return out


def lost(results: Mapping[str, Answered]) -> bool:
    """Whether a refit of the sweep failed."""
    return bool(getattr(results.get("Sweep"), "failed", ()))


def sweep_values(given: Sequence[str] | None) -> dict[str, list[float]]:
    """Read ``dial=a:b:n`` (n values from a to b) and ``dial=a,b,c``."""
    out: dict[str, list[float]] = {}
    for text in given or ():
        name, equals, told = text.partition("=")
        try:
            if not equals or not name:
                raise ValueError
            if ":" in told:
                start, stop, number = told.split(":")
                count = int(number)
                if not 1 <= count <= _MOST:
                    raise ValueError
                step = (float(stop) - float(start)) / max(count - 1, 1)
                values = [float(start) + step * i for i in range(count)]
            else:
                values = [float(v) for v in told.split(",")]
        except ValueError:
            raise SpecificationError(
                f"--sweep {text}: write it as DIAL=FIRST:LAST:NUMBER (at most {_MOST}), or DIAL=VALUE,VALUE,..."
            ) from None
        if name in out:
            raise SpecificationError(f"--sweep {name}: given twice.")
        out[name] = values
    return out
