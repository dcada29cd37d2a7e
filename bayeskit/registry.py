"""The catalogue of models: the entry point group ``bayeskit.models``, and what a session registers itself."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bayeskit.builder import ModelBuilder, _parse
from bayeskit.errors import SpecificationError, suggest

__all__ = ["from_json", "load_model", "model_names", "register"]

GROUP = "bayeskit.models"
_SESSION: dict[str, type[ModelBuilder]] = {}


def _catalogue() -> dict[str, EntryPoint | type[ModelBuilder]]:
    installed: dict[str, EntryPoint | type[ModelBuilder]] = {p.name: p for p in entry_points(group=GROUP)}
    return {**_SESSION, **installed}


def register[M: type[ModelBuilder]](model: M) -> M:
    """Add a model that is defined in a script or a notebook to the catalogue of this process.

    Saved runs and specifications name their model; those of an installed package are found by its entry
    points, those of a session only after this call. Usable as a class decorator. Defining a model again
    replaces it.

    Parameters
    ----------
    model : subclass of ModelBuilder

    Returns
    -------
    The same class.

    Raises
    ------
    SpecificationError
        If it is not a model, or has the name of an installed one.
    """
    if not (isinstance(model, type) and issubclass(model, ModelBuilder)):
        raise SpecificationError(f"register() takes a subclass of ModelBuilder; got {model!r}.")
    if any(point.name == model.__name__ for point in entry_points(group=GROUP)):
        raise SpecificationError(f"A model named {model.__name__!r} is installed: give yours another name.")
    _SESSION[model.__name__] = model
    return model


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").casefold()


def model_names() -> tuple[str, ...]:
    """Names of the registered models, sorted; nothing is imported."""
    return tuple(sorted(_catalogue()))


def load_model(name: str) -> type[ModelBuilder]:
    """Return the model class registered under `name`; `SpecificationError` with a suggestion if there is none.

    Case, dashes and underscores count for nothing: ``benchmark-variance`` is `BenchmarkVariance`.
    """
    catalogue = _catalogue()
    alike = [known for known in catalogue if _plain(known) == _plain(name)]
    name = alike[0] if name not in catalogue and len(alike) == 1 else name
    if name not in catalogue:
        raise SpecificationError(
            f"No model named {name!r} is installed.{suggest(name, catalogue)} Installed: {', '.join(sorted(catalogue))}. "
            "A model of a notebook is made known by bayeskit.register(Model)."
        )
    entry = catalogue[name]
    model = entry.load() if isinstance(entry, EntryPoint) else entry
    if not (isinstance(model, type) and issubclass(model, ModelBuilder)):
        raise SpecificationError(f"The entry point {name!r} of group {GROUP} is not a ModelBuilder subclass.")
    return model


def from_json(text: str) -> Any:
    """Rebuild a specification of any registered model from its JSON.

    Only registered models can be named: nothing is imported by a dotted path found in a file.
    """
    return load_model(str(_parse(text)["model"])).from_json(text)
