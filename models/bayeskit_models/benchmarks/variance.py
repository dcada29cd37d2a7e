"""From a fit to variance components, and what follows from them: designs, stability, signal to noise, pass@k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeskit.errors import SpecificationError
from bayeskit.estimands import interval
from bayeskit_models.benchmarks.decomposition import Components, link_components, score_components
from bayeskit_models.benchmarks.design import Design, design, error_variance
from bayeskit_models.benchmarks.pass_at_k import pass_at_k_new_items
from bayeskit_models.benchmarks.snr import seed_noise, signal_to_noise
from bayeskit_models.benchmarks.stability import Stability, stability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayeskit_models.benchmarks.benchmark_fit import BenchmarkFit
    from bayeskit_models.benchmarks.quantities import Quantities

__all__ = ["components_of", "design_of", "pass_at_k_of", "sizes_of", "snr_of", "stability_of", "thinned"]

_DRAWS = 1000  # evenly spaced: the components are averages over two nested effects, for every pair of models

_ARGUMENTS = {"item_sd": "item_sd", "item_model_sd": "model_item_sd", "cluster_sd": "cluster_sd", "run_sd": "run_sd",
              "template_sd": "template_sd", "model_template_sd": "model_template_sd"}  # fmt: skip


def thinned(size: int) -> NDArray[np.int64]:
    """Places of at most `_DRAWS` evenly spaced draws."""
    return np.linspace(0, size - 1, min(size, _DRAWS)).astype(np.int64)


def components_of(fit: BenchmarkFit, benchmark: str | None, scale: str) -> Components:
    """Variance components of one benchmark, or their mean over all; see `BenchmarkFit.components`."""
    if scale not in ("score", "link"):
        raise SpecificationError(f"scale={scale!r}: 'score' (what people read) or 'link' (log odds).")
    known = fit.benchmarks
    places = range(len(known)) if benchmark is None else [fit._place(benchmark, known, "benchmark")]
    found = [_one(fit, b, scale) for b in places]
    if len(found) == 1:
        return found[0]
    draws = {name: np.mean([c.get(name) for c in found], axis=0) for name in found[0].draws}
    label = f"{found[0].label}, mean over {len(found)} benchmarks"
    return Components(draws, label, found[0].units, found[0].population, mean=np.mean([c.mean for c in found], axis=0))


def _one(fit: BenchmarkFit, place: int, scale: str) -> Components:
    found = fit.predictor
    take = thinned(len(found))
    sds = {_ARGUMENTS[name]: v[take, place] for name, v in found.sd.items()}
    eta = np.ascontiguousarray(found.mean[take, place])
    own = found.own[take, place]
    if fit.spec.law.linear:
        centre, spread = found.unit
        sds = {name: spread * v for name, v in sds.items()}
        label = "variance components of one score"
        within = (spread * own) ** 2
        return link_components(centre + spread * eta, within=within, label=label, units="squared score", **sds)
    if scale == "link":
        return link_components(eta, **sds)
    if fit.spec.law.ends:
        low, high = found.cuts[take, place].T
        return score_components(eta, ends=(low, high, own), **sds)
    out = score_components(eta, chance=float(found.chance[place]), **sds)
    if fit.spec.family != "beta_binomial":
        return out
    alike = 1.0 / (1.0 + own)  # correlation of the answers of a model to an item, given the difficulty of the item
    within = out.draws["within"]
    both = out.draws.get("model_item", 0.0) + within * alike
    return replace(out, draws={**out.draws, "model_item": both, "within": within * (1.0 - alike)})


def sizes_of(fit: BenchmarkFit) -> dict[str, int]:
    """Sizes of the design at hand, by facet: the mean over benchmarks and models, rounded."""
    statistics = fit._need_statistics("describe its design")
    benchmarks, models = statistics.sizes["benchmark"], statistics.sizes["model"]
    weight = statistics["unit_weight"].values
    unit = np.repeat(np.arange(len(weight)), np.diff(statistics["unit_ptr"].values))
    trials, cells = float((statistics["n"].values * weight[unit]).sum()), float(weight[unit].sum())
    out = {"items": 1, "samples": 1, "seeds": 1, "templates": 1}
    if statistics.attrs["integrated"] == "item":
        out |= {"items": round(weight.sum() / benchmarks), "samples": max(round(trials / cells), 1)}
    else:
        out["items"] = max(round(trials / cells), 1)
    if "run" in statistics.sizes:
        out["seeds"] = max(round(statistics.sizes["run"] / (models * benchmarks)), 1)
    if "template_place" in statistics.sizes:
        out["templates"] = max(round(statistics.sizes["model_template"] / (models * benchmarks)), 1)
    return out


def _items_per_cluster(fit: BenchmarkFit) -> float:
    statistics = fit._need_statistics("count clusters")
    if "cluster_place" not in statistics.sizes:
        return 1.0
    return max(float(statistics["unit_weight"].sum()) / statistics.sizes["cluster_place"], 1.0)


def design_of(
    fit: BenchmarkFit,
    benchmark: str | None,
    sizes: Mapping[str, int | Sequence[int] | None],
    cost: Mapping[str, float] | None,
    power: float,
    level: float,
) -> Design:
    """See `BenchmarkFit.design`."""
    here = sizes_of(fit)
    asked = {name: np.atleast_1d(here[name] if values is None else values).tolist() for name, values in sizes.items()}
    fixed = ("items",) if fit.spec.items == "fixed" else ()
    components = components_of(fit, benchmark, "score")
    return design(
        components, **asked, cost=cost, power=power, level=level, fixed=fixed, items_per_cluster=_items_per_cluster(fit)
    )


def stability_of(fit: BenchmarkFit, benchmark: str | None, sizes: Mapping[str, int | None]) -> Stability:
    """See `BenchmarkFit.stability`."""
    here = sizes_of(fit)
    asked = {name: here[name] if value is None else int(value) for name, value in sizes.items()}
    if min(asked.values()) < 1:
        raise SpecificationError(f"sizes {asked}: each must be at least 1.")
    components = components_of(fit, benchmark, "score")
    fixed = ("items",) if fit.spec.items == "fixed" else ()
    error = error_variance(components, asked, fixed=fixed, items_per_cluster=_items_per_cluster(fit))
    if benchmark is None:
        error = error / len(fit.benchmarks)  # the mean over benchmarks, each repeated
    scores = fit.score_draws(benchmark, "random")
    return stability(scores[thinned(len(scores))], error, population=f"a repetition with {_listed(asked)}")


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name if n != 1 else name.removesuffix('s')}" for name, n in sizes.items())


def snr_of(fit: BenchmarkFit, benchmark: str | None) -> Quantities:
    """See `BenchmarkFit.snr`."""
    if "run_sd" not in fit.predictor.sd:
        raise SpecificationError("snr: the noise is that of training seeds; the table has no column of seeds.")
    name = _named(fit, benchmark)
    components = components_of(fit, name, "score")
    sizes = sizes_of(fit)
    noise = seed_noise(components, sizes["items"], sizes["samples"] * sizes["templates"])
    between = np.sqrt(np.maximum(components["model"], 0.0)) if "model" in components.draws else None
    chance = float(fit.predictor.chance[fit._place(name, fit.benchmarks, "benchmark")])
    assert components.mean is not None
    return signal_to_noise(components.mean, noise, chance=chance, between=between)


def pass_at_k_of(fit: BenchmarkFit, ks: Sequence[int], benchmark: str | None, prob: float) -> pd.DataFrame:
    """See `BenchmarkFit.pass_at_k`."""
    place = fit._place(_named(fit, benchmark), fit.benchmarks, "benchmark")
    found = fit.predictor
    take = thinned(len(found))
    if fit.spec.family != "binomial":
        raise SpecificationError(
            f"pass_at_k: it is about right and wrong answers of family 'binomial', not {fit.spec.family!r}."
        )
    draws = pass_at_k_new_items(found.mean[take, place], found.total_sd()[take, place], ks, chance=float(found.chance[place]))
    ends = interval(draws.reshape(len(draws), -1), prob)
    index = pd.MultiIndex.from_product([fit.models, list(ks)], names=["model", "k"])
    table = {"pass_at_k": draws.mean(0).ravel(), "lower": ends[:, 0], "upper": ends[:, 1]}
    out = pd.DataFrame(table, index=index)
    out.attrs = {"prob": prob, "kind": "eti", "population": fit._words("random")}
    return out


def _named(fit: BenchmarkFit, benchmark: str | None) -> str:
    """The benchmark that is meant, where there is no mean over several."""
    if benchmark is None and len(fit.benchmarks) > 1:
        raise SpecificationError(
            f"benchmark: name one of {', '.join(fit.benchmarks[:10])}; a mean over them has no meaning here."
        )
    return fit.benchmarks[0] if benchmark is None else benchmark
