"""The PyMC graph: coordinates in which the posterior is round, constraints, and the fused likelihood.

In the plain parameters the posterior has a long curved ridge: a larger scale of the unobservable flattens the logistic curve,
which larger coefficients undo. So the sampler moves in other coordinates (measured: some twenty times the effective draws):

* ``sigma = |u|`` with u on the whole line: the likelihood is smooth and even in u once Z is centred, so there is no boundary.
* risk: ``gamma = c b`` with the attenuation ``c = sqrt(1 + var(Z) / (pi^2 / 3))``; gamma_0 is the intercept at the mean of Z.
* testing: what a covariate does in total, ``alpha gamma + Delta = c' b'``, with the attenuation of testing.

Priors are on the plain parameters; the Jacobians are added, so the posterior is the same.
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

_LOGISTIC_VARIANCE = np.pi**2 / 3.0
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
    shrink = pt.sqrt(1.0 + variance / _LOGISTIC_VARIANCE)
    shrink_testing = pt.sqrt(1.0 + alpha**2 * variance / _LOGISTIC_VARIANCE)
    p, q = graph.sizes["risk_term"], graph.sizes["testing_term"]
    centred = shrink * graph.coordinate("risk_scaled", (p + 1,))
    total = shrink_testing * graph.coordinate("testing_scaled", (q + 1,))
    middle = mean_factor(spec.unobserved) * sigma
    parts = [graph.transformed("risk_intercept", centred[0] - middle, pt.log(shrink))]
    if p:
        parts.append(graph.transformed("risk_effect", centred[1:], p * pt.log(shrink)))
    # what the risk does to testing along each free term, from the variables: the likelihood is cut there
    names = [str(t) for t in graph.statistics["risk_term"].values]
    places = [names.index(t) if t in names else p for t in map(str, graph.statistics["testing_term"].values)]
    free = [graph.transformed("testing_intercept", total[0] - alpha * (parts[0] + middle), pt.log(shrink_testing))]
    if q:
        padded = pt.concatenate([parts[1], pt.zeros(1)]) if p else pt.zeros(1)
        departure = total[1:] - alpha * padded[np.array(places)]
        free.append(graph.transformed("testing_effect", departure, q * pt.log(shrink_testing)))
    if "expertise" in graph.assumptions and graph.assumptions["expertise"].prior is not None:
        graph.prior("expertise")
    risk, testing = (pt.concatenate([x[0][None], *x[1:]]) for x in (parts, free))
    return risk, testing
