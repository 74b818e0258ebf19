"""Trials of explanations on ports of the layers with a hand-written backward pass."""
