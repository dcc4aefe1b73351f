"""The benchmark suite: python -m tests.benchmarks; see README.md here."""
