"""Posterior modes and maximum likelihood, with a status that refuses to call a ridge or a boundary a fit."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit.engine import compiled_for, quick_mode
from bayeskit.errors import SpecificationError, suggest

if TYPE_CHECKING:
    import xarray as xr

    from bayeskit.builder import ModelBuilder
    from bayeskit.graph import BuiltModel

__all__ = ["Mode", "Objective", "find_mode", "judge", "likelihood_at"]

_TIMED, _LONG = 2, 2e-3  # points by which evaluations are timed, and the seconds of one from which threads pay
_GRADIENT_TOLERANCE = 1e-4
_RIDGE_CONDITION = 1e9
_BOUNDARY = 12.0  # |unconstrained value| beyond which a logit or log coordinate may have run away
_BOUNDARY_CURVATURE = 1e-3  # and has, if its standard error would be over 30 on that scale


@dataclass(frozen=True)
class Mode:
    """The highest point found.

    Attributes
    ----------
    values : dict of str to ndarray
        Every variable that has a prior, on its natural scale.
    log_likelihood : float
        Total log likelihood there.
    log_density : float
        What was maximised: log prior plus log likelihood on the natural scale, or the log likelihood alone.
    standard_errors : dict of str to ndarray
        From the inverse Hessian by the delta method; NaN unless `status` is ``"ok"``.
    status : {"ok", "ridge", "boundary", "not converged"}
        Only ``"ok"`` is a fit.
    message : str
        What the status means here, naming variables.
    prior : bool
        Whether the prior was included.
    """

    values: dict[str, np.ndarray]
    log_likelihood: float
    log_density: float
    standard_errors: dict[str, np.ndarray]
    status: str
    message: str
    prior: bool

    def __repr__(self) -> str:
        kind = "Posterior mode" if self.prior else "Maximum likelihood"
        head = kind if self.status == "ok" else f"NOT A FIT ({self.status}): {kind.lower()}"
        lines = [f"{head}; {self.message}", f"log likelihood {self.log_likelihood:.6f}"]
        for name, value in self.values.items():
            se = np.asarray(self.standard_errors[name])
            for index in np.ndindex(np.shape(value)):
                label = f"{name}[{', '.join(map(str, index))}]" if index else name
                lines.append(f"  {label:<24} {np.asarray(value)[index]:>12.6g}  (se {se[index]:.3g})")
        return "\n".join(lines)


def likelihood_at(
    spec: ModelBuilder, statistics: xr.Dataset, dials: Mapping[str, float], parameters: Mapping[str, Any]
) -> float:
    """Total log likelihood at given values of every variable that has a prior.

    Raises
    ------
    SpecificationError
        For a missing or unknown variable or a wrong shape.
    """
    compiled = compiled_for(spec, statistics)
    priors = {a.name: a.prior for a in spec.assumptions(statistics) if a.prior is not None}
    expected = {n: tuple(int(statistics.sizes[d]) for d in priors[n].dims) for n in compiled.built.variables}
    for name in parameters:
        if name not in expected:
            raise SpecificationError(f"No variable {name!r}.{suggest(name, expected)} Variables: {', '.join(expected)}.")
    for name, shape in expected.items():
        if name not in parameters:
            raise SpecificationError(f"parameters lacks {name!r} (shape {shape}).")
        if np.shape(parameters[name]) != shape:
            raise SpecificationError(f"parameters[{name!r}] has shape {np.shape(parameters[name])}; it must be {shape}.")
    return compiled.log_likelihood(statistics, dials, parameters)


class Objective:
    """Log density on unconstrained coordinates, with its gradient.

    Parameters
    ----------
    spec, statistics, dials
        The model, its data and the value of every dial.
    prior : bool
        Whether the prior is part of the density.
    jacobian : bool
        True for the density of the coordinates, which is the sampler's; without the Jacobian the modes are those of the natural
        scale.
    """

    def __init__(
        self,
        spec: ModelBuilder,
        statistics: xr.Dataset,
        dials: Mapping[str, float],
        prior: bool = True,
        jacobian: bool = False,
    ) -> None:
        compiled = compiled_for(spec, statistics)
        self.built = built = compiled.built
        compiled.set_data(statistics, dials)
        name = f"mode, prior={prior}, jacobian={jacobian}"
        self._function = compiled.function(name, lambda b: _objective_function(b, prior, jacobian))
        self.names = list(built.variables)
        point = built.model.initial_point(random_seed=0)
        start = [np.asarray(point[v.name], dtype=float) for v in built.model.value_vars]
        self.coordinates = [str(v.name) for v in built.model.value_vars]
        self.bounded = [built.model.rvs_to_transforms[built.model.values_to_rvs[v]] is not None for v in built.model.value_vars]
        self.shapes = [v.shape for v in start]
        self.sizes = [v.size for v in start]
        self.start = np.concatenate([v.ravel() for v in start])

    def split(self, x: np.ndarray) -> list[np.ndarray]:
        """Coordinates as the arrays that the compiled function takes."""
        parts = np.split(x, np.cumsum(self.sizes)[:-1])
        return [p.reshape(s) for p, s in zip(parts, self.shapes, strict=True)]

    def evaluate(self, x: np.ndarray, function: Any = None) -> tuple[float, float, np.ndarray, dict[str, np.ndarray]]:
        """Log density, log likelihood, gradient and every variable on its natural scale."""
        out = (function or self._function)(*self.split(x))
        k = len(self.shapes)
        gradient = np.concatenate([np.ravel(g) for g in out[2 : 2 + k]])
        return float(out[0]), float(out[1]), gradient, dict(zip(self.names, map(np.asarray, out[2 + k :]), strict=True))

    def evaluate_all(self, points: np.ndarray, cores: int = 1) -> list[tuple[float, float, np.ndarray, dict[str, np.ndarray]]]:
        """Evaluate at every row of `points`; in threads where one takes long, for fused kernels run outside Python's lock."""
        clock = time.thread_time()
        first = [self.evaluate(x) for x in points[:_TIMED]]
        slow = time.thread_time() - clock > _LONG * len(first)
        if cores <= 1 or not slow:
            return first + [self.evaluate(x) for x in points[_TIMED:]]
        from concurrent.futures import ThreadPoolExecutor

        functions = [self._function, *(self._function.copy() for _ in range(cores - 1))]  # each with storage of its own
        rest = points[_TIMED:]
        with ThreadPoolExecutor(cores) as pool:
            parts = list(pool.map(lambda k: [self.evaluate(x, functions[k]) for x in rest[k::cores]], range(cores)))
        return first + [parts[i % cores][i // cores] for i in range(len(rest))]

    def climb(self, x: np.ndarray, options: Mapping[str, Any], places: np.ndarray | None = None) -> np.ndarray:
        """Maximise by L-BFGS, over the coordinates at some places or all; options are SciPy's. Returns where it ended."""
        from scipy.optimize import minimize

        free = np.arange(len(x)) if places is None else places
        point = np.array(x, dtype=float)

        def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
            point[free] = z
            value, _, gradient, _ = self.evaluate(point)
            if not np.isfinite(value):
                return 1e300, np.zeros_like(z)
            return -value, -gradient[free]

        found = minimize(negative, point[free], jac=True, method="L-BFGS-B", options=dict(options))
        point[free] = found.x
        return point

    def places(self, names: Collection[str]) -> np.ndarray:
        """Places of the coordinates behind some variables."""
        owner = [max((n for n in self.names if c == n or c.startswith(f"{n}_")), key=len, default=c) for c in self.coordinates]
        return np.flatnonzero(np.repeat([name in names for name in owner], self.sizes))

    def maximise_from(self, x: np.ndarray) -> np.ndarray:
        """Maximise to the last digits: L-BFGS leaves them open, so a few damped Newton steps follow."""
        x = self.climb(x, {"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-8})
        for _ in range(20):
            gradient, hessian = self.evaluate(x)[2], self.hessian(x)
            if np.max(np.abs(gradient)) < 1e-10 or not np.isfinite(hessian).all():
                break
            moved = self.newton_step(x, gradient, hessian)
            if moved is None:
                break
            x = moved
        return x

    def newton_step(self, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray | None:
        """Where a damped Newton step leads, away from saddles too; None where nothing gets better."""
        if not np.isfinite(hessian).all():
            return None
        value = self.evaluate(x)[0]
        eigenvalues, vectors = np.linalg.eigh(-hessian)
        floor = 1e-8 * max(float(np.abs(eigenvalues).max()), 1e-12)
        step = vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(eigenvalues), floor))
        for damping in (1.0, 0.3, 0.1, 0.01):
            trial, _, slope, _ = self.evaluate(x + damping * step)
            # Close to the top the value is lost in rounding long before its gradient is.
            level = abs(trial - value) <= 1e-6 * (1.0 + abs(value))
            flatter = np.max(np.abs(slope)) < np.max(np.abs(gradient))
            if np.isfinite(trial) and (trial > value or (level and flatter)):
                return np.asarray(x + damping * step)
        return None

    def hessian(self, x: np.ndarray, cores: int = 1) -> np.ndarray:
        """Hessian by central differences of the exact gradient (error about 1e-9 relative)."""
        step = 1e-5 * np.maximum(1.0, np.abs(x))
        moves = np.diag(step)
        found = self.evaluate_all(np.concatenate([x + moves, x - moves]), cores)
        slopes = np.array([each[2] for each in found]).reshape(2, len(x), len(x))
        out = (slopes[0] - slopes[1]) / (2 * step)[:, None]
        return np.asarray(0.5 * (out + out.T))


def _objective_function(built: BuiltModel, prior: bool, jacobian: bool) -> Any:
    """Value, log likelihood, gradient and variables on the natural scale, as functions of the free coordinates."""
    from pytensor.compile.maker import function
    from pytensor.gradient import grad
    from pytensor.tensor import as_tensor_variable

    model = built.model
    likelihood, *natural = model.replace_rvs_by_values([built.log_likelihood, *built.variables.values()])
    target = likelihood
    if prior:
        target = model.logp(jacobian=jacobian)
        if built.log_jacobians and not jacobian:  # part of the potentials of the graph's own coordinates
            target = target - sum(model.replace_rvs_by_values([as_tensor_variable(j) for j in built.log_jacobians]))
    gradient: Any = grad(target, model.value_vars, disconnected_inputs="ignore")
    outputs = [target, likelihood, *gradient, *natural]
    return function(model.value_vars, outputs, on_unused_input="ignore", mode=quick_mode())


def find_mode(
    spec: ModelBuilder,
    statistics: xr.Dataset,
    dials: Mapping[str, float],
    *,
    prior: bool = True,
    starts: int = 4,
    seed: int = 0,
) -> Mode:
    """Maximise from several starts, polish by Newton steps and say what was found.

    The status is "ridge" where the curvature vanishes in some direction (the data, or the prior with the
    data, do not decide it), "boundary" where a coordinate has run to the edge of its range, "not converged"
    where the gradient is not zero. Standard errors are given only for "ok".
    """
    objective = Objective(spec, statistics, dials, prior)
    rng = np.random.default_rng(seed)
    candidates = [objective.start] + [
        objective.start + rng.normal(0.0, 1.0, objective.start.shape) for _ in range(max(starts, 1) - 1)
    ]
    best = max(
        (objective.maximise_from(x) for x in candidates), key=lambda x: np.nan_to_num(objective.evaluate(x)[0], nan=-np.inf)
    )
    value, likelihood, gradient, natural = objective.evaluate(best)
    status, message = judge(objective, best, gradient, objective.hessian(best))
    errors = (
        _standard_errors(objective, best) if status == "ok" else {k: np.full(np.shape(v), np.nan) for k, v in natural.items()}
    )
    return Mode(natural, likelihood, value, errors, status, message, prior)


def _variable_of(objective: Objective, index: int) -> str:
    """Name of the variable behind a free coordinate: PyMC calls the coordinates of x x_log__ and the like."""
    name = objective.coordinates[int(np.searchsorted(np.cumsum(objective.sizes), index, side="right"))]
    return next((n for n in objective.names if name == n or (name.startswith(f"{n}_") and name.endswith("__"))), name)


def _runaway(objective: Objective, x: np.ndarray, hessian: np.ndarray) -> list[int]:
    """Coordinates that have run to the edge of their range: far out on a log or logit scale, and flat there.

    A large value alone is no sign (a scale of a million is one), nor is one of a variable on the whole real
    line.
    """
    bounded = np.repeat(objective.bounded, objective.sizes)
    flat = np.abs(np.diag(hessian)) < _BOUNDARY_CURVATURE
    return [int(i) for i in np.flatnonzero(bounded & flat & (np.abs(x) > _BOUNDARY))]


def judge(objective: Objective, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> tuple[str, str]:
    """Status of the point where a search ended, and what it means; see `Mode`."""
    if not np.isfinite(hessian).all() or not np.isfinite(gradient).all():
        bad = int(np.flatnonzero(~np.isfinite(hessian).all(1) | ~np.isfinite(gradient))[0])
        return "not converged", f"the density has no finite derivative in {_variable_of(objective, bad)} where the search ended"
    curvature, vectors = np.linalg.eigh(-hessian)
    largest = max(float(curvature.max(initial=0.0)), 1e-300)
    runaway = _runaway(objective, x, hessian)
    if runaway:
        return "boundary", f"{_variable_of(objective, runaway[0])} has run to the edge of its range"
    if np.max(np.abs(gradient)) > _GRADIENT_TOLERANCE * max(1.0, np.sqrt(largest)):
        return "not converged", f"the gradient is {np.max(np.abs(gradient)):.2g} where it should be 0"
    if curvature.min(initial=np.inf) < largest / _RIDGE_CONDITION:
        direction = np.abs(vectors[:, int(np.argmin(curvature))])
        order = [int(i) for i in np.argsort(-direction)[:3] if direction[i] > 0.1]
        names = list(dict.fromkeys(_variable_of(objective, i) for i in order))
        return "ridge", f"the density is flat along a direction in {', '.join(names)}: its value there is arbitrary"
    return "ok", "gradient zero, curvature positive in every direction"


def _standard_errors(objective: Objective, x: np.ndarray) -> dict[str, np.ndarray]:
    """Delta method from unconstrained coordinates to the natural scale."""
    covariance = np.linalg.inv(-objective.hessian(x))
    centre = objective.evaluate(x)[3]
    jacobians: dict[str, np.ndarray] = {k: np.empty((np.size(v), len(x))) for k, v in centre.items()}
    for i in range(len(x)):
        h = 1e-6 * max(1.0, abs(x[i]))
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        high, low = objective.evaluate(up)[3], objective.evaluate(down)[3]
        for name in centre:
            jacobians[name][:, i] = (np.ravel(high[name]) - np.ravel(low[name])) / (2 * h)
    return {k: np.sqrt(np.einsum("ai,ij,aj->a", j, covariance, j)).reshape(np.shape(centre[k])) for k, j in jacobians.items()}
