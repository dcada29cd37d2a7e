"""The other models that could have been fitted: every specification that differs in one declared setting."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayeskit.errors import BayeskitError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["Alternatives", "alternatives"]


@dataclass(frozen=True)
class Alternatives(Mapping[str, "ModelBuilder"]):
    """Specifications by name; as a mapping it holds those that can be fitted.

    Attributes
    ----------
    base : ModelBuilder
        The specification that they are alternatives to.
    specs : dict of str to ModelBuilder
        By ``"setting=value"``: what differs from `base`.
    skipped : dict of str to str
        Alternatives that the model refuses with these settings, and why.
    assumptions : dict of str to str
        For every name, of either kind, the assumption that declares it.
    """

    base: ModelBuilder
    specs: dict[str, ModelBuilder]
    skipped: dict[str, str]
    assumptions: dict[str, str]

    def __getitem__(self, name: str) -> ModelBuilder:
        return self.specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)

    @property
    def table(self) -> pd.DataFrame:
        """One row an alternative: assumption, and why it is skipped (empty where it is not)."""
        import pandas as pd

        names = [*self.specs, *self.skipped]
        columns = {
            "assumption": [self.assumptions[n] for n in names],
            "skipped": [self.skipped.get(n, "") for n in names],
        }
        return pd.DataFrame(columns, index=pd.Index(names, name="alternative"))

    @property
    def headline(self) -> str:
        """How many there are, those that are refused first."""
        refused = f"{len(self.skipped)} refused, " if self.skipped else ""
        return f"{refused}{len(self.specs)} specifications that differ from this one in one setting"

    def __repr__(self) -> str:
        lines = [self.headline, *(f"  {name} ({self.assumptions[name]})" for name in self.specs)]
        return "\n".join([*lines, *(f"  {name} refused: {why}" for name, why in self.skipped.items())])

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.headline)}</p>{self.table.to_html()}"

    def to_json(self) -> str:
        """Strict JSON, schema ``bayeskit.alternatives/1``; every specification can be rebuilt from it."""
        specs = {name: json.loads(spec.to_json()) for name, spec in self.specs.items()}
        facts = {"base": json.loads(self.base.to_json()), "specs": specs, "skipped": self.skipped}
        payload = {"schema": "bayeskit.alternatives/1", **facts, "assumptions": self.assumptions}
        return json.dumps(payload, allow_nan=False, ensure_ascii=False)


def alternatives(spec: ModelBuilder, statistics: xr.Dataset) -> Alternatives:
    """Every specification that differs from `spec` in one setting that one of its assumptions declares.

    Parameters
    ----------
    spec : ModelBuilder
        The specification to start from.
    statistics : Dataset
        The statistics of a table, on which the list of assumptions may depend.

    Returns
    -------
    Alternatives
        In the order of the assumptions. A value that means the same model as `spec` (by `ModelBuilder.canonical`), or the same
        as an earlier one, is left out without a word; one that the model refuses is in ``skipped`` with its reason.
    """
    specs: dict[str, ModelBuilder] = {}
    skipped: dict[str, str] = {}
    origin: dict[str, str] = {}
    seen = [spec.canonical()]
    for assumption in spec.assumptions(statistics):
        for setting, values in assumption.choices.items():
            for value in values:
                name = f"{setting}={_text(value)}"
                if name in origin:
                    continue
                try:
                    changed: Any = dataclasses.replace(spec, **{setting: value})  # type: ignore[type-var]
                    plain = changed.canonical()
                except BayeskitError as error:
                    skipped[name] = str(error).splitlines()[0]
                else:
                    if plain in seen:
                        continue
                    seen.append(plain)
                    specs[name] = changed
                origin[name] = assumption.name
    return Alternatives(spec, specs, skipped, origin)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | bool | int | float) else json.dumps(value, default=str)
