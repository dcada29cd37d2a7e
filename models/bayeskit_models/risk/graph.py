"""The PyMC graph: coordinates in which the posterior is round, constraints, and the fused likelihood.

In the plain parameters the posterior has a long curved ridge: a larger scale of the unobservable flattens the logistic curve,
which larger coefficients undo, and it makes the tested more of a selection, which a lower risk undoes. So the sampler moves in
coordinates that the data determine one by one (measured: some thirty times the effective draws):

* ``sigma = |2 u|`` with u on the whole line: the likelihood is smooth and even in u once Z is centred, so there is no boundary.
* testing: what a covariate does in total, ``alpha gamma + Delta = c' b'``; gamma are the coefficients of the risk around
  the mean of Z and ``c' = sqrt(1 + k alpha^2 var(Z))`` is by how much Z flattens the curve (k: of the nearest normal curve).
* risk: that of the tested, ``c b``. Given a test, Z has the mean ``alpha v / c`` times the probability of none (v = var(Z)). So
  gamma_0 is ``c b_0 - alpha v u / c`` with the share u of untested, and a slope ``c b + alpha v u (1 - u) b' / c``.

Priors are on the plain parameters; the Jacobians are added, so the posterior is the same. A test compares the densities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeskit_models.risk.assumptions import sign_places, stated_numbers
from bayeskit_models.risk.unobserved import law_nodes, mean_factor

if TYPE_CHECKING:
    from bayeskit import Graph
    from bayeskit_models.risk.model import SelectiveRisk

__all__ = ["write_graph"]

_ATTENUATION = (16.0 * np.sqrt(3.0) / (15.0 * np.pi)) ** 2  # of the normal curve nearest to the logistic one
_SPREAD = {"uniform": 1.0 / 12.0, "normal": 1.0, "student": 1.0}  # variance of Z / sigma (of its core for Student's)


def write_graph(spec: SelectiveRisk, graph: Graph) -> None:
    """Everything but the outcome of other families than Bernoulli's."""
    import pytensor.tensor as pt

    from bayeskit_models.risk.kernel import log_likelihood, prevalence_weight

    u = graph.coordinate("unobserved_scale_signed", ())
    sigma = graph.transformed("unobserved_scale", pt.abs(2.0 * u), pt.zeros(()))
    alpha = graph.dial("alpha.value") if isinstance(spec.alpha, float) else graph.prior("alpha")
    risk, testing = _coefficients(spec, graph, sigma, alpha)
    scale = pt.stack([sigma, alpha])
    nodes, node_weight = graph_nodes(spec, graph)
    columns = graph.data("risk_columns")
    designs = [graph.data("testing_columns")]
    if "expertise" in graph.variables:
        testing = pt.concatenate([testing, graph.variables["expertise"]])
        designs.append(graph.data("held_columns"))
    joined = designs[0] if len(designs) == 1 else pt.concatenate(designs, axis=0)
    weight = graph.data("weight")
    graph.likelihood(log_likelihood(risk, testing, scale, columns, joined, graph.data("kind_ptr"), weight, nodes, node_weight))
    if spec.stated:
        numbers = [[graph.dial(name) for name in names] for names in stated_numbers(spec)]
        low, high, sd = (pt.stack([row[k] for row in numbers]) for k in range(3))
        stated = graph.data("stated_code")
        graph.constraint(
            "prevalence", prevalence_weight(risk, scale, columns, stated, weight, nodes, node_weight, low, high, sd)
        )
    if spec.signs:
        places, signs = sign_places(spec, graph.statistics)
        wrong = -graph.dial("signs.sharpness") * signs * graph.variables["risk_effect"][np.array(places)]
        graph.constraint("signs", -pt.softplus(wrong).sum())


def graph_nodes(spec: SelectiveRisk, graph: Graph) -> tuple[Any, Any]:
    """Nodes for the kernels: none where they know the closed form."""
    import pytensor.tensor as pt

    if spec.unobserved == "uniform" and isinstance(spec.alpha, float):
        return np.zeros(0), np.zeros(0)
    nu = graph.dial("unobserved.nu") if spec.unobserved == "student" else None
    return law_nodes(spec.unobserved, nu, library=pt)


def _coefficients(spec: SelectiveRisk, graph: Graph, sigma: Any, alpha: Any) -> tuple[Any, Any]:
    """Intercept and coefficients of risk and of testing, as functions of the sampler's coordinates."""
    import pytensor.tensor as pt

    variance = _SPREAD[spec.unobserved] * sigma**2
    shrink, shrink_testing = (pt.sqrt(1.0 + _ATTENUATION * variance * slope**2) for slope in (1.0, alpha))
    p, q = graph.sizes["risk_term"], graph.sizes["testing_term"]
    scaled, total = graph.coordinate("risk_scaled", (p + 1,)), graph.coordinate("testing_scaled", (q + 1,))
    risk_names, names = ([str(t) for t in graph.statistics[f"{c}_term"].values] for c in ("risk", "testing"))
    untested = graph.data("share_untested")
    lean = alpha * variance / shrink  # how far a test moves the mean of Z, per probability of none
    middle = mean_factor(spec.unobserved) * sigma
    parts = [graph.transformed("risk_intercept", shrink * scaled[0] - lean * untested - middle, pt.log(shrink))]
    if p:
        slopes = pt.concatenate([total[1:], pt.zeros(1)])[np.array([names.index(t) if t in names else q for t in risk_names])]
        centred = shrink * scaled[1:] + lean * untested * (1.0 - untested) * slopes
        parts.append(graph.transformed("risk_effect", centred, p * pt.log(shrink)))
    # what the risk does to testing is taken from the variables: the likelihood at given values is cut there
    total = shrink_testing * total
    free = [graph.transformed("testing_intercept", total[0] - alpha * (parts[0] + middle), pt.log(shrink_testing))]
    if q:
        padded = pt.concatenate([parts[1], pt.zeros(1)]) if p else pt.zeros(1)
        places = np.array([risk_names.index(t) if t in risk_names else p for t in names])
        free.append(graph.transformed("testing_effect", total[1:] - alpha * padded[places], q * pt.log(shrink_testing)))
    if "expertise" in graph.assumptions and graph.assumptions["expertise"].prior is not None:
        graph.prior("expertise")
    risk, testing = (pt.concatenate([x[0][None], *x[1:]]) for x in (parts, free))
    return risk, testing
