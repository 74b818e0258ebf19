"""Ports of a model: what another implementation computes from the same inputs, a module a format."""
