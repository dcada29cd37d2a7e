"""Rates of events by site, with sites that learn from each other."""

from dataclasses import dataclass

import numpy as np
import pymc as pm
import xarray as xr

from bayeskit import Assumption, Column, ModelBuilder, Prior, Simulation


@dataclass(frozen=True)
class EventRates(ModelBuilder):
    """Rates of events by site: a site with little exposure borrows from the others.

    Parameters
    ----------
    site, events, exposure : str
        Columns: where events were counted, how many, and over how much time or how many people.
    """

    site: str = "site"
    events: str = "events"
    exposure: str = "exposure"

    def columns(self):
        return (
            Column("site", self.site, "label", "where events were counted"),
            Column("events", self.events, "count", "how many there were"),
            Column("exposure", self.exposure, "number", "over how much time or how many people", low=1e-9),
        )

    def reduce(self, rows):
        sums = {k: np.bincount(rows.columns["site"], weights=rows.columns[k]) for k in ("events", "exposure")}
        return xr.Dataset({k: ("site", v) for k, v in sums.items()}, coords={"site": list(rows.levels["site"])})

    def assumptions(self, statistics):
        return (
            Assumption("average", "A typical site has about one event per unit.", "hyper", Prior("Normal", mu=0, sigma=1)),
            Assumption("spread", "Log rates of sites differ by about this much.", "hyper", Prior("HalfNormal", sigma=1)),
            Assumption("z", "Sites differ at random, normally.", "latent", Prior("Normal", dims="site", mu=0, sigma=1)),
        )

    def graph(self, graph):
        rate = pm.math.exp(graph.prior("average") + graph.prior("spread") * graph.prior("z"))
        graph.likelihood(pm.logp(pm.Poisson.dist(rate * graph.data("exposure")), graph.data("events")).sum())

    def estimands(self, draws, statistics):
        rate = np.exp(draws["average"] + draws["spread"] * draws["z"])
        return xr.Dataset({"rate": rate.assign_attrs(label="rate", units="events per unit of exposure", headline=True)})

    def simulate(self, rng=None, *, like=None, parameters=None, dials=None, sites=6):
        rng = np.random.default_rng(rng)
        if like is None:
            like = xr.Dataset({"exposure": ("site", rng.uniform(1, 5, sites))}, {"site": [f"site {i}" for i in range(sites)]})
        drawn = parameters or self.draw_prior(like, rng, dials)
        events = rng.poisson(np.exp(drawn["average"] + drawn["spread"] * drawn["z"]) * like["exposure"].values)
        table = like["exposure"].to_dataframe(self.exposure).rename_axis(self.site).reset_index()
        return Simulation(table.assign(**{self.events: events}), drawn)
