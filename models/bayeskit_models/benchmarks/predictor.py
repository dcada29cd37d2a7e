"""Linear predictors of stored draws: the NumPy twin of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeskit_models.benchmarks.assumptions import chance_dials, effect_of, spreads
from bayeskit_models.benchmarks.families import CUTS

if TYPE_CHECKING:
    from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["Predictor", "pooled", "predictor_of"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Predictor:
    """What the likelihood and every score need, for S draws, on the log odds scale.

    Attributes
    ----------
    mean : (S, B, M)
        Linear predictor of each model on each benchmark, all other effects at 0.
    columns : (S, C)
        Linear predictor of every column, its own effects of runs and templates included.
    shift : (S, U)
        Effect of each unit's cluster.
    sd : dict of str to (S, B)
        Standard deviation of every effect, by benchmark.
    chance : (B,)
        Probability of a success by guessing; 0 for continuous scores.
    outer : (S, B)
        Standard deviation of the effect that is integrated out; 0 where none is.
    own : (S, B)
        The family's own parameter; 1 where it has none.
    cuts : (S, B, 2)
        Of a family with ends the lower and the upper cut; (S, B, 0) otherwise.
    unit : (float, float)
        What counts as 0 and as one unit on this scale: of continuous scores, in units of the score; (0, 1) otherwise.
    """

    mean: FloatArray
    columns: FloatArray
    shift: FloatArray
    sd: dict[str, FloatArray]
    chance: FloatArray
    outer: FloatArray
    own: FloatArray
    cuts: FloatArray
    unit: tuple[float, float]

    def __len__(self) -> int:
        return len(self.mean)

    def total_sd(self, *without: str) -> FloatArray:
        """Standard deviation of all effects together but those named, (S, B)."""
        parts = [v**2 for k, v in self.sd.items() if k not in without]
        shape = self.mean.shape[:2]
        return np.sqrt(sum(parts, np.zeros(shape)))


def pooled(draws: xr.Dataset) -> dict[str, FloatArray]:
    """Draws of every variable with chains and draws in one leading axis."""
    out = {}
    for name, variable in draws.data_vars.items():
        values = variable.transpose("chain", "draw", ...).values
        out[str(name)] = np.ascontiguousarray(values.reshape(-1, *values.shape[2:]), dtype=np.float64)
    return out


def predictor_of(
    spec: BenchmarkVariance, values: Mapping[str, FloatArray], statistics: xr.Dataset, dials: Mapping[str, float]
) -> Predictor:
    """Linear predictors at draws (draws first) of every variable that has a prior."""
    models, benchmarks = statistics.sizes["model"], statistics.sizes["benchmark"]
    mean = np.repeat(values["benchmark_mean"][:, :, None], models, axis=2)
    if "ability" in values:
        mean = mean + (values["ability_sd"][:, None] * values["ability"])[:, None, :]
    if "model_benchmark" in values:
        mean = mean + values["model_benchmark_sd"][:, None, None] * values["model_benchmark"]
    home = statistics["column_benchmark"].values
    columns = mean[:, home, statistics["column_model"].values]
    shift = np.zeros((len(mean), statistics.sizes["unit"]))
    sd: dict[str, FloatArray] = {}
    for name in spreads(statistics):
        ratio = values.get(f"{name}_ratio", np.ones((1, benchmarks)))
        sd[name] = values[name][:, None] * ratio
        effect = effect_of(statistics, name)
        if effect is None:
            continue
        if effect[1] == "cluster_place":
            shift = (values[name][:, None] * values[effect[0]])[:, statistics["unit_cluster"].values]
        else:
            own = sd[name][:, statistics[f"{effect[1]}_benchmark"].values] * values[effect[0]]
            columns = columns + own[:, statistics[f"column_{effect[1]}"].values]
    law, none = spec.law, np.zeros(mean.shape[:2])
    chance = np.zeros(benchmarks)
    if law.counted:
        chance = np.array([float(dials[name]) for name in chance_dials(spec, statistics)])
    own = np.ones(mean.shape[:2])
    if law.parameter is not None:
        own = values[law.parameter][:, None] * values.get(f"{law.parameter}_ratio", np.ones((1, benchmarks)))
    cuts = np.empty((*none.shape, 0))
    if law.ends:
        low, width = (values[name] for name in CUTS)
        cuts = np.stack([low, low + width], axis=2)
    outer = sd.get({"item": "item_sd", "run": "run_sd"}.get(str(statistics.attrs["integrated"]), ""), none)
    centre, spread = (float(x) for x in statistics["unit_of_score"].values) if law.linear else (0.0, 1.0)
    return Predictor(mean, columns, shift, sd, chance, np.broadcast_to(outer, none.shape), own, cuts, (centre, spread))
