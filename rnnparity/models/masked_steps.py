"""Masked steps of a port: PyTorch pads sequences with zeros where Keras repeats the last output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent, Stack
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor


def without_masked_steps(
    problem: Problem, outputs: Sequence[Tensor], expected: Sequence[Tensor]
) -> tuple[Tensor, ...] | None:
    """Return outputs with the expected values at masked steps, None where there are no such steps."""
    masked = masked_outputs(problem)
    if masked is None:
        return None
    return tuple(
        _replaced(tensor, exact.data, masked) if tensor.shape == exact.shape else tensor
        for tensor, exact in zip(outputs, expected, strict=True)
    )


def masked_outputs(problem: Problem) -> Array | None:
    """Return where the steps of the returned sequences are masked, (B, T); None if none is."""
    layer, mask = problem.layer, problem.mask
    if mask is None or mask.all() or not layer.return_sequences or isinstance(layer, Stack):
        return None
    is_reversed = isinstance(layer, Recurrent) and layer.go_backwards
    return ~mask[:, ::-1] if is_reversed else ~mask


def _replaced(tensor: Tensor, exact: Array, masked: Array) -> Tensor:
    """Return a sequence (B, T, H) with other values at masked steps; a state as it is."""
    if tensor.data.ndim != 3:
        return tensor
    data = np.where(masked[..., None], exact, tensor.data)
    return Tensor.of(tensor.name, data, tensor.dtype)


def used_inputs(problem: Problem) -> Tensor:
    """Return the inputs of a problem, 0 at masked steps, which change nothing."""
    if problem.mask is None:
        return problem.inputs
    data = np.where(problem.mask[..., None], problem.inputs.data, 0)
    return Tensor.of(problem.inputs.name, data, problem.inputs.dtype)
