"""The port to PyTorch: each half is a torch.autograd.Function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Tensor
from validation.backward.half import Half
from validation.backward.ops import Arrays, T, TorchOps
from validation.backward.port import Port, as_array


class HalfFunction(torch.autograd.Function):
    """One half through time."""

    @staticmethod
    def forward(ctx: Any, half: Half, x: T, W: T, U: T, b: T, *states: T) -> tuple[T, ...]:
        ctx.half = half
        return tuple(each.clone() for each in half.forward(x, W, U, b, list(states)))

    @staticmethod
    def backward(ctx: Any, d_output: T, *d_last: T) -> tuple[T | None, ...]:
        return (None, *ctx.half.backward(d_output, list(d_last)))


class TorchPort(Port):
    ops = TorchOps()

    def leaf(self, tensor: Tensor) -> T:
        return torch.from_numpy(tensor.data.astype(np.float32)).requires_grad_()

    def apply(self, half: Half, x: T, weights: Arrays, states: Arrays) -> Sequence[T]:
        result: Sequence[T] = HalfFunction.apply(half, x, *weights, *states)
        return result

    def found(self, leaves: Arrays, cotangents: Arrays) -> Sequence[Array | None]:
        found = torch.autograd.grad(self.outputs(), leaves, cotangents, allow_unused=True)
        return list(map(as_array, found))
