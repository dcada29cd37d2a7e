"""The command line: the names of the Python interface, and exit codes that a script can rely on.

Exit codes: 0 the checks passed (warnings are printed and count as passed), 1 a fault of the usage, the
specification or the data, 2 a check that failed or could not be computed, or a partial run. Heavy libraries
are imported inside the commands, so that ``bayeskit --help`` answers at once.
"""

from bayeskit.cli import catalogue, commands, report, sensitivity  # each adds its commands to the application
from bayeskit.cli.frame import app, exit_code, main

__all__ = ["app", "catalogue", "commands", "exit_code", "main", "report", "sensitivity"]
