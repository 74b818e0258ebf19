"""How much rounding may move the outputs: the noise of the layer's dtype, or of a coarser one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Layer, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import expect

# Coarser dtypes that an implementation may have computed in, by the dtype of the layer's policy.
COARSER = {"float64": ("float32", "float16", "bfloat16"), "float32": ("float16", "bfloat16")}

# Noise below this part of the largest is that of numbers that are too small for the dtype.
UNDERFLOW = 1e-9


@dataclass(frozen=True)
class Noise:
    """The noise of every output value in one dtype; `dtype` is "" for the layer's own dtype."""

    dtype: str
    sigmas: Sequence[Array]
    threshold: float

    @cached_property
    def floors(self) -> list[Array]:
        """Sigma as it is allowed for the outputs of a faulty run.

        It is the noise of the expected run, but at least half of what is usual in its array: where
        the expected run is exact (zeros of masked steps) the faulty one is not.
        """
        usual = [_usual(sigma) for sigma in self.sigmas]
        largest = max(usual)
        pairs = zip(self.sigmas, usual, strict=True)
        return [_floor(sigma, median or largest) for sigma, median in pairs]


def _usual(sigma: Array) -> float:
    """Return the median of the noise, without values that are exact but for underflow."""
    finite = sigma[np.isfinite(sigma)]
    noisy = finite[finite > UNDERFLOW * finite.max(initial=0)]
    return float(np.median(noisy)) if noisy.size else 0.0


def _floor(sigma: Array, usual: float) -> Array:
    return np.where(sigma > 0, np.maximum(sigma, usual / 2), usual)


def noise_of(
    problem: Problem, outputs: Sequence[Array], dtype: str = "", *, roughly: bool = False
) -> Noise | None:
    """Return the noise of a problem in a dtype ("": its own), None where it cannot be predicted.

    In a coarser dtype the rounding of the weights moves the outputs as well; that is part of the
    noise. `roughly`: noise that has grown too far to be exact will do, if it is finite.
    """
    noisy = expect(in_type(problem, dtype) if dtype else problem)
    finite = all(np.isfinite(sigma).all() for sigma in noisy.sigmas)
    if noisy.unpredictable and not (roughly and finite):
        return None
    sigmas = list(noisy.sigmas)
    if dtype:
        moved = [tensor.data - array for tensor, array in zip(noisy.outputs, outputs, strict=True)]
        sigmas = [np.hypot(sigma, shift) for sigma, shift in zip(sigmas, moved, strict=True)]
    return Noise(dtype, sigmas, noisy.dtype.threshold)


def coarser_type(values: Array, dtype: str) -> str:
    """Return the coarsest dtype below `dtype` that represents every value exactly, "" if none does.

    Zeros and copies say nothing.
    """
    values = values[np.isfinite(values) & (values != 0)]
    if len(np.unique(np.abs(values))) < 2:
        return ""
    for coarser in reversed(COARSER.get(dtype, ())):
        rounded = FLOAT_TYPES[coarser].round(values).astype(np.float64)
        if (rounded == values).all():
            return coarser
    return ""


def in_type(problem: Problem, dtype: str) -> Problem:
    """Return the problem with every layer under the policy `dtype`, without outputs."""
    return replace(problem, layer=_with_dtype(problem.layer, dtype), outputs=None)


def numbers_in_type(problem: Problem, dtype: str) -> Problem:
    """Return a problem of which the layer, and its weights, inputs and initial states have a type."""

    def converted(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        return tuple(Tensor.of(tensor.name, tensor.data, dtype) for tensor in tensors)

    problem = in_type(problem, dtype)
    states = problem.initial_state
    bare = replace(problem, initial_state=None, weights=converted(problem.weights))
    (inputs,) = converted([problem.inputs])
    return replace(bare, inputs=inputs, initial_state=None if states is None else converted(states))


def _with_dtype(layer: Layer, dtype: str) -> Layer:
    if isinstance(layer, Stack):
        return Stack(tuple(_with_dtype(inner, dtype) for inner in layer.layers))  # type: ignore[misc]  # stacks do not nest
    if isinstance(layer, Bidirectional):
        forward = replace(layer.forward, dtype=dtype)
        backward = replace(layer.backward, dtype=dtype)
        return replace(layer, forward=forward, backward=backward, dtype=dtype)
    return replace(layer, dtype=dtype)
