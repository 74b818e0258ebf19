"""Trials of explanations on ports of the layers to PyTorch with a hand-written backward pass."""
