"""What a fit is: an immutable result that answers questions and makes new results, never changes itself."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayeskit.engine import RawDraws, Sampling, compiled_for, fresh_seed
from bayeskit.errors import SpecificationError
from bayeskit.graph import LOG_LIKELIHOOD
from bayeskit.laplace import check_of, draw
from bayeskit.prior_check import log_jacobian, log_prior, prior_draws
from bayeskit.provenance import provenance
from bayeskit.sensitivity.methods import SensitivityMethods

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayeskit.assumptions import Assumption
    from bayeskit.builder import ModelBuilder
    from bayeskit.checks import CheckResult, Verdict
    from bayeskit.intake import Rows
    from bayeskit.predictive import PredictiveCheck
    from bayeskit.report.content import Section

__all__ = ["Fit", "assemble", "finished_draws", "run", "total_log_likelihood"]

KEPT_STATS = (
    "diverging", "maxdepth_reached", "depth", "n_steps", "energy", "logp", "step_size", "mean_tree_accept", "log_weight",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fit(SensitivityMethods):
    """A fitted model.

    Attributes
    ----------
    spec : ModelBuilder
        The specification that was fitted.
    draws : xarray.DataTree
        Groups ``posterior``, ``sample_stats``, ``estimands``, ``log_prior`` (by assumption) and
        ``log_likelihood``.
    statistics : xarray.Dataset or None
        The sufficient statistics; None in a fit that was loaded from a file saved without them.
    dials : dict of str to float
        The value of every dial in this fit.
    levels : dict of str to tuple of str
        The labels behind the codes, by role.
    provenance : dict
        Versions, seed, sampling settings, data digest, counts and times.
    partial : bool
        True if the run was cut short: its verdict is never PASS.
    notes : tuple of str
        What was noticed while the table was read.
    kept : xarray.Dataset or None
        In a fit that was loaded without its statistics: what of them is about no single row.
    """

    spec: ModelBuilder
    draws: xr.DataTree
    statistics: xr.Dataset | None
    dials: dict[str, float]
    levels: dict[str, tuple[str, ...]]
    provenance: dict[str, Any]
    partial: bool = False
    notes: tuple[str, ...] = field(default=())
    kept: xr.Dataset | None = None

    @property
    def estimands(self) -> xr.Dataset:
        """Draws of the quantities people ask for."""
        return self.draws["estimands"].to_dataset()

    @property
    def posterior(self) -> xr.Dataset:
        """Draws of the parameters."""
        return self.draws["posterior"].to_dataset()

    @cached_property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Everything this fit rests on."""
        return self.spec.assumptions(self._need_design("list the assumptions"))

    @property
    def aggregate(self) -> xr.Dataset | None:
        """What of the statistics is about no single row; None in a loaded fit of a model whose statistics are all rows."""
        return self.kept if self.statistics is None else self.spec.aggregated(self.statistics)

    @cached_property
    def verdict(self) -> Verdict:
        """PASS, WARN, FAIL or NOT COMPUTED, with the checks behind it and what to do next."""
        from bayeskit.checks import run_checks

        # estimands that may be the same in every draw without a fault, such as a cured share of 0
        still = tuple(str(n) for n, v in self.estimands.data_vars.items() if v.attrs.get("point_mass"))
        return run_checks(
            self.draws,
            headline=self._headline(),
            fixed=still,
            partial=self.partial,
            extra=self._identification(),
            approximation=check_of(self.draws) if self.method == "mode" else None,
        )

    @property
    def method(self) -> str:
        """How the posterior was drawn: "nuts", or "mode" for the Laplace approximation."""
        return str(self.provenance.get("sampling", {}).get("method", "nuts"))

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """The checks behind the verdict."""
        return self.verdict.results

    def _headline(self) -> tuple[str, ...]:
        return tuple(str(n) for n, v in self.estimands.data_vars.items() if v.attrs.get("headline"))

    def _identification(self) -> tuple[CheckResult, ...]:
        """How much each parameter learned from the data: a note, never a failure."""
        design = self.statistics if self.aggregate is None else self.aggregate
        if design is None:
            return ()
        from bayeskit.checks import overlap_note

        prior = prior_draws(self.spec, design, self.dials, 400, np.random.default_rng(0))
        return (overlap_note(prior, self.posterior[list(prior.data_vars)]),)

    def summary(
        self,
        prob: float = 0.95,
        kind: Literal["eti", "hdi"] = "eti",
        *,
        group: Literal["estimands", "posterior"] = "estimands",
    ) -> pd.DataFrame:
        """Table of draws: one row an element.

        Parameters
        ----------
        prob : float
            Probability of the intervals.
        kind : {"eti", "hdi"}
            Equal-tailed, or the narrowest.
        group : {"estimands", "posterior"}
            What people asked for, or the parameters.

        Returns
        -------
        DataFrame
            Columns mean, sd, median, lower, upper, mcse_mean, ess_bulk, ess_tail, r_hat; ``attrs`` say prob
            and kind.
        """
        from bayeskit.summary import summarise

        return summarise(self.draws[group].to_dataset(), prob, kind)

    def refit(
        self,
        *,
        dials: Mapping[str, float] | None = None,
        table: Any = None,
        without: Mapping[str, str | int | Sequence[str | int]] | None = None,
        draws: int | None = None,
        tune: int | None = None,
        chains: int | None = None,
        seed: int | None = None,
        cores: int | None = None,
        target_accept: float | None = None,
        progress: bool = False,
        method: str | None = None,
    ) -> Any:
        """Fit again with other dials, another table or less data, on the same compiled model where its dimensions allow.

        What is not given is taken from this fit, the seed included.

        Parameters
        ----------
        dials : mapping, optional
            Other values for some dials.
        table : DataFrame, mapping or path, optional
            Other rows.
        without : mapping of str to labels or positions, optional
            Units to leave out by their kind, ``{"judge": "GPT-4"}``; see `ModelBuilder.without`. The parameters stay.
        draws, tune, chains, seed, cores, target_accept, progress, method
            As in `ModelBuilder.fit`.

        Raises
        ------
        SpecificationError
            For an unknown dial or unit.
        StorageError
            If the run was saved without its statistics and no table is given.
        """
        statistics, digest, rows = self.statistics, None, None
        if table is not None:
            rows = self.spec.encode(table)
            statistics = self.spec.reduce(rows)
        elif statistics is None:
            self._need_statistics("refit")
        else:
            digest = self.provenance["data"]
        assert statistics is not None
        used = self.provenance["sampling"]
        settings = Sampling(
            draws=used["draws"] if draws is None else draws,
            tune=used["tune"] if tune is None else tune,
            chains=used["chains"] if chains is None else chains,
            seed=used["seed"] if seed is None else seed,
            cores=cores,
            target_accept=used["target_accept"] if target_accept is None else target_accept,
            backend=used["backend"],
            progress=progress,
            method=self.method if method is None else method,
        )
        removed = {} if without is None else {by: _listed(units) for by, units in without.items()}
        for by, units in removed.items():
            statistics = self.spec.without(statistics, by, units)
        known = self.spec.dials(statistics)  # another table may have fewer assumptions, hence fewer dials
        merged = {**{k: v for k, v in self.dials.items() if k in known}, **(dials or {})}
        found = run(self.spec, statistics, settings, dials=merged, rows=rows, data=digest, levels=self.levels)
        return _less(found, removed) if removed else found

    def _need_design(self, purpose: str) -> xr.Dataset:
        return self._need_statistics(purpose) if self.aggregate is None else self.aggregate

    def _at_hand(self, purpose: str) -> xr.Dataset:
        """The statistics with their rows where those are kept; a constraint may be about rows."""
        return self._need_design(purpose) if self.statistics is None else self.statistics

    def _need_statistics(self, purpose: str) -> xr.Dataset:
        if self.statistics is None:
            from bayeskit.errors import StorageError

            raise StorageError(
                f"This run was saved without its statistics (they are row by row), so it cannot {purpose}. "
                "Give the table again: fit.refit(table=...), or save with statistics=True (bayeskit fit --statistics)."
            )
        return self.statistics

    def sections(self, prob: float = 0.95) -> tuple[Section, ...]:
        """What a report says of this model's own questions; the plain fit adds nothing."""
        return ()

    def predictive_check(
        self, source: Literal["prior", "posterior"] = "posterior", *, draws: int = 100, seed: int = 0
    ) -> PredictiveCheck:
        """Numbers of the observed table beside those of replicated ones; see `bayeskit.predictive.predictive_check`."""
        from bayeskit.predictive import predictive_check

        if source not in ("prior", "posterior"):
            raise SpecificationError(f"source={source!r}: 'prior' or 'posterior'.")
        statistics = self._need_statistics("replicate tables")
        posterior = self.posterior if source == "posterior" else None
        return predictive_check(self.spec, statistics, self.dials, posterior, draws=draws, seed=seed)

    def report(
        self,
        path: str | Path,
        *,
        prob: float = 0.95,
        kind: Literal["eti", "hdi"] = "eti",
        sensitivity: Mapping[str, Any] | Sequence[Any] | None = None,
        author: Mapping[str, str] | None = None,
        suppress_below: int = 0,
        on_fail: Literal["mark", "raise", "allow"] = "mark",
        replicate: int = 100,
    ) -> Path:
        """Write a report and return its path; the suffix chooses HTML, Markdown, LaTeX, CSV or JSON.

        A failed or partial run gets its report too; the first line says so.

        Parameters
        ----------
        path : path
            ``.html``, ``.md``, ``.tex``, ``.csv`` or ``.json``. An existing file is replaced.
        prob, kind, sensitivity, author, suppress_below, on_fail, replicate
            See `bayeskit.report.build_report`.

        Raises
        ------
        SpecificationError
            For a suffix without a renderer, before anything is computed, or another argument that is not as it should be.
        UnreliableDrawsError
            With ``on_fail="raise"``, where the draws are not to be relied on.
        """
        from bayeskit.report import build_report, render
        from bayeskit.report.render import check_suffix

        check_suffix(path)
        content = build_report(
            self, prob, kind, sensitivity=sensitivity, author=author, suppress_below=suppress_below, on_fail=on_fail,
            replicate=replicate,
        )  # fmt: skip
        return Path(render(content, path))

    def save(self, path: str | Path, *, statistics: bool | None = None) -> Path:
        """Save to one netCDF file; see `bayeskit.storage.save`."""
        from bayeskit.storage import save

        return save(self, path, statistics=statistics)

    def __repr__(self) -> str:
        from bayeskit.summary import text_table

        lines = [str(self.verdict).splitlines()[0], f"{type(self.spec).__name__} on {self.provenance['data']['rows']} rows"]
        headline = self._headline()
        if headline:
            lines.append(text_table(self.estimands[list(headline)]))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from bayeskit.summary import html_table

        return f"{self.verdict._repr_html_()}{html_table(self.estimands[list(self._headline())])}"


def run(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    settings: Sampling,
    *,
    dials: Mapping[str, float] | None = None,
    rows: Rows | None = None,
    data: Mapping[str, Any] | None = None,
    levels: Mapping[str, tuple[str, ...]] | None = None,
) -> Fit:
    """Draw and assemble: the one road from statistics to a `Fit`."""
    values = spec.set_dials(statistics, dials)
    if settings.seed is None:  # before anything is written down, so that a killed run can be repeated too
        settings = replace(settings, seed=fresh_seed())
    started, clock = datetime.now(UTC), time.perf_counter()
    facts = dict(data) if rows is None and data is not None else _data_facts(rows)
    record = provenance(spec, settings, facts, started)
    labels = dict(rows.levels) if rows is not None else dict(levels or {})
    notes = tuple(rows.notes) if rows is not None else ()
    if settings.store is not None:
        from bayeskit.storage import begin_store

        begin_store(settings.store, spec, statistics, values, labels, record, notes)
    raw = draw(spec, statistics, values, settings)
    record["seconds"] = round(time.perf_counter() - clock, 3)
    return assemble(spec, statistics, raw, values, labels, record, notes=notes)


def _listed(units: str | int | Sequence[str | int]) -> list[str | int]:
    """Units as a list of plain labels and positions."""
    several = [units] if isinstance(units, str | int | np.integer) else list(units)
    return [u if isinstance(u, str) else int(u) for u in several]


def _less(fit: Fit, removed: Mapping[str, Sequence[str | int]]) -> Fit:
    """Write down which units a fit was made without: its data are no longer those of the digest."""
    facts = {**fit.provenance["data"], "without": {by: list(units) for by, units in removed.items()}}
    if facts.get("digest") is not None:
        told = json.dumps([facts["digest"], facts["without"]], ensure_ascii=False)
        facts["digest"] = hashlib.sha256(told.encode()).hexdigest()
    note = "Fitted without " + "; ".join(f"{by} {', '.join(map(str, units))}" for by, units in removed.items()) + "."
    return replace(fit, provenance={**fit.provenance, "data": facts}, notes=(*fit.notes, note))


def _data_facts(rows: Rows | None) -> dict[str, Any]:
    if rows is None:
        return {"rows": None, "digest": None}
    return {"rows": int(rows.n), "digest": rows.digest, "missing": {k: int(v.sum()) for k, v in rows.missing.items()}}


def assemble(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    raw: RawDraws,
    dials: dict[str, float],
    levels: dict[str, tuple[str, ...]],
    record: dict[str, Any],
    notes: tuple[str, ...] = (),
) -> Fit:
    """Turn what the sampler left into a `Fit`: trimmed, labelled, with estimands and log priors."""
    import xarray as xr

    posterior, stats = _trim(raw.draws["posterior"].to_dataset(), raw.draws["sample_stats"].to_dataset(), raw.partial)
    names = [a.name for a in spec.assumptions(statistics) if a.prior is not None]
    recorded = posterior[LOG_LIKELIHOOD].values if LOG_LIKELIHOOD in posterior else None
    posterior = _label(posterior[names], statistics)
    prior = log_prior(spec, statistics, dials, posterior)
    untold = [name for name in raw.constraints if name not in prior]
    if untold:
        raise SpecificationError(
            f"{type(spec).__name__}.graph has the constraint '{untold[0]}', which log_constraint does not return: without "
            "it draws from the prior and the log likelihood would be wrong."
        )
    if recorded is None:
        recorded = total_log_likelihood(spec, statistics, dials, posterior, stats["logp"].values, prior)
    groups = {
        "posterior": posterior,
        "sample_stats": stats[[n for n in KEPT_STATS if n in stats]],
        "estimands": _label(spec.estimands_under(posterior, statistics, dials), statistics),
        "log_prior": xr.Dataset({n: (("chain", "draw"), v) for n, v in prior.items()}, _chain_draw(posterior)),
        "log_likelihood": xr.Dataset({"total": (("chain", "draw"), recorded)}, _chain_draw(posterior)),
    }
    tree = xr.DataTree.from_dict({name: data.drop_attrs(deep=False) for name, data in groups.items()})
    cls = spec.fit_class or Fit
    return cls(spec, tree, statistics, dials, levels, record, partial=raw.partial, notes=notes)


def total_log_likelihood(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    posterior: xr.Dataset,
    logp: np.ndarray,
    prior: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Total log likelihood per draw: the sampler's log density less log priors, constraints and log Jacobian.

    It costs nothing, where a node of the graph would make the whole likelihood compile twice. Draws that
    rounding has put on the edge of their range (a share of exactly 1) have no finite Jacobian: those are
    evaluated one by one.

    Parameters
    ----------
    posterior : Dataset
        Every variable that has a prior; dimensions chain and draw first.
    logp : ndarray, shape (chains, draws)
        The sampler's log density, on its own coordinates.
    prior : mapping
        Result of `log_prior`.

    Returns
    -------
    ndarray, shape (chains, draws)
    """
    known = sum(prior.values()) + log_jacobian(spec, statistics, dials, posterior)
    with np.errstate(invalid="ignore"):
        total = np.array(logp - known)
    edges = np.argwhere(~np.isfinite(total))
    if len(edges):
        compiled = compiled_for(spec, statistics)
        for chain, draw in edges:
            here = {str(n): v.values[chain, draw] for n, v in posterior.data_vars.items()}
            total[chain, draw] = compiled.log_likelihood(statistics, dials, here)
    return total


def _chain_draw(posterior: xr.Dataset) -> dict[str, Any]:
    return {d: posterior.coords[d].values for d in ("chain", "draw") if d in posterior.coords}


def _trim(posterior: xr.Dataset, stats: xr.Dataset, partial: bool) -> tuple[xr.Dataset, xr.Dataset]:
    """Cut a partial run to the draws that every chain has; chains that never started are left out."""
    if not partial:
        return posterior, stats
    from bayeskit.errors import SamplingError

    counts = finished_draws(posterior)
    started = counts > 0
    if not started.any():
        raise SamplingError("The run was stopped before the first draw after warm-up: there is nothing to keep.")
    keep = {"chain": np.flatnonzero(started), "draw": slice(0, int(counts[started].min()))}
    return posterior.isel(keep), stats.isel(keep)


def finished_draws(posterior: xr.Dataset) -> np.ndarray:
    """How many draws each chain has: what was never drawn is NaN in every variable.

    One finite variable makes a draw, so that a NaN of the model's own making is kept for the checks to find.
    """
    shape = (posterior.sizes.get("chain", 0), posterior.sizes.get("draw", 0))
    drawn = np.zeros(shape, dtype=bool)
    for variable in posterior.data_vars.values():
        values = np.isfinite(variable.transpose("chain", "draw", ...).values)
        drawn |= values.reshape(*shape, -1).any(axis=2)
    return np.where(drawn.any(axis=1), shape[1] - drawn[:, ::-1].argmax(axis=1), 0)


def _label(dataset: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
    coords = {d: statistics.coords[d].values for d in dataset.dims if d in statistics.coords}
    return dataset.assign_coords({d: (d, v) for d, v in coords.items()})
