"""The sampler's program for a PyMC model, compiled once on a machine instead of once in every process.

nutpie wraps the log density and the trace in functions with a C interface that carry the addresses of the data. Numba
cannot keep those on disk, so every process would compile the whole density again: most of what a user waits for. Here
the same two functions are written out as text that takes its addresses from its argument and is kept on disk under the
digest of the graph. Everything else (shapes, starting points, new data, sampling) is nutpie's.
"""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import Any
from uuid import uuid4

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba.core import types
from numba.extending import intrinsic
from nutpie import compile_pymc as nutpie_pymc
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

from bayeskit._callbacks import c_callback

__all__ = ["compile_program"]

numba_any: Any = numba  # its package exports names that it does not declare
numba_types: Any = types
_DOUBLES = numba_types.CPointer(types.float64)

_LOG_DENSITY = """
def log_density(dim, x_, gradient_, value_, user_):
    if dim != {n_dim}:
        return -1
    try:
        x = carray(x_, ({n_dim},))
{unpack}
        value, gradient = function(x{arguments})
        density = value.item()
        if not np.isfinite(density):
            return 4
        carray(value_, (1,))[0] = density
        out = carray(gradient_, ({n_dim},))
        for i in range({n_dim}):
            if not np.isfinite(gradient[i]):
                return 3
            out[i] = gradient[i]
    except Exception:
        return 1
    return 0
"""

_TRACE = """
def trace(dim, expanded, x_, out_, user_):
    if dim != {n_dim} or expanded != {n_expanded}:
        return -1
    try:
        x = carray(x_, ({n_dim},))
{unpack}
        values = function(x{arguments})[0]
        out = carray(out_, ({n_expanded},))
        for i in range({n_expanded}):
            out[i] = values[i]
    except Exception:
        return -2
    return 0
"""


def _integer_to_pointer(_context: Any, address: Any) -> Any:
    def generate(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(address), generate


_pointer: Any = intrinsic(_integer_to_pointer)


def compile_program(model: Any, jittered: set[Any]) -> Any:
    """Compile what nutpie needs to sample a PyMC model whose data stay replaceable.

    Parameters
    ----------
    model : pymc.Model
        With data as shared variables; they are not frozen.
    jittered : set of random variables
        Those whose starting points are moved by up to 1 on the unconstrained scale.

    Returns
    -------
    nutpie.compile_pymc.CompiledPyMCModel
        The same as ``nutpie.compile_pymc_model(model, backend="numba", freeze_model=False, jitter_rvs=jittered)``.
    """
    starting_point = _starting_point(model, jittered)
    n_dim, n_expanded, density, trace, start, shapes, renamed = nutpie_pymc._make_functions(
        model, mode="NUMBA", compute_grad=True, join_expanded=True, pymc_initial_point_fn=starting_point
    )
    shared = list(dict.fromkeys([*density.get_shared(), *trace.get_shared()]))
    keys = {node: uuid4().hex for node in shared}
    data = {keys[node]: np.array(node.get_value(), order="C", copy=True) for node in shared}
    for values in data.values():
        values.flags.writeable = False
    size, integer = types.uint64, types.int64
    log_density = integer(size, _DOUBLES, _DOUBLES, _DOUBLES, types.voidptr)
    expand = integer(size, size, _DOUBLES, _DOUBLES, types.voidptr)
    sizes = {"n_dim": n_dim, "n_expanded": n_expanded}
    dims, coords = nutpie_pymc._prepare_dims_and_coords(model, shapes, renamed)
    return nutpie_pymc.CompiledPyMCModel(
        _n_dim=n_dim,
        dims=dims,
        _coords=coords,
        _shapes={name: tuple(shape) for name, _, shape in zip(*shapes, strict=True)},
        compiled_logp_func=_compile("log_density", _LOG_DENSITY, log_density, density, shared, sizes),
        compiled_expand_func=_compile("trace", _TRACE, expand, trace, shared, sizes),
        initial_point_func=start,
        shared_data=data,
        shared_var_keys=keys,
        user_data=nutpie_pymc.make_user_data(keys, data),
        n_expanded=n_expanded,
        shape_info=shapes,
        logp_func=density,
        expand_func=trace,
        reparameterized_names=renamed,
    )


def _starting_point(model: Any, jittered: set[Any]) -> Any:
    """Starting points as nutpie makes them: support points, moved by up to 1 on the unconstrained scale."""
    from pymc.initial_point import make_initial_point_fn

    compute = make_initial_point_fn(model=model, default_strategy="support_point", jitter_rvs=jittered, return_transformed=True)
    lock = Lock()

    def point(seed: Any) -> Any:
        with lock:  # chains start in threads, and the compiled function writes into storage of its own
            return compute(seed)

    return point


def _compile(name: str, text: str, signature: Any, function: Any, shared: list[Any], sizes: dict[str, int]) -> Any:
    """Compile one of the two functions with a C interface; from disk where the graph's own code is kept there."""
    used = [shared.index(node) for node in function.get_shared()]
    inner = function.vm.jit_fn
    source = text.format(
        unpack="\n".join(_unpack(shared, used)) or "        pass", arguments="".join(f", s{k}" for k in used), **sizes
    )
    key = CACHED_SRC_FUNCTIONS.get(inner.py_func)
    if key is not None:
        key = sha256(f"{key}{source}{numba_any.__version__}{np.__version__}".encode()).hexdigest()
    scope = {"__name__": __name__, "np": np, "carray": numba_any.carray, "pointer": _pointer, "function": inner}
    made = compile_numba_function_src(source, name, scope, cache_key=key)
    return c_callback(signature, made, keep=key is not None)


def _unpack(shared: list[Any], used: list[int]) -> list[str]:
    """Lines that find the data: the user data are words, all addresses first, then all sizes, then the shapes in turn."""
    if not used:
        return []
    at, starts = 2 * len(shared), []
    for node in shared:
        starts.append(at)
        at += node.type.ndim
    lines = [f"        words = carray(user_, ({at},), np.int64)"]
    for k in used:
        shape = "".join(f"words[{starts[k] + d}], " for d in range(shared[k].type.ndim))
        lines.append(f"        s{k} = carray(pointer(words[{k}]), ({shape}), np.{shared[k].type.dtype})")
    return lines
