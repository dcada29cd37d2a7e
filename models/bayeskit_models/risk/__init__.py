"""SelectiveRisk: risk of an outcome that is seen only for those whom somebody chose to test."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "model": ["SelectiveRisk"],
        "risk_fit": ["RiskFit"],
        "constraints": ["Prevalence"],
        "simulate": ["Screening", "synthetic_screening"],
    },
)
