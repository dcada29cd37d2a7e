"""From rows to what the likelihood reads: counts by item and column, with identical items folded.

A *column* is one linear predictor: model x training run x template on a benchmark. A *unit* is what is integrated out of the
likelihood: an item, or a training run where continuous scores come without items. Its cells, one for each column that met it,
lie together. Units with the same cells are one unit with a weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit.errors import DataError
from bayeskit_models.benchmarks.assumptions import check_chance
from bayeskit_models.benchmarks.centring import centring_weights, ratio_weight
from bayeskit_models.benchmarks.families import FAMILIES, RATIO, SUMS
from bayeskit_models.benchmarks.ordered_scores import ordered_sums
from bayeskit_models.benchmarks.training import last_checkpoints, steps_of, totals_by_checkpoint

if TYPE_CHECKING:
    from bayeskit import Rows
    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["ALL", "AUTO", "fold_units", "reduce_rows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

AUTO = "auto"
"""Setting of a facet: the column of its usual name where the table has one."""

ALL = "all"
"""Name of the benchmark, or the model, where the table names none."""

_GROUPS_WITH_REPEATS = 0.5  # share of model x item groups with repeats from which their interaction is estimated


def reduce_rows(spec: BenchmarkVariance, rows: Rows) -> xr.Dataset:
    """Statistics of the likelihood; see the module."""
    kept = np.flatnonzero(~rows.missing["score"]) if "score" in rows.missing else np.arange(rows.n)
    missing = rows.n - len(kept)
    code = {r: np.asarray(v)[kept] for r, v in rows.columns.items()}
    for role in ("benchmark", "model"):
        code.setdefault(role, np.zeros(len(kept), dtype=np.int64))
    check_chance(spec, rows.levels.get("benchmark", (ALL,)))
    curves: dict[str, Any] = {}
    if "checkpoint" in code:
        step = steps_of(spec, rows)[code.pop("checkpoint")]
        sizes = (len(rows.levels.get("model", (ALL,))), len(rows.levels.get("benchmark", (ALL,))))
        curves = totals_by_checkpoint(code, step, sizes, spec.law.linear)
        final = last_checkpoints(code["model"], step)
        kept, code = kept[final], {role: v[final] for role, v in code.items()}
    integrated = "item" if "item" in code else "run" if "seed" in code and spec.law.linear else "none"
    column, facets = _columns(code, integrated)
    unit, home = _units(spec, rows, code, facets, integrated)
    cells = _cells(spec, rows, code, kept, unit, column)
    data: dict[str, Any] = {k: (("column",), v) for k, v in facets.items() if k.startswith("column_")}
    data |= {k: (("run",), v) for k, v in facets.items() if k.startswith("run_")}
    data |= {k: (("template_place",), v) for k, v in facets.items() if k.startswith("template_place_")}
    data |= {k: (("model_template",), v) for k, v in facets.items() if k.startswith("model_template_")}
    cluster = home.pop("cluster", None)
    if cluster is not None:
        data["cluster_benchmark"] = (("cluster_place",), cluster[1])
        data["cluster_code"] = (("cluster_place",), cluster[2])
    unit_of_score = cells.pop("unit_of_score", None)
    if unit_of_score is not None:
        data["unit_of_score"] = (("end",), unit_of_score)
    folded = fold_units(cells, home["benchmark"], None if cluster is None else cluster[0])
    data |= folded
    order = np.argsort(data["member_unit"][1], kind="stable")
    data["member_unit"] = (("member",), data["member_unit"][1][order])
    data |= {f"member_{k}": (("member",), v[order]) for k, v in home.items()}
    data["missing"] = ((), missing)
    data |= curves
    coords: dict[str, Any] = {
        "model": list(rows.levels.get("model", (ALL,))),
        "benchmark": list(rows.levels.get("benchmark", (ALL,))),
    }
    coords |= {
        f"{role}_label": list(rows.levels[role]) for role in ("item", "cluster", "seed", "template") if role in rows.levels
    }
    interaction = _interaction(spec, integrated, data)
    data |= _centring(integrated, len(rows.levels.get("benchmark", (ALL,))), data)
    return xr.Dataset(data, coords=coords, attrs={"integrated": integrated, "interaction": int(interaction)})


def _joint(code: dict[str, IntArray], *roles: str) -> tuple[IntArray, dict[str, IntArray]]:
    """Place of every row among the combinations of some roles that occur, and the codes of those combinations."""
    stacked = np.stack([code[r] for r in roles])
    sizes = stacked.max(1) + 1
    key = np.ravel_multi_index(tuple(stacked), tuple(sizes))
    found, place = np.unique(key, return_inverse=True)
    parts = np.unravel_index(found, tuple(sizes))
    return place.reshape(-1), {r: np.asarray(p, dtype=np.int64) for r, p in zip(roles, parts, strict=True)}


def _columns(code: dict[str, IntArray], integrated: str) -> tuple[IntArray, dict[str, IntArray]]:
    """Column of every row, and what each column is made of."""
    out: dict[str, IntArray] = {}
    roles = ["benchmark", "model"]
    if "seed" in code:
        code["run"], run = _joint(code, "benchmark", "model", "seed")
        out |= {f"run_{k}": v for k, v in run.items()}
        roles += ["run"] if integrated != "run" else []  # else runs are integrated out
    if "template" in code:
        code["template_place"], place = _joint(code, "benchmark", "template")
        code["model_template"], both = _joint(code, "benchmark", "model", "template")
        out |= {f"template_place_{k}": v for k, v in place.items()} | {f"model_template_{k}": v for k, v in both.items()}
        roles += ["template_place", "model_template"]
    column, parts = _joint(code, *roles)
    return column, out | {f"column_{k}": v for k, v in parts.items()}


def _units(
    spec: BenchmarkVariance, rows: Rows, code: dict[str, IntArray], facets: dict[str, IntArray], integrated: str
) -> tuple[IntArray, dict[str, Any]]:
    """Unit of every row; benchmark and label of each unit, and its cluster."""
    if "item" in code:
        unit, home = _joint(code, "benchmark", "item")
    elif integrated == "run":
        unit, home = code["run"], {k.removeprefix("run_"): v for k, v in facets.items() if k.startswith("run_")}
    else:  # nothing is integrated: one unit for each column
        unit, home = _joint(code, *(r for r in ("benchmark", "model", "seed", "template") if r in code))
    if "cluster" not in code:
        return unit, dict(home)
    place, cluster = _joint(code, "benchmark", "cluster")
    low, high = np.full(len(home["benchmark"]), len(place)), np.full(len(home["benchmark"]), -1)
    np.minimum.at(low, unit, place)
    np.maximum.at(high, unit, place)
    torn = np.flatnonzero(low != high)
    if len(torn):
        label = rows.levels["item"][home["item"][torn[0]]]
        raise DataError(
            f"{len(torn)} items lie in more than one cluster, such as {label!r}.", column=spec.column_of("cluster"),
            values=[rows.levels["cluster"][cluster["cluster"][p]] for p in (low[torn[0]], high[torn[0]])],
            rule="an item of a benchmark belongs to one cluster.", fix="correct the clusters, or make item labels unique.",
        )  # fmt: skip
    return unit, {**home, "cluster": (low, cluster["benchmark"], cluster["cluster"])}


def _cells(
    spec: BenchmarkVariance, rows: Rows, code: dict[str, Any], kept: IntArray, unit: IntArray, column: IntArray
) -> dict[str, NDArray[Any]]:
    """Sums over the rows of each unit x column: column, and successes and trials."""
    if "sample" in code:
        _check_repeats(spec, rows, code, kept, unit, column)
    score = code["score"].astype(np.float64)
    trials = code["trials"].astype(np.float64) if "trials" in code else np.ones(len(score))
    size = int(column.max()) + 1
    found, place = np.unique(unit * size + column, return_inverse=True)
    place = place.reshape(-1)
    out = {
        "unit": found // size, "column": found % size, "n": np.bincount(place, trials, len(found)),
        "group": np.bincount(place, code["model"], len(found)) // np.bincount(place, minlength=len(found)),
    }  # fmt: skip
    if spec.law.linear:
        return out | _sums(spec, code, score, trials, place)
    if spec.law.ends:
        return out | ordered_sums(score, place)
    over = np.flatnonzero(score > trials)
    if len(over):
        raise DataError(
            f"{len(over)} rows have more successes than trials.", column=spec.score, rows=kept[over[:1000]].tolist(),
            found=len(over), values=score[over[:5]].tolist(), rule="0 <= score <= trials.", fix="correct the counts.",
        )  # fmt: skip
    if not trials.any():
        raise DataError(
            "holds no trial.", column=spec.column_of("trials"), rule="one row or more has a trial.",
            fix="leave rows without trials out, or check the column.",
        )  # fmt: skip
    return out | {"k": np.bincount(place, score, len(found))}


def _sums(
    spec: BenchmarkVariance, code: dict[str, Any], score: FloatArray, trials: FloatArray, place: IntArray
) -> dict[str, NDArray[Any]]:
    """Of continuous scores: what counts as 0 and 1, and in that unit the sum of each cell and the squares about its mean."""
    spread = code["sd"].astype(np.float64) if "sd" in code else np.zeros(len(score))
    middle = float(np.average(score, weights=trials))
    away = float(np.sqrt(np.average((score - middle) ** 2 + spread**2, weights=trials)))
    if spec.unit is None and not away > 0.0:
        raise DataError(
            f"every score is {middle:g}.",
            column=spec.score,
            rule="scores differ.",
            fix="check the column: nothing can be learned.",
        )
    unit = (middle, away) if spec.unit is None else spec.unit
    y, sd = (score - unit[0]) / unit[1], spread / unit[1]
    n, total = (np.bincount(place, w) for w in (trials, trials * y))
    about = np.divide(total, n, out=np.zeros_like(total), where=n > 0.0)
    square = np.bincount(place, trials * (y - about[place]) ** 2 + np.maximum(trials - 1.0, 0.0) * sd**2)
    return {"total": total, "square": square, "unit_of_score": np.array(unit, dtype=np.float64)}


def _check_repeats(
    spec: BenchmarkVariance, rows: Rows, code: dict[str, Any], kept: IntArray, unit: IntArray, column: IntArray
) -> None:
    """With samples named, each occurs once in a unit and column."""
    place, _ = _joint({"unit": unit, "column": column, "sample": code["sample"]}, "unit", "column", "sample")
    counts = np.bincount(place)
    twice = np.flatnonzero(counts[place] > 1)
    if len(twice):
        raise DataError(
            f"{len(twice)} rows repeat a sample of the same model, item, seed and template.", column=spec.column_of("sample"),
            rows=kept[twice[:1000]].tolist(), found=len(twice), rule="each sample is one row.",
            fix="drop the copies; samples that were drawn anew need labels of their own.",
        )  # fmt: skip


def fold_units(
    cells: dict[str, NDArray[Any]], benchmark: IntArray, cluster: IntArray | None
) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """Units with equal benchmark, cluster, columns and counts become one; the result names every array's dimensions.

    Two independent 64-bit sums of mixed cells find candidates; that they are equal is then checked cell by cell.
    """
    units = len(benchmark)
    size = np.bincount(cells["unit"], minlength=units)
    sums = ("column", *(name for name in SUMS if name in cells))
    ptr = np.concatenate([[0], np.cumsum(size)])
    marks = []
    for salt in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F):
        mixed = np.zeros(len(cells["unit"]), dtype=np.uint64)
        for name in sums:
            mixed = _mix(mixed ^ np.ascontiguousarray(cells[name], dtype=np.float64).view(np.uint64), salt)
        mark = np.add.reduceat(mixed, ptr[:-1])
        for extra in (benchmark, size, np.zeros(units, dtype=np.int64) if cluster is None else cluster + 1):
            mark = _mix(mark ^ extra.astype(np.uint64), salt)
        marks.append(mark)
    _, first, place = np.unique(np.stack(marks, axis=1), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # units in the order of their first item: neighbours in memory
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, place = first[order], rank[place.reshape(-1)]
    twin = np.repeat(ptr[first[place]] - ptr[:-1], size) + np.arange(len(cells["unit"]))
    if not all((cells[name] == cells[name][twin]).all() for name in sums):
        raise AssertionError("two different items had the same marks")
    taken = np.concatenate([np.arange(ptr[u], ptr[u + 1]) for u in first]) if len(first) < units else np.arange(ptr[-1])
    out: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "unit_ptr": (("unit_edge",), np.concatenate([[0], np.cumsum(size[first])])),
        "unit_benchmark": (("unit",), benchmark[first]),
        "unit_weight": (("unit",), np.bincount(place, minlength=len(first)).astype(np.float64)),
        "cell_column": (("cell",), cells["column"][taken]),
        "cell_group": (("cell",), cells["group"][taken].astype(np.int64)),
        "cell_unit": (("cell",), np.repeat(np.arange(len(first)), size[first])),
        "member_unit": (("member",), place),
    }
    out |= {name: (("cell",), cells[name][taken]) for name in sums[1:]}
    if cluster is not None:
        out["unit_cluster"] = (("unit",), cluster[first])
    return out


def _mix(x: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """One round of a 64-bit finaliser (Steele, Lea and Flood 2014, SplitMix64)."""
    x = x + np.uint64(salt)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _centring(integrated: str, benchmarks: int, data: dict[str, Any]) -> dict[str, Any]:
    """Weights of the sampler's coordinates; they change no answer."""
    weight = data["unit_weight"][1][data["cell_unit"][1]]
    column = data["cell_column"][1]
    n = weight * data["n"][1]
    home = data["column_run"][1][column] if "column_run" in data else column
    home = data["cell_unit"][1] if integrated == "run" else home
    size = int(home.max()) + 1
    model, benchmark = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    model[home], benchmark[home] = data["column_model"][1][column], data["column_benchmark"][1][column]
    seen = np.bincount(home, n, size)
    there = seen > 0.0
    if "square" not in data:
        share = (np.bincount(home, weight * data["k" if "k" in data else "total"][1], size) + 0.5) / (seen + 1.0)
        y, error = np.log(share / (1.0 - share)), 1.0 / ((seen + 1.0) * share * (1.0 - share))
    else:
        y = np.bincount(home, weight * data["total"][1], size) / np.maximum(seen, 1.0)
        within = np.average(data["square"][1], weights=weight) / max(float(np.average(data["n"][1], weights=weight)), 1.0)
        error = np.maximum(within, 1e-12) / np.maximum(seen, 1.0)
    found = centring_weights(y[there], error[there], model[there], benchmark[there])
    out: dict[str, Any] = {
        "centring_ability": ((), float(found["ability"][0])), "centring_scales": (("effect",), found["scales"]),
    }  # fmt: skip
    by_benchmark = np.zeros(benchmarks)
    by_benchmark[: len(found["model_benchmark"])] = found["model_benchmark"]
    out["centring_model_benchmark"] = (("benchmark",), by_benchmark)
    if "column_run" in data:
        by_run = np.zeros(size)
        by_run[there] = found["run"]
        out["centring_run"] = (("run",), by_run)
    wide = float(benchmark.max()) + 1.0  # levels by benchmark
    cells, pairs = float(weight.sum()), len(np.unique(model + 1j * benchmark))
    levels = {"item_sd": data["unit_weight"][1].sum(), "item_model_sd": cells, "run_sd": len(seen) - pairs, "precision": cells,
              "noise_sd": n.sum()}  # fmt: skip
    ratios = {"noise_sd": FAMILIES["gaussian"].ratio}
    return out | {
        f"centring_{name}": ((), ratio_weight(value / wide, ratios.get(name, RATIO))) for name, value in levels.items()
    }


def _interaction(spec: BenchmarkVariance, integrated: str, data: dict[str, Any]) -> bool:
    """Whether the interaction of model and item is a variable of its own."""
    if integrated != "item" or spec.interaction is False or spec.family == "beta_binomial":
        return False
    if spec.interaction is True:
        return True
    ptr, group, n = (data[name][1] for name in ("unit_ptr", "cell_group", "n"))
    unit = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    key = unit * (int(group.max()) + 1) + group
    _, place = np.unique(key, return_inverse=True)
    return bool((np.bincount(place.reshape(-1), n) > 1.0).mean() >= _GROUPS_WITH_REPEATS)
