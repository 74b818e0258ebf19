"""Experiments: a callable subject is asked chosen problems until what it computes is identified."""
