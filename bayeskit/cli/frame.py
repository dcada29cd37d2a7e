"""The frame of the command line: the application, its faults without tracebacks, and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bayeskit.errors import BayeskitError

if TYPE_CHECKING:
    from rich.console import Console

    from bayeskit.verdict import Verdict

__all__ = ["FAILED", "FAULT", "PASSED", "app", "console", "exit_code", "leave", "main"]

PASSED, FAULT, FAILED = 0, 1, 2

_EPILOG = (
    "Exit codes: 0 the checks passed (warnings are printed), 1 a fault of the usage, the specification or "
    "the data, 2 a check failed or could not be computed, or the run is partial."
)


class _Failed(SystemExit):
    """Exit code 2 on purpose: the only road to it, because typer itself ends usage errors with 2."""

    def __init__(self) -> None:
        super().__init__(FAILED)


class _Group(TyperGroup):
    """Print faults without a traceback and keep the exit codes."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except _Failed:
            raise
        except SystemExit as stop:
            raise SystemExit(FAULT if stop.code == FAILED else stop.code) from None
        except BayeskitError as error:
            fault = str(error)
        except OSError as error:
            fault = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(fault, file=sys.stderr)
        raise SystemExit(FAULT)


app = typer.Typer(
    name="bayeskit",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; `arguments` are those of the process unless given."""
    app(args=None if arguments is None else list(arguments), prog_name="bayeskit")


def _version(asked: bool) -> None:
    if asked:
        import bayeskit

        print(f"bayeskit {bayeskit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Fit, check and report Bayesian models whose answers rest on assumptions that data cannot test."""


def exit_code(verdict: Verdict) -> int:
    """Return 2 for FAIL, for a partial run and where any check could not be computed, else 0."""
    return verdict.exit_code


def leave(code: int) -> None:
    """End a command with an exit code."""
    if code == FAILED:
        raise _Failed
    if code != PASSED:
        raise typer.Exit(code)


def console() -> Console:
    """Standard output, with colours where it is a terminal."""
    from rich.console import Console

    return Console()
