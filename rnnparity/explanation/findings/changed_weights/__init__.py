"""Weights, initial states and activations other than the given ones."""
