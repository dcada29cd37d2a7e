"""What is known from outside the table: a prevalence, with how well it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayeskit.errors import SpecificationError

__all__ = ["Prevalence", "read_expertise", "read_prevalence", "read_signs"]


@dataclass(frozen=True, init=False)
class Prevalence:
    """A known prevalence (or mean outcome) of the people in the table, tested and untested together.

    Parameters
    ----------
    value : float, optional
        The prevalence.
    sd : float, optional
        Standard error of that knowledge. Required, unless `n` is given: a prevalence taken as exact makes intervals narrow and
        wrong.
    n : int, optional
        Size of the sample that the prevalence is from, in place of `sd`: its standard error is ``sqrt(value (1 - value) / n)``.
    low, high : float, optional
        An interval in place of `value`: within it all values are equally plausible, outside the plausibility falls off with
        `sd` (a tenth of the width unless given).

    Raises
    ------
    SpecificationError
        Where parts are missing, contradict each other or are out of range.

    Examples
    --------
    >>> Prevalence(0.1, n=900)
    Prevalence(value=0.1, sd=0.01)
    """

    low: float
    high: float
    sd: float

    def __init__(
        self,
        value: float | None = None,
        sd: float | None = None,
        *,
        n: int | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        if (value is None) == (low is None and high is None):
            raise SpecificationError("Prevalence: give either a value, or an interval low and high.")
        if value is not None:
            low = high = value
        if low is None or high is None or not (_finite(low) and _finite(high) and low <= high):
            raise SpecificationError(f"Prevalence: low={low!r} and high={high!r} must be numbers in order.")
        if sd is not None and n is not None:
            raise SpecificationError("Prevalence: give sd or n, not both.")
        if n is not None:
            if not (_finite(n) and n >= 1 and value is not None and 0.0 < value < 1.0):
                raise SpecificationError(f"Prevalence: n={n!r} is the size of the sample of a share strictly between 0 and 1.")
            sd = math.sqrt(value * (1.0 - value) / n)
        if sd is None and low < high:
            sd = 0.1 * (high - low)
        if sd is None:
            raise SpecificationError(
                f"Prevalence({low:g}) lacks how well it is known: give sd, or n, the size of the sample that it is from. Taken "
                "as exact, a prevalence that is off by little gives narrow intervals around wrong answers."
            )
        if not (_finite(sd) and sd > 0.0):
            raise SpecificationError(f"Prevalence: sd={sd!r} must be a number above 0.")
        for name, number in (("low", low), ("high", high), ("sd", sd)):
            object.__setattr__(self, name, float(number))

    @property
    def exact(self) -> bool:
        """Whether it is one value, not an interval."""
        return self.low == self.high

    def __repr__(self) -> str:
        if self.exact:
            return f"Prevalence(value={self.low:g}, sd={self.sd:g})"
        return f"Prevalence(low={self.low:g}, high={self.high:g}, sd={self.sd:g})"

    def to_dict(self) -> dict[str, float]:
        """JSON form; `read_prevalence` reads it back."""
        return {"low": self.low, "high": self.high, "sd": self.sd}


def _finite(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


Stated = tuple[tuple[str | None, Prevalence], ...]
"""What is stated of each group; the label None is everybody."""


def read_prevalence(given: Any, group: str | None) -> Any:
    """The setting `prevalence` in its plain form: None, one `Prevalence`, or pairs of labels and prevalences.

    Raises
    ------
    SpecificationError
        For anything else, and for groups without the setting `group`.
    """
    if given is None or isinstance(given, Prevalence):
        return given
    if isinstance(given, Mapping) and given and set(given) <= {"low", "high", "sd"}:
        return Prevalence(**given)
    if _finite(given):
        raise SpecificationError(
            f"prevalence={given!r} lacks how well it is known: write Prevalence({given!r}, sd=...) or Prevalence({given!r}, "
            "n=...), n being the size of the sample that it is from."
        )
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given) if isinstance(given, tuple | list) else None
    if pairs and all(isinstance(p, tuple | list) and len(p) == 2 and isinstance(p[0], str) for p in pairs):
        if group is None:
            raise SpecificationError("prevalence is stated by group, but group is not given: name the column of groups.")
        return tuple((str(label), read_prevalence(value, None)) for label, value in pairs)
    if pairs and len(pairs) == 2 and all(_finite(p) for p in pairs):
        return Prevalence(*pairs)
    raise SpecificationError(
        f"prevalence={given!r}: give Prevalence(value, sd), or for several groups a mapping from labels to such."
    )


def read_expertise(given: Any) -> tuple[str, ...] | None:
    """The setting `expertise` in its plain form: None, or names of features."""
    if given is None:
        return None
    if isinstance(given, str):
        return (given,)
    if isinstance(given, tuple | list) and all(isinstance(x, str) for x in given):
        return tuple(dict.fromkeys(given))
    raise SpecificationError(
        f"expertise={given!r}: names of the features along which testing may depart from risk, such as ['age']; [] for none."
    )


def read_signs(given: Any) -> tuple[tuple[str, int], ...]:
    """The setting `signs` in its plain form: pairs of a term of the risk and +1 or -1."""
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given or ())
    out = []
    for pair in pairs:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) and pair[1] in (1, -1)):
            raise SpecificationError(f"signs={given!r}: a mapping from terms of risk to +1 or -1, such as {{'age': 1}}.")
        out.append((pair[0], int(pair[1])))
    return tuple(out)
