"""The catalogue of models: whatever is registered under the entry point group ``bayeskit.models``."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bayeskit.builder import ModelBuilder, _parse
from bayeskit.errors import SpecificationError, suggest

__all__ = ["from_json", "load_model", "model_names"]

GROUP = "bayeskit.models"


def _catalogue() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def model_names() -> tuple[str, ...]:
    """Names of the registered models, sorted; nothing is imported."""
    return tuple(sorted(_catalogue()))


def load_model(name: str) -> type[ModelBuilder]:
    """The model class registered under `name`; `SpecificationError` with a suggestion if there is none."""
    catalogue = _catalogue()
    if name not in catalogue:
        raise SpecificationError(
            f"No model named {name!r} is installed.{suggest(name, catalogue)} Installed: {', '.join(sorted(catalogue))}."
        )
    model = catalogue[name].load()
    if not (isinstance(model, type) and issubclass(model, ModelBuilder)):
        raise SpecificationError(f"The entry point {name!r} of group {GROUP} is not a ModelBuilder subclass.")
    return model


def from_json(text: str) -> Any:
    """Rebuild a specification of any registered model from its JSON.

    Only registered models can be named: nothing is imported by a dotted path found in a file.
    """
    return load_model(str(_parse(text)["model"])).from_json(text)
