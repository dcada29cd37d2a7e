"""What is asked of a report, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    from bayeskit.report.answers import Answered

__all__ = ["BLANKS", "STUDY_BLANKS", "OnFail", "Request"]

OnFail = Literal["mark", "raise", "allow"]

BLANKS: dict[str, str] = {
    "goal": "What question is answered, for whom, and what will be done with the answer",
    "bayesian": "Why a Bayesian analysis",
    "source": "Where the data come from: who collected them, when, how they were chosen, what was done to them before",
    "priors": "Why these priors, in the words of the subject",
    "meaning": "Whether the posterior makes sense to somebody who knows the subject",
    "decision": "Which decision hangs on the answer (or: none)",
    "loss": "If a decision hangs on it: what each error costs",
    "region": "If a decision hangs on it: which differences are too small to matter, and why",
    "threshold": "If a decision hangs on it: how sure one has to be, and why",
    "alternatives": "What other priors (broader, informed, default ones) would say, unless a section above shows it",
    "files": "Where data, scripts and saved run are kept, and for how long",
}
"""What only the author of a report can say, by key: `author={"goal": "..."}` fills it in."""

STUDY_BLANKS: dict[str, str] = {
    "title": "Title and abstract",
    "context": "What is known, what models there are, for whose use this is, inequalities between people",
    "population": "Design and setting of the study, dates, who was eligible, treatments, follow-up",
    "outcome": "How the outcome is defined, who assessed it, what they knew",
    "predictors": "How predictors or markers were chosen, defined, measured and cut",
    "specimens": "Specimens and assay",
    "size": "How the size of the study was settled",
    "bias": "Sources of bias and what was done about them",
    "flow": "How people came into the study and left it, and what they are like",
    "standard": "The marker beside standard variables, and each variable alone",
    "performance": "Performance on data that the fit has not seen, with intervals",
    "heterogeneity": "Differences between centres or clusters",
    "fairness": "Whether people are served alike, and what was done about it",
    "updating": "Whether and how the model was updated",
    "generality": "To whom the answer carries over, and what follows from it",
    "usability": "Poor or missing inputs, what users must know, next steps",
    "ethics": "Ethics approval and consent",
    "openness": "Funding, interests, protocol, registration, sharing of data",
    "involvement": "Involvement of patients and the public",
}
"""The same for studies of people: asked for where a model names a checklist that needs it."""


@dataclass(frozen=True)
class Request:
    """What is asked of a report; see `build_report`."""

    prob: float = 0.95
    kind: Literal["eti", "hdi"] = "eti"
    sensitivity: Mapping[str, Answered] | Sequence[Answered] | None = None
    author: Mapping[str, str] = field(default_factory=dict)
    suppress_below: int = 0
    on_fail: OnFail = "mark"
    replicate: int = 100

    def __post_init__(self) -> None:
        if not 0.0 < self.prob < 1.0:
            raise SpecificationError(f"prob is {self.prob!r}; it must lie strictly between 0 and 1 (0.95, not 95).")
        if self.kind not in ("eti", "hdi"):
            raise SpecificationError(f"kind is {self.kind!r}; it must be 'eti' (equal-tailed) or 'hdi' (highest density).")
        ways = get_args(OnFail)
        if self.on_fail not in ways:
            raise SpecificationError(
                f"on_fail is {self.on_fail!r}; it must be one of {', '.join(ways)}.{suggest(str(self.on_fail), ways)}"
            )
        if _whole(self.suppress_below) is None or self.suppress_below < 0:
            raise SpecificationError(f"suppress_below is {self.suppress_below!r}; it must be a whole number of at least 0.")
        if _whole(self.replicate) is None or self.replicate == 1 or self.replicate < 0:
            raise SpecificationError(f"replicate is {self.replicate!r}; it must be 0, or a number of tables of at least 2.")
        for key in self.author:
            if key not in (known := {**BLANKS, **STUDY_BLANKS}):
                raise SpecificationError(
                    f"author has the key {key!r}, which no blank has.{suggest(str(key), known)} Blanks: {', '.join(known)}."
                )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
