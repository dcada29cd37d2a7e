"""What models say of themselves: the list of the installed ones, and the settings of each."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayeskit.cli import completion
from bayeskit.cli.frame import app, console

if TYPE_CHECKING:
    from bayeskit.builder import ModelBuilder


@app.command()
def models(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Explain the settings of this model.", autocompletion=completion.models),
    ] = None,
) -> None:
    """List the installed models, or explain the settings of one.

    Examples
    --------
      bayeskit models

      bayeskit models NAME
    """
    from rich.table import Table
    from rich.text import Text

    from bayeskit.registry import load_model, model_names

    out = console()
    if name is None:
        table = Table("Model", "What it is for", "Settings", title="Installed models", title_justify="left")
        for known in model_names():
            model = load_model(known)
            settings = ", ".join(field.name for field in fields_of(model))
            table.add_row(Text(known), Text(_summary(model)), Text(settings))
        out.print(table)
        out.print("Settings in full: bayeskit models NAME", markup=False)
        return
    model = load_model(name)
    table = Table(
        "Setting",
        "Default",
        "Meaning",
        title=Text(f"{name}: {_summary(model)}"),
        title_justify="left",
        show_lines=True,
    )
    told = parameters_of(model)
    for field in fields_of(model):
        kind, text = told.get(field.name, ("", ""))
        table.add_row(Text(field.name), Text(_default(field)), Text("\n".join(part for part in (kind, text) if part)))
    out.print(table)


def fields_of(model: type[ModelBuilder]) -> list[dataclasses.Field[Any]]:
    """The settings of a model, in their order."""
    return [f for f in dataclasses.fields(model) if f.init]  # type: ignore[arg-type]


def required(field: dataclasses.Field[Any]) -> bool:
    """Whether a setting has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> str:
    if required(field):
        return "required"
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return "none" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _summary(model: type[ModelBuilder]) -> str:
    return (inspect.getdoc(model) or "").partition("\n\n")[0].replace("\n", " ")


def parameters_of(model: type[ModelBuilder]) -> dict[str, tuple[str, str]]:
    """Type and meaning of every setting, from the section Parameters of the numpydoc docstring."""
    lines = (inspect.getdoc(model) or "").splitlines()
    start = next(
        (i for i, line in enumerate(lines) if line == "Parameters" and lines[i + 1 : i + 2] == ["-" * 10]),
        None,
    )
    out: dict[str, tuple[str, str]] = {}
    if start is None:
        return out
    names: list[str] = []
    for place, line in enumerate(lines[start + 2 :], start + 2):
        if lines[place + 1 : place + 2] and set(lines[place + 1]) == {"-"}:
            break  # the heading of the next section
        if line and not line.startswith(" "):
            head, _, kind = line.partition(" : ")
            names = [name.strip() for name in head.split(",")]
            out.update({name: (kind, "") for name in names})
        elif line.strip():
            for name in names:
                kind, text = out[name]
                out[name] = (kind, f"{text} {line.strip()}".strip())
    return out
