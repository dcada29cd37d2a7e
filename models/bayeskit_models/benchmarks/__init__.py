"""Benchmark scores: the likelihood with items summed out, and the arithmetic of designs. No model yet."""
