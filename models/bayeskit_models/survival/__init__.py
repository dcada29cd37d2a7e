"""FlexibleSurvival: the adapted power generalised Weibull with multi-parameter regression."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["distribution"],
    submod_attrs={"model": ["FlexibleSurvival"], "survival_fit": ["SurvivalFit"], "pymc_distribution": ["APGW"]},
)
