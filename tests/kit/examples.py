"""Small models for the kit's own tests: closed forms, posteriordb references, and one that must fail.

Each is a full `ModelBuilder` with a graph of a few nodes, because compiling is what these tests spend their
time on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from bayeskit import Assumption, Column, Dial, ModelBuilder, Prior, Simulation


def _headline(draws, name, units="", label=None):
    return draws[name].assign_attrs(label=label or name, units=units, headline=True)


@dataclass(frozen=True)
class NormalNormal(ModelBuilder):
    """y ~ Normal(mu[group], sigma known); mu ~ Normal(m, s): the posterior of each group is normal.

    `broken` plants a fault in the graph: "ignored" loses the likelihood, "shifted" takes the next group's
    mean.
    """

    group: str = "group"
    y: str = "y"
    prior_sd: float = 2.0
    broken: str = ""

    def columns(self):
        return (
            Column("group", self.group, "label", "the group"),
            Column("y", self.y, "number", "a measurement"),
        )

    def reduce(self, rows):
        labels = rows.levels["group"]
        code, y = rows.columns["group"], rows.columns["y"]
        n = np.bincount(code, minlength=len(labels))
        total = np.bincount(code, weights=y, minlength=len(labels))
        return xr.Dataset(
            {
                "n": ("group", n),
                "total": ("group", total),
                "square": ("group", np.bincount(code, y * y, len(labels))),
            },
            coords={"group": list(labels)},
        )

    def assumptions(self, statistics):
        return (
            Assumption(
                "mu", "Group means are normal around a known centre.", "hyper",
                Prior("Normal", dims=("group",), mu=0.5, sigma=self.prior_sd),
            ),
            Assumption(
                "noise", "The error of a measurement is known.", "structural",
                constants={"sd": Dial("noise.sd", 1.5, 1e-6, np.inf, "standard deviation of a measurement")},
            ),
        )  # fmt: skip

    def graph(self, graph):
        import pytensor.tensor as pt

        mu, sd = graph.prior("mu"), graph.dial("noise.sd")
        n, total, square = (graph.data(k) for k in ("n", "total", "square"))
        if self.broken == "shifted":
            n, total, square = (pt.roll(v, 1) for v in (n, total, square))
        value = -0.5 * (square - 2 * mu * total + n * mu**2).sum() / sd**2 - n.sum() * pt.log(sd * np.sqrt(2 * np.pi))
        graph.likelihood(0.0 * value if self.broken == "ignored" else value)

    def estimands(self, draws, statistics):
        spread = draws["mu"].max("group") - draws["mu"].min("group")
        return xr.Dataset({
            "mean": _headline(draws, "mu", "points"),
            "spread": spread.assign_attrs(label="largest difference", units="points", headline=False),
        })  # fmt: skip

    def simulate(self, rng=None, *, like=None, parameters=None, dials=None, n=3, groups=3):
        rng = np.random.default_rng(rng)
        if like is None:
            labels, counts = [f"g{i}" for i in range(groups)], np.full(groups, n)
        else:
            labels, counts = list(like["group"].values), like["n"].values
        design = xr.Dataset({"n": ("group", counts)}, coords={"group": labels})
        values = self.set_dials(design, dials)
        drawn = dict(parameters) if parameters is not None else self.draw_prior(design, rng, dials)
        code = np.repeat(np.arange(len(labels)), counts)
        y = rng.normal(np.asarray(drawn["mu"])[code], values["noise.sd"])
        return Simulation(pd.DataFrame({self.group: np.array(labels)[code], self.y: y}), drawn)

    def units(self, statistics):
        return ("group",)

    def drop_units(self, statistics, by, places):
        out = statistics.copy(deep=True)
        for name in ("n", "total", "square"):
            out[name][{by: places}] = 0
        return out

    def closed_form(self, statistics, dials=None):
        """Posterior mean and sd of each group."""
        d = self.set_dials(statistics, dials)
        precision = statistics["n"].values / d["noise.sd"] ** 2 + 1 / d["mu.sigma"] ** 2
        total = statistics["total"].values / d["noise.sd"] ** 2 + d["mu.mu"] / d["mu.sigma"] ** 2
        return total / precision, precision**-0.5


@dataclass(frozen=True)
class Regression(ModelBuilder):
    """y ~ Normal(a + b x, sigma known), row by row; a, b ~ Normal: the posterior is normal, with any rows left out.

    With `robust` errors follow Student's t with 4 degrees of freedom, for comparisons of models.
    """

    prior_sd: float = 10.0
    robust: bool = False
    row_level_statistics: ClassVar[bool] = True

    def columns(self):
        return (
            Column("site", "site", "label", "where it was measured"),
            Column("x", "x", "number", "the covariate"),
            Column("y", "y", "number", "a measurement"),
        )

    def reduce(self, rows):
        data = {k: ("row", rows.columns[k]) for k in ("x", "y")}
        data["weight"] = ("row", np.ones(rows.n))
        return xr.Dataset({**data, "code": ("row", rows.columns["site"])}, coords={"site": list(rows.levels["site"])})

    def assumptions(self, statistics):
        return (
            Assumption("a", "The intercept is moderate.", "hyper", Prior("Normal", mu=0.0, sigma=self.prior_sd)),
            Assumption("b", "The slope is moderate.", "hyper", Prior("Normal", mu=0.0, sigma=self.prior_sd)),
            Assumption(
                "noise", "The error is known.", "structural", constants={"sd": Dial("noise.sd", 1.0, 1e-6, np.inf, "sd")}
            ),
        )

    def graph(self, graph):
        import pytensor.tensor as pt

        a, b, sd = graph.prior("a"), graph.prior("b"), graph.dial("noise.sd")
        error = (graph.data("y") - a - b * graph.data("x")) / sd
        shape = -2.5 * pt.log1p(error**2 / 4) - np.log(8 / 3) if self.robust else -0.5 * error**2 - 0.5 * np.log(2 * np.pi)
        graph.likelihood((graph.data("weight") * (shape - pt.log(sd))).sum())

    def estimands(self, draws, statistics):
        return xr.Dataset({"slope": _headline(draws, "b", "y per x"), "intercept": _headline(draws, "a", "y")})

    def simulate(self, rng=None, *, like=None, parameters=None, dials=None, n=40):
        rng = np.random.default_rng(rng)
        x = rng.normal(size=n) if like is None else like["x"].values
        drawn = dict(parameters) if parameters is not None else self.draw_prior(xr.Dataset(), rng, dials)
        y = rng.normal(drawn["a"] + drawn["b"] * x, 1.0)
        return Simulation(pd.DataFrame({"site": [f"s{i % 4}" for i in range(len(x))], "x": x, "y": y}), drawn)

    def units(self, statistics):
        return ("row", "site")

    def unit_counts(self, statistics, by):
        if by == "site":
            return super().unit_counts(statistics, by)
        labels = [f"row {i}" for i in range(statistics.sizes["row"])]
        return xr.DataArray(statistics["weight"].values.astype(int), {"unit": labels}, ("unit",))

    def drop_units(self, statistics, by, places):
        weight = statistics["weight"].values.copy()
        weight[places if by == "row" else np.isin(statistics["code"].values, places)] = 0.0
        return statistics.assign(weight=("row", weight))

    def closed_form(self, table, dials=None):
        """Mean (2,) and covariance (2, 2) of intercept and slope."""
        design = np.column_stack([np.ones(len(table)), table["x"]])
        precision = design.T @ design + np.eye(2) / self.prior_sd**2
        return np.linalg.solve(precision, design.T @ table["y"].to_numpy()), np.linalg.inv(precision)


@dataclass(frozen=True)
class VectorRegression(Regression):
    """Regression whose contributions are computed for all draws and rows at once."""

    def log_likelihood_of(self, draws, statistics, by, dials=None):
        if by != "row" or self.robust:
            return super().log_likelihood_of(draws, statistics, by, dials)
        sd = self.set_dials(statistics, dials)["noise.sd"]
        mean = draws["a"].values[..., None] + draws["b"].values[..., None] * statistics["x"].values
        values = -0.5 * ((statistics["y"].values - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
        units = self.unit_counts(statistics, by)["unit"].values
        return xr.DataArray(values * statistics["weight"].values, {"unit": units}, ("chain", "draw", "unit"))


@dataclass(frozen=True)
class BetaBinomial(ModelBuilder):
    """k successes of n; p ~ Beta(a, b): the posterior is Beta(a + k, b + n - k)."""

    outcome: str = "outcome"

    def columns(self):
        return (Column("outcome", self.outcome, "binary", "whether it succeeded"),)

    def reduce(self, rows):
        y = rows.columns["outcome"]
        return xr.Dataset({"n": ((), len(y)), "k": ((), int(y.sum()))}, attrs={"flag": np.bool_(True)})

    def assumptions(self, statistics):
        return (Assumption("p", "Success is as likely in every trial.", "hyper", Prior("Beta", alpha=2.0, beta=3.0)),)

    def graph(self, graph):
        from pytensor.tensor.special import xlogy

        p, n, k = graph.prior("p"), graph.data("n"), graph.data("k")
        graph.likelihood(xlogy(k, p) + xlogy(n - k, 1 - p))

    def estimands(self, draws, statistics):
        return xr.Dataset({"share": _headline(draws, "p", "probability")})

    def simulate(self, rng=None, *, like=None, parameters=None, dials=None, n=20):
        rng = np.random.default_rng(rng)
        n = n if like is None else int(like["n"])
        drawn = dict(parameters) if parameters is not None else self.draw_prior(xr.Dataset(), rng, dials)
        return Simulation(pd.DataFrame({self.outcome: (rng.uniform(size=n) < drawn["p"]).astype(int)}), drawn)


@dataclass(frozen=True)
class FoldedBinomial(BetaBinomial):
    """BetaBinomial whose rows can be left out: two kinds of rows, each folded into a count."""

    def units(self, statistics):
        return ("row",)

    def unit_counts(self, statistics, by):
        n, k = int(statistics["n"]), int(statistics["k"])
        return xr.DataArray(np.array([k, n - k]), {"unit": ["success", "failure"]}, ("unit",))

    def drop_units(self, statistics, by, places):
        lost = len(places)
        return statistics.assign(n=statistics["n"] - lost, k=statistics["k"] - int((places == 0).sum()))


@dataclass(frozen=True)
class EightSchools(ModelBuilder):
    """Rubin's (1981) eight schools, non-centred, with posteriordb's priors."""

    def columns(self):
        return (
            Column("school", "school", "label", "the school"),
            Column("y", "y", "number", "estimated effect"),
            Column("sigma", "sigma", "number", "its standard error", low=1e-9),
        )

    def reduce(self, rows):
        order = np.argsort(rows.columns["school"])
        return xr.Dataset(
            {k: ("school", rows.columns[k][order]) for k in ("y", "sigma")},
            coords={"school": list(rows.levels["school"])},
        )

    def assumptions(self, statistics):
        return (
            Assumption("mu", "The mean effect is moderate.", "hyper", Prior("Normal", mu=0.0, sigma=5.0)),
            Assumption("tau", "Schools differ by an unknown amount.", "hyper", Prior("HalfCauchy", beta=5.0)),
            Assumption("z", "Effects are normal.", "latent", Prior("Normal", dims=("school",), mu=0.0, sigma=1.0)),
        )

    def graph(self, graph):
        import pytensor.tensor as pt

        theta = graph.prior("mu") + graph.prior("tau") * graph.prior("z")
        y, sigma = graph.data("y"), graph.data("sigma")
        graph.likelihood((-0.5 * ((y - theta) / sigma) ** 2 - pt.log(sigma * np.sqrt(2 * np.pi))).sum())

    def estimands(self, draws, statistics):
        theta = draws["mu"] + draws["tau"] * draws["z"]
        return xr.Dataset({
            "theta": theta.transpose("chain", "draw", "school").assign_attrs(label="effect", units="points", headline=True)
        })  # fmt: skip

    def simulate(self, rng=None, *, like=None, parameters=None, dials=None, schools=8):
        rng = np.random.default_rng(rng)
        if like is None:
            like = xr.Dataset({"sigma": ("school", np.full(schools, 12.0))}, {"school": [f"s{i}" for i in range(schools)]})
        drawn = dict(parameters) if parameters is not None else self.draw_prior(like, rng, dials)
        y = rng.normal(drawn["mu"] + drawn["tau"] * drawn["z"], like["sigma"].values)
        table = pd.DataFrame({"school": like["school"].values, "y": y, "sigma": like["sigma"].values})
        return Simulation(table, drawn)


@dataclass(frozen=True)
class GaussianMixture(ModelBuilder):
    """Two normal components, posteriordb's low_dim_gauss_mix; the order of the means is a steep constraint."""

    row_level_statistics: ClassVar[bool] = True

    def columns(self):
        return (Column("y", "y", "number", "a measurement"),)

    def reduce(self, rows):
        return xr.Dataset({"y": ("row", np.sort(rows.columns["y"]))}, coords={"component": ["first", "second"]})

    def assumptions(self, statistics):
        return (
            Assumption("low", "The lower mean is moderate.", "hyper", Prior("Normal", mu=0.0, sigma=2.0)),
            Assumption("high", "The upper mean is moderate.", "hyper", Prior("Normal", mu=0.0, sigma=2.0)),
            Assumption(
                "sigma", "Spreads are moderate.", "hyper", Prior("HalfNormal", dims=("component",), sigma=2.0)
            ),
            Assumption("theta", "The shares are balanced.", "hyper", Prior("Beta", alpha=5.0, beta=5.0)),
            Assumption(
                "order", "The second mean is above the first.", "constraint",
                constants={"sharpness": Dial("order.sharpness", 50.0, 0.0, np.inf, "how hard the order is")},
            ),
        )  # fmt: skip

    def graph(self, graph):
        import pytensor.tensor as pt

        low, high, sigma, theta = (graph.prior(k) for k in ("low", "high", "sigma", "theta"))
        y = graph.data("y")[:, None]
        mean, weight = pt.stack([low, high]), pt.stack([theta, 1 - theta])
        parts = pt.log(weight) - 0.5 * ((y - mean) / sigma) ** 2 - pt.log(sigma * np.sqrt(2 * np.pi))
        graph.likelihood(pt.logsumexp(parts, axis=1).sum())
        graph.constraint("order", pt.log(pt.sigmoid(graph.dial("order.sharpness") * (high - low))))

    def log_constraint(self, values, statistics, dials):
        return {"order": -np.logaddexp(0.0, -dials["order.sharpness"] * (values["high"] - values["low"]))}

    def estimands(self, draws, statistics):
        return xr.Dataset({"gap": (draws["high"] - draws["low"]).assign_attrs(label="gap", units="", headline=True)})

    def simulate(self, rng=None, *, like=None, parameters=None, dials=None, n=100):
        rng = np.random.default_rng(rng)
        n = n if like is None else like.sizes["row"]
        design = xr.Dataset(coords={"component": [0, 1]})
        drawn = dict(parameters) if parameters is not None else self.draw_prior(design, rng, dials)
        second = (rng.uniform(size=n) >= drawn["theta"]).astype(int)
        mean = np.where(second, drawn["high"], drawn["low"])
        return Simulation(pd.DataFrame({"y": rng.normal(mean, drawn["sigma"][second])}), drawn)


@dataclass(frozen=True)
class CentredFunnel(EightSchools):
    """Neal's funnel, centred and with next to no data: the gate must refuse it."""

    def assumptions(self, statistics):
        return (
            Assumption("neck", "Scales differ wildly.", "hyper", Prior("LogNormal", mu=0.0, sigma=3.0)),
            Assumption(
                "x", "Effects are normal.", "latent", Prior("Normal", dims=("school",), mu=0.0, sigma="neck")
            ),
        )  # fmt: skip

    def graph(self, graph):
        graph.prior("neck")
        x = graph.prior("x")
        graph.likelihood((-0.5 * (x / 1e6) ** 2).sum())

    def estimands(self, draws, statistics):
        return xr.Dataset({"first": draws["x"].isel(school=0).assign_attrs(label="x", units="", headline=True)})


@dataclass(frozen=True)
class OwnCoordinates(NormalNormal):
    """NormalNormal sampled in coordinates of its own, mu = 0.5 + 2 z: same posterior, log likelihood from the graph."""

    def graph(self, graph):
        import pytensor.tensor as pt

        groups = graph.sizes["group"]
        z = graph.coordinate("z", (groups,))
        mu, sd = graph.transformed("mu", 0.5 + 2.0 * z, groups * np.log(2.0)), graph.dial("noise.sd")
        n, total, square = (graph.data(k) for k in ("n", "total", "square"))
        value = -0.5 * (square - 2 * mu * total + n * mu**2).sum() / sd**2
        graph.likelihood(value - n.sum() * pt.log(sd * np.sqrt(2 * np.pi)))


@dataclass(frozen=True)
class RowLevel(NormalNormal):
    """NormalNormal whose statistics are called row by row, hence not saved unless asked."""

    row_level_statistics: ClassVar[bool] = True


@dataclass(frozen=True)
class Jacobians(ModelBuilder):
    """One variable of every family, on which log Jacobians are compared with PyMC's."""

    def columns(self):
        return (Column("y", "y", "number", "a measurement"),)

    def reduce(self, rows):
        coords = {"k": list("abcd"), "row": list("abcd"), "two": [0, 1]}
        return xr.Dataset({"y": ((), float(rows.columns["y"].sum()))}, coords=coords)

    def assumptions(self, statistics):
        return tuple(Assumption(f"v_{name.lower()}", f"A {name}.", "hyper", prior) for name, prior in every_family().items())

    def graph(self, graph):
        variables = [graph.prior(name) for name in graph.assumptions]
        graph.likelihood(-0.5 * (graph.data("y") - sum(v.sum() for v in variables)) ** 2)

    def estimands(self, draws, statistics):
        return xr.Dataset()

    def simulate(self, rng=None, **_):
        raise NotImplementedError


def every_family():
    """A prior of every family, some with dimensions."""
    own = {
        "Normal": {"mu": 0.3, "sigma": 1.7},
        "HalfNormal": {"sigma": 2.1},
        "LogNormal": {"mu": -0.4, "sigma": 0.8},
        "StudentT": {"nu": 3.5, "mu": 1.0, "sigma": 0.6},
        "HalfStudentT": {"nu": 4.5, "sigma": 1.3},
        "Cauchy": {"alpha": -1.0, "beta": 0.7},
        "HalfCauchy": {"beta": 2.5},
        "Laplace": {"mu": 0.4, "b": 1.2},
        "Logistic": {"mu": -0.2, "s": 0.9},
        "Exponential": {"lam": 1.8},
        "Gamma": {"alpha": 2.3, "beta": 0.7},
        "InverseGamma": {"alpha": 3.2, "beta": 1.4},
        "Beta": {"alpha": 2.2, "beta": 3.4},
        "Uniform": {"lower": -1.5, "upper": 2.5},
        "Dirichlet": {"a": 1.6},
        "DiagonalDirichlet": {"base": 0.8, "boost": 2.4},
        "ZeroSumNormal": {"sigma": 1.3},
    }
    dims = {
        "Normal": ("two",),
        "Uniform": ("two",),
        "Dirichlet": ("two", "k"),
        "DiagonalDirichlet": ("row", "k"),
        "ZeroSumNormal": ("two", "k"),
    }
    return {name: Prior(name, dims=dims.get(name, ()), **params) for name, params in own.items()}
