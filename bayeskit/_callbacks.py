"""C callbacks that compute the same bits in the run that compiles them and in every run that reads them from disk.

Code of one process shares one table of symbols: a helper that two functions need is taken from whichever was compiled first,
and it was optimised, and so rounded, in its own surroundings. A run that compiles would therefore differ in the last digits
from the next one, which finds the function on disk with helpers of its own, and chains of a sampler multiply last digits. So a
function that is kept on disk is always read from there, into a table of symbols of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core.ccallback import CFunc
from numba.core.registry import CPUTarget
from pytensor.configdefaults import config

__all__ = ["c_callback"]

_numba: Any = numba  # its package exports names that it does not declare
_CFunc: Any = CFunc
_CPUTarget: Any = CPUTarget


class _Alone(_CFunc):  # type: ignore[misc]
    """A callback whose code is loaded into a target, hence an engine and a table of symbols, of its own."""

    @property
    def _targetdescr(self) -> Any:
        if not hasattr(self, "_own"):
            self._own = _CPUTarget("cpu")
        return self._own

    def _compile_uncached(self) -> Any:
        raise LookupError


def c_callback(signature: Any, function: Callable[..., Any], *, keep: bool) -> Any:
    """Compile a function for callers of C.

    Parameters
    ----------
    signature : numba signature
        Of the C function.
    function : callable
        What numba can compile; with a file on disk behind it if it is to be kept.
    keep : bool
        Keep the code on disk (unless PyTensor's numba cache is switched off) and read it from there.

    Returns
    -------
    numba.core.ccallback.CFunc
        With its `address`, at which the code stays while the object lives.
    """
    if not (keep and config.numba__cache):
        return _numba.cfunc(signature)(function)
    compiled = _numba.cfunc(signature, cache=True)(function)
    alone = _Alone(function, (signature.args, signature.return_type), locals={}, options={})
    alone.enable_caching()
    try:
        alone.compile()
    except LookupError:  # another process wrote the index of the same file at that moment
        return compiled
    return alone
