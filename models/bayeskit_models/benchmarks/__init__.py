"""BenchmarkVariance: what a benchmark score is worth."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "model": ["BenchmarkVariance"],
        "benchmark_fit": ["BenchmarkFit"],
    },
)
