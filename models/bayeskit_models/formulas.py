"""Formulas of covariates: what they may hold, which columns they need, and the matrix they make of coded rows.

Formulas are Wilkinson's, read by formulaic. formulaic evaluates Python in them, and a saved run carries its formulas: so every
factor is checked first, and only names, arithmetic and a few functions pass.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeskit.errors import SpecificationError, suggest

__all__ = ["FUNCTIONS", "Terms", "design", "read_formula"]

FloatArray = NDArray[np.float64]

FUNCTIONS: dict[str, Any] = {
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "sqrt": np.sqrt, "abs": np.abs,
}  # fmt: skip
"""Functions that a formula may call, beside ``C(x)`` (take as categories) and ``I(...)`` (arithmetic as it stands)."""

_STATEFUL = ("center", "scale", "standardize", "bs", "cr", "cc", "cs", "poly", "lag", "hashed")
_NODES = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp, ast.Add, ast.Sub, ast.Mult, ast.Div,
    ast.Pow, ast.USub, ast.UAdd, ast.Compare, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq,
)  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """A formula that passed.

    Attributes
    ----------
    setting : str
        The setting that it stands in, for messages.
    intercept : bool
        Whether it has one.
    text : str
        The other terms in canonical form; empty where there are none.
    variables : tuple of str
        Columns that it needs, sorted.
    parts : tuple
        The terms themselves, as formulaic has them.
    """

    setting: str
    intercept: bool
    text: str
    variables: tuple[str, ...]
    parts: tuple[Any, ...] = field(repr=False)


@lru_cache(maxsize=256)
def read_formula(setting: str, text: str, implicit_intercept: bool) -> Terms:
    """Parse and check one formula.

    Parameters
    ----------
    setting : str
        The setting that it stands in, for messages.
    text : str
        Such as ``"1 + treatment + log(age)"``: the right-hand side alone.
    implicit_intercept : bool
        Whether a formula without ``1`` or ``0`` has an intercept.

    Raises
    ------
    SpecificationError
        If it cannot be read, has a left-hand side, or calls what is not allowed.
    """
    formula = _parsed(setting, text, implicit_intercept)
    terms = [term for term in formula if str(term) != "1"]
    variables = sorted({str(v) for v in formula.required_variables})
    for term in terms:
        for factor in term.factors:
            if getattr(factor.eval_method, "value", "") == "python":
                _check_expression(setting, factor.expr)
            elif factor.expr not in variables:
                raise SpecificationError(f"{setting}: {factor.expr!r} is no column name; write `{factor.expr}` if it is.")
    return Terms(setting, len(terms) < len(formula), " + ".join(str(t) for t in terms), tuple(variables), tuple(terms))


def _parsed(setting: str, text: str, implicit_intercept: bool) -> Any:
    from formulaic import Formula
    from formulaic.errors import FormulaicError
    from formulaic.formula import SimpleFormula
    from formulaic.parser import DefaultFormulaParser

    if not isinstance(text, str) or not text.strip():
        raise SpecificationError(f"{setting}={text!r}: a formula is text, such as '1 + age'; '1' is an intercept alone.")
    try:
        formula = Formula(text, _parser=DefaultFormulaParser(include_intercept=implicit_intercept))
    except (FormulaicError, SyntaxError) as error:
        raise SpecificationError(f"{setting}={text!r} is no formula: {str(error).splitlines()[0]}") from None
    if not isinstance(formula, SimpleFormula):
        raise SpecificationError(f"{setting}={text!r}: give the right-hand side alone, without '~' and '|'.")
    return formula


def _check_expression(setting: str, expression: str) -> None:
    """Let names, numbers, arithmetic and the allowed functions pass, and nothing else."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError:
        raise SpecificationError(f"{setting}: {expression!r} is no expression.") from None
    allowed = [*FUNCTIONS, "C", "I"]
    for node in ast.walk(tree):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
        if name in _STATEFUL:
            raise SpecificationError(
                f"{setting}: {name}(...) learns from the rows that it is given, and would mean another thing for new ones. "
                "Make it a column of the table; covariates are centred and scaled for you."
            )
        if isinstance(node, ast.Call) and (name not in allowed or node.keywords):
            called = ast.unparse(node.func)
            raise SpecificationError(
                f"{setting}: a formula may not call {called!r}.{suggest(called, allowed)} It may call {', '.join(allowed)}, "
                "without named arguments."
            )
        if not isinstance(node, _NODES) or (isinstance(node, ast.Constant) and not isinstance(node.value, int | float)):
            raise SpecificationError(
                f"{setting}: {expression!r} holds {ast.unparse(node)!r}. A formula holds columns, numbers, arithmetic and "
                f"{', '.join(allowed)}; a column whose name is no plain word stands in `backquotes`."
            )


def design(
    terms: Terms, columns: Mapping[str, NDArray[Any]], levels: Mapping[str, Sequence[str]]
) -> tuple[FloatArray, tuple[str, ...]]:
    """The columns of a formula, without its intercept.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        Covariates by name: numbers, or codes where `levels` has labels.
    levels : mapping
        Labels of the covariates that are labels, first the one that the others are compared with.

    Returns
    -------
    matrix : ndarray, shape (n, terms)
    names : tuple of str

    Raises
    ------
    SpecificationError
        If a function has no finite value for some row.
    """
    import pandas as pd
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    size = len(next(iter(columns.values()))) if columns else 0
    if not terms.text:
        return np.zeros((size, 0)), ()
    frame = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(columns[name], list(levels[name])) if name in levels else columns[name]
            for name in terms.variables
        }
    )
    try:
        with np.errstate(all="ignore"):
            # always with an intercept, so that categories are coded against the first one whatever the component has
            whole = Formula(["1", *terms.parts])
            found = whole.get_model_matrix(frame, context=dict(FUNCTIONS), na_action="ignore", output="pandas")
    except FormulaicError as error:
        raise SpecificationError(f"{terms.setting}: {str(error).splitlines()[0]}") from None
    names = tuple(str(c) for c in found.columns if c != "Intercept")
    matrix = found.loc[:, list(names)].to_numpy(dtype=float)
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = bad[0]
        raise SpecificationError(
            f"{terms.setting}: {names[column]!r} has no finite value in {len(np.unique(bad[:, 0]))} rows, the first of them "
            f"row {row}."
        )
    return matrix, names
