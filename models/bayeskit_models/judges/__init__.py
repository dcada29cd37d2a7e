"""JudgeSimplex: rank candidates from the verdicts of imperfect judges, as points on a probability simplex."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["geometry"],
    submod_attrs={"model": ["JudgeSimplex"], "judge_fit": ["JudgeFit", "Ranking"]},
)
