"""Arguments and options of the command line, and how their texts become settings, dials and sizes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli import completion
from bayeskit.cli.catalogue import fields_of, required
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    from bayeskit.builder import ModelBuilder

_NOT_SIZES = ("rng", "like", "parameters", "dials")

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of a model: see 'bayeskit models'.", autocompletion=completion.models)
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A saved run, or the folder of a streamed one.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="A setting of the model: JSON where it is JSON, else text.",
        autocompletion=completion.settings,
    ),
]  # fmt: skip
SpecFile = Annotated[
    Path | None,
    typer.Option("--spec", metavar="FILE.json", help="A specification as JSON; --set goes over it."),
]
Seed = Annotated[int | None, typer.Option(help="Seed; taken from the system and recorded if not given.")]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")]


def pairs_of(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """Split KEY=VALUE; a key may be given once."""
    out: dict[str, str] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SpecificationError(f"{option} {text!r}: write it as KEY=VALUE.")
        if key.strip() in out:
            raise SpecificationError(f"{option} {key.strip()}: given twice.")
        out[key.strip()] = value
    return out


def value_of(text: str) -> Any:
    """Read a value as JSON where it is JSON, else as text.

    NaN and Infinity are no JSON, though Python's parser takes them: a column may be called NaN.
    """
    try:
        return json.loads(text, parse_constant=_not_json)
    except ValueError:
        return text


def _not_json(word: str) -> Any:
    raise ValueError(word)


def number_of(key: str, text: str) -> float:
    """The value of a dial."""
    try:
        return float(text)
    except ValueError:
        raise SpecificationError(f"--dial {key}={text}: the value of a dial is a number.") from None


def specification(name: str, given: Sequence[str] | None, path: Path | None) -> ModelBuilder:
    """Build the specification from a file, from ``--set`` or from both."""
    from bayeskit.registry import from_json, load_model

    model = load_model(name)
    name = model.__name__  # it may have been given in another spelling
    settings: dict[str, Any] = {}
    if path is not None:
        stored = _stored(path)
        if stored["model"] != name:
            raise SpecificationError(f"--spec: {path.name!r} specifies {stored['model']!r}, not {name!r}.")
        settings.update(stored["settings"])
    settings.update({key: value_of(value) for key, value in pairs_of(given, "--set").items()})
    missing = [f.name for f in fields_of(model) if required(f) and f.name not in settings]
    unknown = [key for key in settings if key not in {f.name for f in fields_of(model)}]
    if missing and not unknown:  # an unknown one is probably a missing one misspelt: the model itself says so
        raise SpecificationError(f"{name} needs the setting {missing[0]!r}: add '-s {missing[0]}=...'.")
    return from_json(json.dumps({"model": name, "settings": settings}))  # type: ignore[no-any-return]


def _stored(path: Path) -> Mapping[str, Any]:
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
        if set(payload) == {"model", "settings"} and isinstance(payload["settings"], dict):
            return payload  # type: ignore[no-any-return]
    except (ValueError, TypeError):
        pass
    raise SpecificationError(f'--spec: {path.name!r} must hold one JSON object {{"model": NAME, "settings": {{...}}}}.')


def sizes_of(spec: ModelBuilder, given: Sequence[str] | None) -> dict[str, int]:
    """The sizes of a simulated table, as far as the model knows such sizes."""
    known = [key for key in inspect.signature(spec.simulate).parameters if key not in _NOT_SIZES]
    out: dict[str, int] = {}
    for key, text in pairs_of(given, "--size").items():
        if key not in known:
            raise SpecificationError(
                f"--size {key}: {type(spec).__name__} has no such size.{suggest(key, known)} Its sizes: {', '.join(known)}."
            )
        if not text.isdecimal() or int(text) < 1:
            raise SpecificationError(f"--size {key}={text}: must be a whole number of at least 1.")
        out[key] = int(text)
    return out
