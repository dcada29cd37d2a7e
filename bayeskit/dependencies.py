"""Which assumption enters which: read from the declared priors and from the graph of the likelihood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bayeskit.graph import DIALS, BuiltModel, build

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder

__all__ = ["dependencies"]


def dependencies(spec: ModelBuilder, statistics: xr.Dataset) -> dict[str, tuple[str, ...]]:
    """What each part of a model takes from assumptions directly.

    The graph is built and read, not compiled.

    Parameters
    ----------
    spec : ModelBuilder
        The specification.
    statistics : Dataset
        Its statistics.

    Returns
    -------
    dict of str to tuple of str
        First the assumptions that have a prior or a constraint, then ``"likelihood of NAME"`` for each block of data; each with
        the names of the assumptions that enter it, in the order of their declaration. A choice that is a setting alone is in no
        graph, and enters nothing.
    """
    declared = spec.assumptions(statistics)
    built = build(spec, statistics)
    order = [a.name for a in declared]
    out = {a.name: tuple(dict.fromkeys(a.prior.references.values())) for a in declared if a.prior is not None}
    terms = {name: built.model[f"{name}__constraint"] for name in built.constraints}
    terms |= {f"likelihood of {name}": value for name, value in built.likelihoods.items()}
    for name, value in terms.items():
        found = set(_entering(built, value)) - {name}
        out[name] = tuple(a for a in order if a in found)
    return out


def _entering(built: BuiltModel, value: Any) -> Iterable[str]:
    """Assumptions whose variable or dial a term reads; behind a variable nobody looks."""
    from pytensor.graph.basic import Constant
    from pytensor.graph.traversal import walk

    names = {variable: name for name, variable in built.variables.items()}

    def parents(node: Any) -> list[Any]:
        return [] if node in names or node.owner is None else list(node.owner.inputs)

    dials = built.model.named_vars.get(DIALS)
    for node in walk([value], parents):
        if node in names:
            yield names[node]
        elif dials is not None and node.owner is not None and node.owner.inputs[0] is dials:
            places = [int(v.data) for v in node.owner.inputs[1:] if isinstance(v, Constant)]
            yield from (built.dial_names[place].split(".")[0] for place in places)
