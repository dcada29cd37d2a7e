"""Models made with bayeskit, one folder each: a folder knows the kit and no other model.

A model is found by its entry point in the group ``bayeskit.models``, as that of any other package would be;
nothing here is imported until it is used. Small data sets with their provenance are in
`bayeskit_models.datasets`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["benchmarks", "datasets", "judges", "risk", "survival"],
    submod_attrs={
        "benchmarks": ["BenchmarkVariance"],
        "judges": ["JudgeSimplex"],
        "risk": ["Prevalence", "SelectiveRisk"],
        "survival": ["FlexibleSurvival"],
    },
)
