"""Saving and loading runs: one netCDF file, or the folder that a run streamed its draws into. Never pickle.

Everything that is not an array is one JSON string in the file's attributes, so nothing is executed on loading
and the models that a file can name are the registered ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.builder import plain
from bayeskit.errors import StorageError
from bayeskit.registry import from_json

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder
    from bayeskit.fit import Fit

__all__ = ["FORMAT_VERSION", "begin_store", "load", "save"]

FORMAT_VERSION = 1
_ATTRIBUTE = "bayeskit"
_STATISTICS = "statistics"
_DESIGN = "design"
_BOOLEAN = "boolean"
_LARGEST_RATIO = 1100  # deflate compresses by 1032 at most
_STORE_RECORD = "bayeskit_run.json"
_STORE_STATISTICS = "bayeskit_statistics.nc"


def save(fit: Fit, path: str | Path, *, statistics: bool | None = None) -> Path:
    """Save a fit to one netCDF file (written aside and moved into place, so a crash leaves no half file).

    Parameters
    ----------
    path : path
        File to write.
    statistics : bool, optional
        Keep the statistics, which refitting needs. Default: kept where they are aggregated, left out where
        they are row by row (rows may be patients).

    Returns
    -------
    Path

    Raises
    ------
    StorageError
        If the folder does not exist or cannot be written.
    """
    import xarray as xr

    path = Path(path)
    keep = (not fit.spec.row_level_statistics) if statistics is None else statistics
    tree = {name: node.to_dataset() for name, node in fit.draws.children.items()}
    if keep and fit.statistics is not None:
        tree[_STATISTICS] = _plain_attributes(fit.statistics)
    elif fit.aggregate is not None:
        tree[_DESIGN] = _plain_attributes(fit.aggregate)
    record = _record(fit, kept=_STATISTICS in tree)
    stored = {name: _storable(data) for name, data in tree.items()}
    record["digest"] = _digest(stored, record)
    out = xr.DataTree.from_dict(stored)
    out.attrs[_ATTRIBUTE] = json.dumps(record, ensure_ascii=False)
    part = path.with_name(path.name + ".part")
    try:
        encoding = {
            f"/{name}": {
                v: {"zlib": True, "complevel": 4}
                for v in data.data_vars
                if data[v].dtype.kind in "fiu" and data[v].ndim and data[v].size
            }
            for name, data in stored.items()
        }
        out.to_netcdf(part, engine="h5netcdf", encoding=encoding)
        os.replace(part, path)
    except OSError as error:
        raise StorageError(f"Cannot write {path.name!r}: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def load(path: str | Path) -> Any:
    """Load a run saved by `Fit.save`, or the folder of a run that was streamed with ``store=``.

    A streamed run that was killed comes back with ``partial=True``, trimmed to the draws that every chain
    has.

    Raises
    ------
    StorageError
        For a missing, truncated or foreign file, or one written by a newer version of the format.
    """
    path = Path(path)
    if not path.exists():
        raise StorageError(f"There is no run at {str(path)!r}.")
    return _load_store(path) if path.is_dir() else _load_file(path)


def _load_file(path: Path) -> Fit:
    import xarray as xr

    try:
        with xr.open_datatree(path, engine="h5netcdf", phony_dims="access") as opened:
            if _ATTRIBUTE not in opened.attrs:
                raise StorageError(f"{path.name!r} is a netCDF file, but not a bayeskit run.")
            record = _checked(json.loads(opened.attrs[_ATTRIBUTE]), path.name)
            _refuse_bombs(opened, path)
            tree = {name: node.to_dataset().load() for name, node in opened.children.items()}
            digest = _digest(tree, record)
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StorageError(f"{path.name!r} cannot be read as a bayeskit run: it is damaged or of another kind.") from error
    if digest != record.get("digest") or "posterior" not in tree:
        raise StorageError(f"{path.name!r} does not match its own digest: the file was altered or damaged.")
    spec = from_json(record["spec"])
    tree = {k: _revive(v) for k, v in tree.items()}
    statistics, design = tree.pop(_STATISTICS, None), tree.pop(_DESIGN, None)
    for found in (statistics, design):
        if found is not None:
            found.attrs = json.loads(found.attrs["structure"])
    return _fit(spec, tree, statistics, record, design)


def _refuse_bombs(opened: xr.DataTree, path: Path) -> None:
    """Refuse declared sizes that no honest file of this length has, before anything is allocated."""
    declared = sum(node.to_dataset().nbytes for node in opened.children.values())
    if declared > _LARGEST_RATIO * path.stat().st_size + 2**20:
        raise StorageError(f"{path.name!r} declares {declared} bytes of data, which its length cannot hold: it is damaged.")


def _fit(
    spec: ModelBuilder,
    tree: dict[str, xr.Dataset],
    statistics: xr.Dataset | None,
    record: dict[str, Any],
    kept: xr.Dataset | None = None,
) -> Fit:
    import xarray as xr

    from bayeskit.fit import Fit

    cls = spec.fit_class or Fit
    levels = {k: tuple(v) for k, v in record["levels"].items()}
    return cls(
        spec, xr.DataTree.from_dict(dict(tree)), statistics, dict(record["dials"]), levels, record["provenance"],
        partial=bool(record["partial"]), notes=tuple(record["notes"]), kept=kept,
    )  # fmt: skip


def _record(fit: Fit, kept: bool) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "spec": fit.spec.to_json(),
        "dials": fit.dials,
        "levels": {k: list(v) for k, v in fit.levels.items()},
        "provenance": fit.provenance,
        "partial": fit.partial,
        "notes": list(fit.notes),
        "statistics": "included" if kept else "omitted",
    }


def _checked(record: dict[str, Any], name: str) -> dict[str, Any]:
    found = record.get("format_version")
    if not isinstance(found, int) or found < 1:
        raise StorageError(f"{name!r} has no format version: it is not a bayeskit run.")
    if found > FORMAT_VERSION:
        raise StorageError(
            f"{name!r} has format version {found}; this bayeskit reads up to {FORMAT_VERSION}. Upgrade bayeskit to load it."
        )
    return record


def _digest(tree: Mapping[str, xr.Dataset], record: Mapping[str, Any]) -> str:
    """Digest of everything in the file: every variable and coordinate of every group, and the record."""
    digest = hashlib.sha256()
    told = {k: v for k, v in record.items() if k != "digest"}
    digest.update(json.dumps(told, sort_keys=True, ensure_ascii=False).encode())
    for group in sorted(tree):
        for name in sorted(map(str, tree[group].variables)):
            values = tree[group].variables[name].values
            digest.update(f"/{group}/{name} {tree[group].variables[name].dims}".encode())
            if values.dtype.kind in "biuf":
                digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
            else:
                digest.update(json.dumps([str(v) for v in values.ravel()], ensure_ascii=False).encode())
    return digest.hexdigest()


def _plain_attributes(statistics: xr.Dataset) -> xr.Dataset:
    structure = json.dumps({str(k): plain(v) for k, v in statistics.attrs.items()}, ensure_ascii=False)
    return statistics.drop_attrs().assign_attrs(structure=structure)


def _storable(dataset: xr.Dataset) -> xr.Dataset:
    """Booleans as small integers, labels as plain strings, attributes as JSON: what netCDF can hold and give back."""
    out = dataset.copy()
    for name in list(out.variables):
        attributes = {str(k): plain(v) for k, v in out[name].attrs.items()}
        if out[name].dtype.kind == "b":
            out[name] = out[name].astype(np.int8)
            attributes[_BOOLEAN] = True
        elif out[name].dtype.kind not in "iuf":
            out[name] = (out[name].dims, _strings(out[name].values))
        out[name].attrs = {_ATTRIBUTE: json.dumps(attributes, ensure_ascii=False)} if attributes else {}
        out[name].encoding = {}
    return out


def _strings(values: np.ndarray) -> np.ndarray:
    out = np.empty(values.shape, dtype=object)
    for index in np.ndindex(values.shape):
        out[index] = str(values[index])
    return out


def _revive(dataset: xr.Dataset) -> xr.Dataset:
    """Undo `_storable`."""
    for name in list(dataset.variables):
        attributes = json.loads(dataset[name].attrs.get(_ATTRIBUTE, "{}"))
        if attributes.pop(_BOOLEAN, False):
            dataset[name] = dataset[name].astype(bool)
        elif dataset[name].dtype.kind not in "iufb":
            dataset[name] = (dataset[name].dims, _strings(dataset[name].values))
        dataset[name].attrs = attributes
    return dataset


def begin_store(
    path: str | Path,
    spec: ModelBuilder,
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    levels: Mapping[str, tuple[str, ...]],
    record: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> None:
    """Prepare the folder of a streamed run: everything but the draws, so that a killed run can be understood.

    Raises
    ------
    StorageError
        If the folder exists and is not empty: a run never overwrites another.
    """
    folder = Path(path)
    if folder.exists() and any(folder.iterdir()):
        raise StorageError(f"store={str(path)!r} is not empty: give a new folder, so that no run is overwritten.")
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "format_version": FORMAT_VERSION, "spec": spec.to_json(), "dials": dict(dials), "notes": list(notes),
        "levels": {k: list(v) for k, v in levels.items()}, "provenance": dict(record),
    }  # fmt: skip
    _storable(_plain_attributes(statistics)).to_netcdf(folder / _STORE_STATISTICS, engine="h5netcdf")
    (folder / _STORE_RECORD).write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")


def _written(posterior: xr.Dataset, stats: xr.Dataset) -> dict[str, xr.Dataset]:
    """Load the draws that were written. A store is declared at its full length, which may be far more than memory."""
    from bayeskit.fit import KEPT_STATS

    logp = stats["logp"].transpose("chain", "draw")
    length = 0
    for chain in range(logp.sizes["chain"]):
        low, high = 0, logp.sizes["draw"]  # what is written is one run from the start
        while low < high:
            middle = (low + high) // 2
            if np.isfinite(float(logp[chain, middle])):
                low = middle + 1
            else:
                high = middle
        length = max(length, low)
    kept = [n for n in KEPT_STATS if n in stats]
    part = slice(0, length)
    return {"posterior": posterior.isel(draw=part).load(), "sample_stats": stats[kept].isel(draw=part).load()}


def _load_store(folder: Path) -> Fit:
    import xarray as xr

    from bayeskit.engine import STORE_DRAWS, RawDraws
    from bayeskit.fit import assemble, finished_draws

    try:
        record = _checked(json.loads((folder / _STORE_RECORD).read_text(encoding="utf-8")), folder.name)
        with xr.open_dataset(folder / _STORE_STATISTICS, engine="h5netcdf") as opened:
            statistics = _revive(opened.load())
        statistics.attrs = json.loads(statistics.attrs["structure"])
        with xr.open_datatree(str(folder / STORE_DRAWS), engine="zarr", consolidated=False) as draws:
            raw = _written(draws["posterior"].to_dataset(), draws["sample_stats"].to_dataset())
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StorageError(f"{folder.name!r} is not the folder of a streamed bayeskit run.") from error
    wanted = record["provenance"]["sampling"]
    counts = finished_draws(raw["posterior"])
    partial = len(counts) != wanted["chains"] or bool((counts < wanted["draws"]).any())
    levels = {k: tuple(v) for k, v in record["levels"].items()}
    draws_of = RawDraws(xr.DataTree.from_dict(raw), partial, wanted["seed"])
    return assemble(
        from_json(record["spec"]), statistics, draws_of, dict(record["dials"]), levels, record["provenance"],
        notes=tuple(record["notes"]),
    )  # fmt: skip
