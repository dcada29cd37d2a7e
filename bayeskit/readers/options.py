"""What a caller may choose when a file holds more than one table of scores, and the choice itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bayeskit.errors import DataError, SpecificationError, suggest

_SHOWN = 8


@dataclass(frozen=True)
class Options:
    """The arguments of `bayeskit.read`; see there."""

    metric: str | Mapping[str, str] | None = None
    filter: str | None = None
    split: str | None = None
    cluster: str | None = None
    model: str | None = None
    benchmark: str | None = None
    item: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    repeated: Literal["refuse", "sample"] = "refuse"
    unscored: Literal["refuse", "missing"] = "refuse"

    def __post_init__(self) -> None:
        for name in ("filter", "split", "cluster", "model", "benchmark", "item"):
            given = getattr(self, name)
            if given is not None and (not isinstance(given, str) or not given):
                raise SpecificationError(f"read: {name} is a text that is not empty; got {given!r}.")
        for name, allowed in (("repeated", ("refuse", "sample")), ("unscored", ("refuse", "missing"))):
            if getattr(self, name) not in allowed:
                raise SpecificationError(f"read: {name} is {allowed[0]!r} or {allowed[1]!r}; got {getattr(self, name)!r}.")
        for name in ("metric", "columns"):
            given = getattr(self, name)
            texts = isinstance(given, Mapping) and all(isinstance(part, str) for pair in given.items() for part in pair)
            if not (texts or (name == "metric" and (given is None or (isinstance(given, str) and given)))):
                raise SpecificationError(f"read: {name} is a text, or texts by name; got {given!r:.80}.")

    def metrics(self) -> str | Mapping[str, str] | None:
        """The metric without the filter that may stand behind a comma, as in ``"exact_match,strict-match"``."""
        if isinstance(self.metric, Mapping):
            return {name: metric.partition(",")[0] for name, metric in self.metric.items()}
        return self.metric.partition(",")[0] if self.metric is not None else None

    def filters(self, found: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return the filter that is asked for by benchmark, wherever it is written.

        A benchmark whose only filter is called none has no filters, so what is asked for the others does not matter there.
        """
        out = {}
        for benchmark, names in found.items():
            metric = self.metric.get(benchmark, "") if isinstance(self.metric, Mapping) else self.metric or ""
            asked = metric.partition(",")[2] or self.filter
            if asked and list(names) != ["none"]:
                out[benchmark] = asked
        return out


def choose(
    argument: str,
    wanted: str | Mapping[str, str] | None,
    found: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Choose one of what each benchmark has.

    Parameters
    ----------
    argument
        Name of the argument: ``"metric"``, ``"filter"`` or ``"split"``.
    wanted
        What the caller asked for: one for all, one by benchmark (no other benchmark is then read), or nothing, which will do
        where there is only one.
    found
        By benchmark, what there is.

    Raises
    ------
    DataError
        Listing what there is, if nothing was asked for and there are several, or if what was asked for is not there.
    """
    out: dict[str, str] = {}
    open_, absent = [], []
    for benchmark, names in found.items():
        if isinstance(wanted, Mapping) and argument == "metric" and benchmark not in wanted:
            continue
        asked = wanted.get(benchmark) if isinstance(wanted, Mapping) else wanted
        if asked is None and len(names) == 1:
            out[benchmark] = names[0]
        elif asked is None:
            open_.append(benchmark)
        elif asked in names:
            out[benchmark] = asked
        else:
            absent.append((benchmark, asked))
    unknown = [name for name in wanted if name not in found] if isinstance(wanted, Mapping) else []
    if unknown:
        hint = suggest(unknown[0], found)
        raise DataError(
            f"{argument} names the benchmark {unknown[0]!r}, which the logs do not hold.{hint}",
            rule="a choice by benchmark names benchmarks of the logs.",
            fix=f"they hold {_list(list(found))}.",
        )
    if absent:
        benchmark, asked = absent[0]
        names = found[benchmark]
        more = f" ({len(absent)} benchmarks in all)" if len(absent) > 1 else ""
        raise DataError(
            f"Benchmark {benchmark!r} has no {argument} {asked!r}{more}.{suggest(asked, names)}",
            rule=f"the {argument} that is asked for is in every log.",
            fix=f"it has {_list(names) or 'none'}{_only(argument, found, absent)}.",
        )
    if open_:
        raise _ask(argument, open_, found)
    return out


def _ask(argument: str, benchmarks: Sequence[str], found: Mapping[str, Sequence[str]]) -> DataError:
    empty = [benchmark for benchmark in benchmarks if not found[benchmark]]
    if empty:
        return DataError(
            f"The logs of benchmark {empty[0]!r} hold no {argument}.",
            rule=f"a log holds at least one {argument} per sample.",
            fix="check that the run was scored, or leave these logs out.",
        )
    kinds = {tuple(found[benchmark]) for benchmark in benchmarks}
    shown = "; ".join(f"{benchmark!r}: {_list(found[benchmark])}" for benchmark in benchmarks[:_SHOWN])
    more = f"; and {len(benchmarks) - _SHOWN} more" if len(benchmarks) > _SHOWN else ""
    first = found[benchmarks[0]][0]
    common = sorted(set.intersection(*(set(names) for names in kinds)))
    example = f"{argument}={(common or [first])[0]!r}"
    if not common and argument == "metric":
        example = f"metric={{{benchmarks[0]!r}: {first!r}, ...}}"
    command = f", on the command line '--read {argument}={(common or [first])[0]}'" if common else ""
    return DataError(
        f"The logs hold more than one {argument}: {shown}{more}.",
        rule="a table has one score per row.",
        fix=f"choose one: bk.read(..., {example}){command}.",
    )


def _only(argument: str, found: Mapping[str, Sequence[str]], absent: Sequence[tuple[str, str]]) -> str:
    """Say how to read only the benchmarks that have what is asked for."""
    without = {benchmark for benchmark, _ in absent}
    some = next((benchmark for benchmark in found if benchmark not in without), None)
    if argument != "metric" or some is None:
        return ""
    return f"; to read some benchmarks only, name them: metric={{{some!r}: {absent[0][1]!r}, ...}}"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
