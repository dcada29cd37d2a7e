"""BenchmarkVariance: what a benchmark score is worth."""

from bayeskit_models.benchmarks.model import BenchmarkVariance

__all__ = ["BenchmarkVariance"]
