"""Benchmarks of recall: ``python -m tests.bench.recall [model] [speed] [index] [quality]``."""
