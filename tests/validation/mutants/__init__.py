"""Mutants of the package's code, to measure what the tests detect."""
