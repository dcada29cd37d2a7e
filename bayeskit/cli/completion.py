"""What a shell offers at the tab key: models, demonstrations, settings of a model and dials of a saved run.

Nothing here may fail or be slow: whatever goes wrong, nothing is offered. Names come from entry points and from the record of a
run, so neither a table nor draws are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import typer

__all__ = ["demonstrations", "dials", "models", "settings", "sweeps"]


def models(incomplete: str) -> list[str]:
    """Names of the installed models."""
    from bayeskit.registry import model_names

    return _starting(incomplete, model_names())


def demonstrations(incomplete: str) -> list[str]:
    """Names of the demonstrations."""
    from importlib.metadata import entry_points

    return _starting(incomplete, (point.name for point in entry_points(group="bayeskit.demos")))


def settings(ctx: typer.Context, incomplete: str) -> list[str]:
    """The settings of the model that stands before, as ``key=``."""
    from bayeskit.cli.catalogue import fields_of
    from bayeskit.errors import BayeskitError
    from bayeskit.registry import load_model

    for word in _words(ctx):
        try:
            return _starting(incomplete, (f"{field.name}=" for field in fields_of(load_model(word))))
        except BayeskitError:
            continue
    return []


def dials(ctx: typer.Context, incomplete: str) -> list[str]:
    """The dials of the saved run that stands before."""
    return _starting(incomplete, _dials_of(ctx))


def sweeps(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same, as ``dial=``."""
    return _starting(incomplete, (f"{name}=" for name in _dials_of(ctx)))


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in sorted(names) if name.startswith(incomplete)]


def _words(ctx: typer.Context) -> list[str]:
    """The words behind the command. Its own parameters are not parsed where the last word is an option without its value."""
    return list(ctx.parent.args) if ctx.parent is not None else []


def _dials_of(ctx: typer.Context) -> list[str]:
    """Names in the record of the first word that is a run, without its draws."""
    import h5py

    for path in filter(Path.is_file, map(Path, _words(ctx))):
        try:
            with h5py.File(path, "r") as opened:
                return [str(name) for name in json.loads(opened.attrs["bayeskit"])["dials"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []
