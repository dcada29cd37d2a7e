"""Value and gradients in one compiled pass: numba kernels as PyTensor operations.

A log likelihood written as a PyTensor graph visits its arrays many times, and its gradient visits them
again. A *fused kernel* is one numba function that returns the value together with the gradients; `fused`
turns it into an operation that PyMC can differentiate and that every PyTensor backend can run.

Importing this module imports numba and PyTensor. Do so where a model is built, not at the top of a package.
"""

from __future__ import annotations

import ctypes
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped, unused-ignore]
import numba
import numpy as np
import pytensor.tensor as pt
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic
from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from bayeskit._callbacks import c_callback

FAST = frozenset({"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"})
"""Fast-math flags for kernels whose inputs were checked to be numbers: sums may be reordered, hence
vectorised. Without that check a NaN would be undefined behaviour, so kernels call `all_numbers` first."""


def kernel(function: Callable[..., Any]) -> Any:
    """Prepare a fused kernel for compilation with the options that let LLVM vectorise it.

    ``error_model="numpy"`` matters most: Python's rule that a division by zero raises puts a branch into
    every loop, and no loop with a branch is vectorised.

    Parameters
    ----------
    function : callable
        Takes C-contiguous arrays only and returns ``(value, gradient_1, .., gradient_n)``.

    Returns
    -------
    numba dispatcher
        Compiled at its first call. PyTensor caches the graphs that contain it on disk, under a key that
        follows the source (see `_digest`); numba's own cache would miss changes in imported helpers.
    """
    return numba.njit(function, error_model="numpy", fastmath=set(FAST))


def _bitcast_to_float(_context: Any, x: Any) -> Any:
    def generate(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


def _bitcast_to_int(_context: Any, x: Any) -> Any:
    def generate(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), generate


def _logical_shift_right_52(_context: Any, x: Any) -> Any:
    def generate(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.lshr(args[0], ir.Constant(ir.IntType(64), 52))

    return types.int64(types.int64), generate


_bits_to_float: Any = intrinsic(_bitcast_to_float)
_float_to_bits: Any = intrinsic(_bitcast_to_int)
_shift_right_52: Any = intrinsic(_logical_shift_right_52)


# Coefficients of polynomials that interpolate at Chebyshev nodes, which halves the terms of a Taylor series: of
# (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2, and of 2 atanh(s) / s in w = s^2, for w <= 0.0295 and for w <= 1 / 9.
_EXP = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666662413, 0.008333333333330062, 0.0013888888917213717,
    0.00019841269863053618, 2.4801521295954376e-05, 2.7557268459997064e-06, 2.7620088445409746e-07, 2.510038549551032e-08,
)  # fmt: skip
_LOG = (
    2.0, 0.6666666666666766, 0.39999999999293206, 0.28571428762709467, 0.22222196836007319, 0.18183643672648317,
    0.15312207324389188, 0.14813061921614032,
)  # fmt: skip
_SOFTPLUS = (
    2.0, 0.6666666666668257, 0.399999999952876, 0.2857142911165716, 0.22222190861346283, 0.1818285980047391,
    0.15363676248891633, 0.13591305485579894, 0.09880789048764786, 0.17780763826113302,
)  # fmt: skip
# The arithmetic of these depends on its order: "reassoc" would optimise the rounding trick away.
_in_order: Any = numba.njit(fastmath={"contract"}, forceinline=True, error_model="numpy")


@_in_order  # type: ignore[untyped-decorator, unused-ignore]
def fast_exp_expm1(x: float) -> Any:
    """``exp(x)`` and ``exp(x) - 1`` for x in [-708, 709], which is not checked.

    LLVM can vectorise them (the plain ones are library calls, which it cannot). Relative errors below 3e-16 and 6e-16. With
    ``x = k log(2) + r`` and ``|r| <= log(2) / 2`` they are ``2^k + 2^k q`` and ``2^k q + (2^k - 1)``, where ``q = exp(r) - 1``.
    """
    z = x * 1.4426950408889634 + 6755399441055744.0  # adding 1.5 * 2**52 rounds to the nearest integer
    k = z - 6755399441055744.0
    r = x - k * 0.693147180369123816490 - k * 1.90821492927058770002e-10
    r2 = r * r
    r4 = r2 * r2
    low = (_EXP[3] * r + _EXP[2]) * r2 + (_EXP[1] * r + _EXP[0])
    middle = (_EXP[7] * r + _EXP[6]) * r2 + (_EXP[5] * r + _EXP[4])
    p = ((_EXP[9] * r + _EXP[8]) * r4 + middle) * r4 + low
    q = p * r2 + r
    power = _bits_to_float((_float_to_bits(z) + 1023) << 52)  # what is shifted out is not part of k
    return power * q + power, power * q + (power - 1.0)


@_in_order  # type: ignore[untyped-decorator, unused-ignore]
def fast_exp(x: float) -> Any:
    """Exponential that LLVM can vectorise, see `fast_exp_expm1`; arguments outside of [-708, 709] are moved to the ends."""
    return fast_exp_expm1(min(max(x, -708.0), 709.0))[0]


@_in_order  # type: ignore[untyped-decorator, unused-ignore]
def fast_log(x: float) -> Any:
    """Natural logarithm of a positive normal number that LLVM can vectorise.

    Relative error below 5e-16, absolute error below 4e-16 near 1 (exponent, and the series of ``atanh``).
    """
    bits: Any = _float_to_bits(x)
    biased = _shift_right_52(bits - 0x3FE6A09E667F3BCD + (1023 << 52))
    e = _bits_to_float(biased | 0x4330000000000000) - 4503599627371519.0  # exponent, as 2**52 + 1023 + e
    m = _bits_to_float(bits - ((biased - 1023) << 52)) - 1.0
    s = m / (2.0 + m)
    w = s * s
    p = _LOG[7]
    p = p * w + _LOG[6]
    p = p * w + _LOG[5]
    p = p * w + _LOG[4]
    p = p * w + _LOG[3]
    p = p * w + _LOG[2]
    p = p * w + _LOG[1]
    p = p * w + _LOG[0]
    return s * p + e * 0.693147180559945309417


@numba.njit(fastmath={"contract", "nsz", "arcp"}, forceinline=True, error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
def softplus_sigmoid(x: float) -> Any:
    """``log(1 + exp(x))`` and ``1 / (1 + exp(-x))``, vectorisable, both to a relative error below 2e-15.

    Differences of two softplus keep their digits only if each has all of its own where it is tiny: ``log(1 + z)`` of a small z
    would lose them in the sum, so it is a series in ``s = z / (2 + z)``, which is 1/3 at most.
    """
    z = fast_exp_expm1(max(-abs(x), -708.0))[0]
    both = 1.0 / ((1.0 + z) * (2.0 + z))  # one division for two: they are the slowest steps
    share, s = (2.0 + z) * both, z * ((1.0 + z) * both)
    w = s * s
    w2 = w * w
    w4 = w2 * w2
    low = (_SOFTPLUS[3] * w + _SOFTPLUS[2]) * w2 + (_SOFTPLUS[1] * w + _SOFTPLUS[0])
    middle = (_SOFTPLUS[7] * w + _SOFTPLUS[6]) * w2 + (_SOFTPLUS[5] * w + _SOFTPLUS[4])
    p = ((_SOFTPLUS[9] * w + _SOFTPLUS[8]) * w4 + middle) * w4 + low
    return max(x, 0.0) + s * p, (share if x > 0.0 else z * share)


# A helper inherits its caller's flags where it states none, hence the explicit False.
@numba.njit(error_model="numpy", fastmath=False)  # type: ignore[untyped-decorator, unused-ignore]
def all_numbers(x: np.ndarray) -> bool:
    """Tell whether no entry of an array is NaN or +inf (a log probability may be -inf)."""
    for value in x.flat:  # noqa: SIM110 -- numba compiles no generator expression
        if not value < np.inf:
            return False
    return True


class FusedOp(Op):  # type: ignore[misc, unused-ignore]
    """The PyTensor operation behind `fused`; outputs: the value, then a gradient per differentiable input.

    The gradients are outputs of the same node, so asking for the value and its derivative runs the kernel
    once. They are not themselves differentiable: second derivatives raise instead of being silently zero.
    What a kernel returns beyond them (`also`) has no place in a graph; `Fused.compute` returns it.
    """

    __props__ = ("name", "digest", "wrt", "data", "also")

    def __init__(self, function: Any, wrt: tuple[int, ...], data: tuple[str, ...], also: tuple[int, ...] = ()) -> None:
        self.name = str(function.py_func.__name__)
        self.function = function
        self.digest = _digest(function)
        self.wrt = wrt
        self.data = data
        self.also = also

    @property
    def outputs(self) -> list[tuple[int, int]]:
        """Beside the value: the input that each output is shaped as, and its number of dimensions."""
        ndims = [*self.wrt, *(int(kind[-1]) for kind in self.data)]
        return [(i, ndims[i]) for i in (*range(len(self.wrt)), *self.also)]

    def make_node(self, *inputs: Any) -> Apply:
        """Check and convert the symbolic inputs: differentiable ones first, then the data."""
        if len(inputs) != len(self.wrt) + len(self.data):
            raise TypeError(f"{self.name} takes {len(self.wrt)} + {len(self.data)} arrays, not {len(inputs)}.")
        n = len(self.wrt)
        wrt = [_as_tensor(x, "float64", ndim, self.name) for x, ndim in zip(inputs[:n], self.wrt, strict=True)]
        data = [_as_tensor(x, kind[:-1], int(kind[-1]), self.name) for x, kind in zip(inputs[n:], self.data, strict=True)]
        return Apply(self, [*wrt, *data], [pt.dscalar(), *(x.type() for x in wrt)])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        """Run the compiled kernel for the backends other than numba."""
        results = _call(self, [np.require(x, requirements="C") for x in inputs])
        for storage, result in zip(output_storage, results[: 1 + len(self.wrt)], strict=True):
            storage[0] = np.asarray(result, dtype="float64")

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        """Cotangents of the inputs: that of the value times the gradients the kernel already returned."""
        n = len(self.wrt)
        if any(not isinstance(g.type, DisconnectedType) for g in cotangents[1:]):
            why = f"{self.name} has first derivatives only."
            refuse: Any = grad_not_implemented
            wrt = [refuse(self, i, x, why) for i, x in enumerate(inputs[:n])]
        else:
            scale: Any = cotangents[0]
            wrt = [scale * gradient for gradient in outputs[1:]]
        return [*wrt, *(disconnected_type() for _ in self.data)]

    L_op = pullback  # type: ignore[assignment, unused-ignore]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Connect the differentiable inputs to every output (see `pullback`) and the data to none."""
        n_out = 1 + len(self.wrt)
        return [[True] * n_out for _ in self.wrt] + [[False] * n_out for _ in self.data]


class Fused:
    """A fused kernel, for symbolic arrays and for numbers; see `fused`."""

    def __init__(self, op: Any) -> None:
        self._op = op
        self.__name__ = op.name
        self.__doc__ = op.function.py_func.__doc__

    def __call__(self, *inputs: Any) -> Any:
        """Value for symbolic inputs: a float64 scalar with derivatives of first order."""
        return self._op(*inputs)[0]

    def compute(self, *inputs: Any) -> tuple[Any, ...]:
        """Value, gradients and what else the kernel returns, for arrays.

        The code is that of the compiled graphs, kept on disk: a process that calls the kernel by itself (numba's way) would
        compile it again, which takes up to a minute for a large one.
        """
        kinds = [("float64", n) for n in self._op.wrt] + [(kind[:-1], int(kind[-1])) for kind in self._op.data]
        if len(inputs) != len(kinds):
            raise TypeError(f"{self.__name__} takes {len(kinds)} arrays, not {len(inputs)}.")
        arrays = []
        for x, (dtype, ndim) in zip(inputs, kinds, strict=True):
            array = np.asarray(x)
            if array.ndim != ndim or not np.can_cast(array.dtype, dtype, "same_kind"):
                raise TypeError(
                    f"{self.__name__}: an array of type {array.dtype} with {array.ndim} dimensions where {dtype} with {ndim} "
                    "is needed."
                )
            arrays.append(np.require(array, dtype=dtype, requirements="C"))
        return _call(self._op, arrays)


def fused(function: Any, *, wrt: Sequence[int], data: Sequence[str], also: Sequence[int] = ()) -> Fused:
    """Turn a fused kernel into a function of symbolic arrays that returns its value.

    Parameters
    ----------
    function : numba dispatcher
        Made by `kernel`. Called with C-contiguous arrays of one or more dimensions, differentiable ones
        first, it returns the value (float), per differentiable input a gradient of the same shape, and what `also` says.
    wrt : sequence of int
        Number of dimensions of each differentiable float64 input.
    data : sequence of str
        Type and number of dimensions of each other input, such as ``"int64:2"`` or ``"float64:1"``. They may
        be symbolic as well (`pymc.Data`), but no derivative with respect to them is defined.
    also : sequence of int, optional
        Places of inputs that further float64 outputs are shaped as: for `Fused.compute`, and without a place in graphs.

    Returns
    -------
    Fused
        Maps symbolic inputs to a float64 scalar (derivatives of first order only); its `compute` maps arrays to all results.

    Raises
    ------
    TypeError
        When called with the wrong number of arrays, or one of the wrong type or number of dimensions.
    """
    op: Any = FusedOp(function, tuple(wrt), tuple(kind.replace(":", "") for kind in data), tuple(also))
    return Fused(op)


def _as_tensor(x: Any, dtype: str, ndim: int, name: str) -> Any:
    x = pt.as_tensor(x)
    if x.type.ndim != ndim:
        raise TypeError(f"{name}: array {x} has {x.type.ndim} dimensions where {ndim} are needed.")
    if x.type.dtype == dtype:
        return x
    if dtype == "int64" and not x.type.dtype.startswith(("int", "uint", "bool")):
        raise TypeError(f"{name}: array {x} has type {x.type.dtype} where whole numbers are needed.")
    return x.astype(dtype)


def _digest(function: Any) -> str:
    """Identify a kernel by its code and that of every kernel it can call.

    Compiled code is cached on disk under this key, so an edit of the kernel, of a kernel that its module uses (in whichever
    file) or of this module must change it.
    """
    names, sources = {__name__}, [_source(__name__)]
    queue = [function.py_func.__module__]
    while queue:
        name = queue.pop()
        if name in names:
            continue
        names.add(name)
        sources.append(_source(name))
        queue += [v.py_func.__module__ for v in vars(sys.modules[name]).values() if isinstance(v, Dispatcher)]
    code = function.py_func.__code__
    key = [function.py_func.__qualname__, repr((code.co_code, code.co_consts)), numba.__version__, *sources]
    return sha256("\n".join(key).encode()).hexdigest()


@cache
def _source(module: str) -> str:
    """Source of a module by its name (found by name: `inspect.getmodule` looks through all modules there are)."""
    try:
        return inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return ""


def _copy_out(gradient: str, shaped_as: str, ndim: int) -> list[str]:
    """Lines that copy a gradient to its place element by element (array assignment takes seconds to compile)."""
    index = ", ".join(f"i{d}" for d in range(ndim))
    loops = [f"{'    ' * (d + 1)}for i{d} in range({shaped_as}.shape[{d}]):" for d in range(ndim)]
    return [
        f"    o_{gradient} = carray(q{gradient}, {shaped_as}.shape)",
        *loops,
        f"{'    ' * (ndim + 1)}o_{gradient}[{index}] = {gradient}[{index}]",
    ]


_ENTRIES: dict[str, Any] = {}
numba_any: Any = numba  # its package exports names that it does not declare
numba_types: Any = types


def _entry(op: FusedOp) -> str:
    """Compile the kernel by itself, once in a process, and return the name of the symbol under which code can call it.

    Numba copies everything that a function calls into it and optimises the whole again, at every level of nesting: a
    kernel called from a compiled graph would be optimised five times. Called by the name of a symbol it is compiled once,
    kept on disk, and the graph around it compiles as fast as if it were not there.
    """
    symbol = f"bayeskit_{op.name}_{op.digest[:24]}"
    if symbol in _ENTRIES:
        return symbol
    lines, arguments, at = [], [], 0
    kinds = [("float64", n) for n in op.wrt] + [(k[:-1], int(k[-1])) for k in op.data]
    for i, (_, ndim) in enumerate(kinds):
        shape = ", ".join(f"s[{at + d}]" for d in range(ndim))
        lines.append(f"    x{i} = carray(p{i}, ({shape},))")
        arguments.append(f"p{i}")
        at += ndim
    gradients = [f"g{i}" for i in range(len(op.outputs))]
    body = "\n".join(
        [
            f"def entry({', '.join(arguments)}, shapes, value, {', '.join('q' + g for g in gradients)}):",
            f"    s = carray(shapes, ({at},))",
            *lines,
            f"    out, {', '.join(gradients)} = kernel({', '.join(f'x{i}' for i in range(len(kinds)))})",
            "    carray(value, (1,))[0] = out",
            *[line for g, (i, n) in zip(gradients, op.outputs, strict=True) for line in _copy_out(g, f"x{i}", n)],
        ]
    )
    function = compile_numba_function_src(
        body + "\n", "entry", {"__name__": __name__, "carray": numba_any.carray, "kernel": op.function}, cache_key=symbol
    )
    pointers = [numba_types.CPointer(getattr(types, kind)) for kind, _ in kinds]
    doubles = [numba_types.CPointer(types.float64)] * (1 + len(gradients))
    signature = types.void(*pointers, numba_types.CPointer(types.int64), *doubles)
    compiled = c_callback(signature, function, keep=True)
    llvm.add_symbol(symbol, compiled.address)
    _ENTRIES[symbol] = (compiled, signature)
    return symbol


def _call(op: FusedOp, inputs: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """Call the kernel by itself: as it lies on disk, so that no process compiles it again, and outside Python's lock."""
    if numba_any.config.BOUNDSCHECK:  # an error cannot leave a function that is called as C, and would only be printed
        # writeable, because numba has another type for arrays that are not, and a kernel may put its inputs into one tuple
        return tuple(op.function(*(np.require(x, requirements="W") for x in inputs)))
    compiled, _ = _ENTRIES[_entry(op)]
    gradients = [np.empty(inputs[i].shape) for i, _ in op.outputs]
    shapes, value = np.array([size for x in inputs for size in x.shape], dtype=np.int64), np.empty(1)
    arrays = [*inputs, shapes, value, *gradients]
    entry = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))(compiled.address)
    entry(*[a.ctypes.data for a in arrays])
    return value[0], *gradients


@register_funcify_default_op_cache_key(FusedOp)  # type: ignore[untyped-decorator, no-untyped-call, unused-ignore]
def _compile_with_numba(op: FusedOp, node: Apply, **_: Any) -> Any:
    """Call the kernel from PyTensor's compiled graph, by its symbol.

    numba cannot loop over arrays of different types, so the adapter is written out for these inputs.
    """
    symbol = _entry(op)
    given = [f"x{i}" for i in range(len(node.inputs))]
    gradients = [f"g{i}" for i in range(len(op.outputs))]
    ndims = [*op.wrt, *(int(k[-1]) for k in op.data)]
    sizes = [f"{x}.shape[{d}]" for x, n in zip(given, ndims, strict=True) for d in range(n)]
    source = "\n".join(
        [
            f"def {op.name}({', '.join(given)}):",
            *[f"    {x} = np.ascontiguousarray({x})" for x in given],
            f"    shapes = np.empty({len(sizes)}, np.int64)",
            *[f"    shapes[{i}] = {size}" for i, size in enumerate(sizes)],
            "    value = np.empty(1)",
            *[f"    {g} = np.empty({given[i]}.shape)" for g, (i, _) in zip(gradients, op.outputs, strict=True)],
            f"    entry({', '.join(f'{a}.ctypes' for a in [*given, 'shapes', 'value', *gradients])})",
            f"    return np.asarray(value[0]), {', '.join(gradients[: len(op.wrt)])}",
        ]
    )
    entry = types.ExternalFunction(symbol, _ENTRIES[symbol][1])
    scope: dict[str, Any] = {"np": np, "entry": entry}
    exec(source, scope)  # the text holds nothing but argument numbers and the kernel's own name
    return numba_njit(scope[op.name])


def register_jax() -> None:
    """Let PyTensor's jax backend run kernels too, as callbacks to the compiled code.

    Raises
    ------
    ImportError
        If jax is not installed. It takes seconds to import, hence a function for those who ask for it.
    """
    from pytensor.link.jax.dispatch.basic import jax_funcify

    @jax_funcify.register(FusedOp)
    def call_from_jax(op: FusedOp, **_: Any) -> Any:
        jax: Any = import_module("jax")

        def run(*inputs: Any) -> tuple[np.ndarray, ...]:
            results = _call(op, [np.require(x, requirements="C") for x in inputs])
            return tuple(np.asarray(r, dtype="float64") for r in results[: 1 + len(op.wrt)])

        def call(*inputs: Any) -> Any:
            shapes = [(), *(x.shape for x in inputs[: len(op.wrt)])]
            return jax.pure_callback(run, tuple(jax.ShapeDtypeStruct(s, "float64") for s in shapes), *inputs)

        return call
