"""What a report may use of a fit, made from draws without a sampler."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from bayeskit.assumptions import Assumption, Dial, Prior
from bayeskit.checks import run_checks
from bayeskit.hooks import ModelHooks
from bayeskit.summary import summarise


@dataclass
class FakeFit:
    """What the report may use of a fit."""

    draws: xr.DataTree
    levels: dict
    partial: bool = False
    notes: tuple = ("2 labels differ only by white space.",)
    own: tuple = ()
    assumption_list: tuple = ()
    dials: dict = field(default_factory=dict)
    extra: tuple = ()
    provenance: dict = field(
        default_factory=lambda: {
            "model": "FakeModel",
            "started": "2026-11-21T10:00:00+00:00",
            "seconds": 3.2,
            "platform": "Linux x86_64",
            "versions": {"python": "3.13.0", "bayeskit": "0.1.0"},
            "data": {"rows": 1234, "digest": "ab" * 32, "missing": {"score": 3}},
            "sampling": {"draws": 1000, "tune": 1000, "chains": 4, "seed": 1, "target_accept": 0.9},
        }
    )

    statistics: xr.Dataset | None = None
    aggregate: xr.Dataset | None = None

    @property
    def spec(self):
        class FakeModel(ModelHooks):
            def to_json(self):
                return '{"model": "FakeModel", "levels": 2}'

        return FakeModel()

    @property
    def estimands(self):
        return self.draws["estimands"].to_dataset()

    @property
    def verdict(self):
        return run_checks(self.draws, partial=self.partial, extra=self.extra)

    @property
    def checks(self):
        return self.verdict.results

    @property
    def assumptions(self):
        return self.assumption_list

    def summary(self, prob=0.95, kind="eti", *, group="estimands"):
        return summarise(self.draws[group].to_dataset(), prob, kind)

    def sections(self, prob=0.95):
        return self.own


ASSUMPTIONS = (
    Assumption("mu", "The mean score is near zero.", "hyper", Prior("Normal", mu=0, sigma=2.5)),
    Assumption(
        "theta", "Candidates are drawn from one population.", "latent",
        Prior("Normal", dims="item", mu="mu", sigma=1),
    ),
    Assumption(
        "constancy", "A judge treats all candidates alike.", "structural",
        constants={"scale": Dial("constancy.scale", 0.5, 0.0, 5.0, "How far a judge may differ")},
    ),
)  # fmt: skip


def make_fit(labels=("A", "B", "C"), *, bad=False, draws=1000, **changes):
    rng = np.random.default_rng(4)
    size = len(labels)
    theta = rng.normal(np.linspace(-1, 1, size), 0.3, size=(4, draws, size))
    if bad:
        theta[0] += 3.0
    stats = {
        "diverging": np.zeros((4, draws), bool),
        "maxdepth_reached": np.zeros((4, draws), bool),
        "energy": rng.normal(size=(4, draws)),
    }
    coords = {"item": list(labels)}
    score = xr.DataArray(
        theta,
        dims=("chain", "draw", "item"),
        coords=coords,
        attrs={"label": "Score", "units": "points", "headline": True},
    )
    other = xr.DataArray(
        rng.normal(size=(4, draws)),
        dims=("chain", "draw"),
        attrs={"label": "Gap", "units": "", "headline": False},
    )
    groups = {
        "posterior": xr.Dataset({"mu": (("chain", "draw"), rng.normal(size=(4, draws)))}),
        "estimands": xr.Dataset({"score": score, "gap": other}),
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in stats.items()}),
    }
    base = {"levels": {"item": tuple(labels)}, "assumption_list": ASSUMPTIONS, "dials": {"mu.sigma": 5.0}}
    return FakeFit(xr.DataTree.from_dict(groups), **{**base, **changes})
