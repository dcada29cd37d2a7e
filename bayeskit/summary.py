"""Tables of draws: one row an element, with an interval whose kind and probability are stated."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.estimands import interval

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["element_names", "flatten", "html_table", "summarise", "text_table"]

COLUMNS = ("mean", "sd", "median", "lower", "upper", "mcse_mean", "ess_bulk", "ess_tail", "r_hat")


def element_names(variable: xr.DataArray) -> list[str]:
    """Names of the elements of a variable: ``name`` or ``name[label, label]``."""
    dims = [d for d in variable.dims if d not in ("chain", "draw")]
    names = [str(variable.name)]
    if not dims:
        return names
    labels = [[str(x) for x in variable[d].values] for d in dims]
    grid = np.array(np.meshgrid(*[np.arange(len(v)) for v in labels], indexing="ij")).reshape(len(dims), -1).T
    return [f"{variable.name}[{', '.join(labels[i][j] for i, j in enumerate(row))}]" for row in grid]


def flatten(dataset: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """All elements of a Dataset of draws as one array, shape (chains, draws, elements), with their names."""
    names: list[str] = []
    blocks: list[np.ndarray] = []
    for name in dataset.data_vars:
        variable = dataset[name].transpose("chain", "draw", ...)
        names += element_names(variable)
        blocks.append(variable.values.reshape(*variable.shape[:2], -1).astype(float))
    return names, np.concatenate(blocks, axis=2) if blocks else np.empty((0, 0, 0))


def summarise(dataset: xr.Dataset, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
    """Mean, sd, median, interval, Monte Carlo error, effective sample sizes and R-hat of every element.

    A column that cannot be computed (one chain, a constant) is NaN, which never means "good".
    """
    import pandas as pd

    from bayeskit.checks import diagnostics

    names, values = flatten(dataset)
    pooled = values.reshape(-1, values.shape[2])
    bounds = interval(pooled, prob, kind)  # type: ignore[arg-type]
    found = diagnostics(values)
    table = {
        "mean": pooled.mean(0),
        "sd": pooled.std(0, ddof=1),
        "median": np.median(pooled, axis=0),
        "lower": bounds[:, 0],
        "upper": bounds[:, 1],
        **{k: found[k] for k in ("mcse_mean", "ess_bulk", "ess_tail", "r_hat")},
    }
    frame = pd.DataFrame(table, index=pd.Index(names, name="quantity"), columns=list(COLUMNS))
    frame.attrs = {"prob": prob, "kind": kind}
    return frame


def _short(dataset: xr.Dataset, prob: float) -> tuple[list[str], Any]:
    names, values = flatten(dataset)
    pooled = values.reshape(-1, values.shape[2])
    return names, np.column_stack([np.median(pooled, axis=0), interval(pooled, prob, "eti")])


def text_table(dataset: xr.Dataset, prob: float = 0.95) -> str:
    """Median and equal-tailed interval of every element as plain text."""
    names, numbers = _short(dataset, prob)
    width = max(map(len, names), default=8)
    head = f"{'':<{width}}  {'median':>10}  {prob:.0%} equal-tailed interval"
    rows = [f"{n:<{width}}  {m:>10.4g}  [{a:.4g}, {b:.4g}]" for n, (m, a, b) in zip(names, numbers, strict=True)]
    return "\n".join([head, *rows])


def html_table(dataset: xr.Dataset, prob: float = 0.95) -> str:
    """The same as an HTML table for notebooks; labels are escaped."""
    if not dataset.data_vars:
        return ""
    names, numbers = _short(dataset, prob)
    body = "".join(
        f'<tr><th scope="row">{escape(n)}</th><td>{m:.4g}</td><td>[{a:.4g}, {b:.4g}]</td></tr>'
        for n, (m, a, b) in zip(names, numbers, strict=True)
    )
    return (
        f'<table><thead><tr><th scope="col">quantity</th><th scope="col">median</th>'
        f'<th scope="col">{prob:.0%} equal-tailed interval</th></tr></thead><tbody>{body}</tbody></table>'
    )
