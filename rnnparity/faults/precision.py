"""Faults of precision: the layer computed in another type than its policy names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from rnnparity.faults.edit import EditArithmetic
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.problem import Problem
from rnnparity.reference.arithmetic import PlainArithmetic

# Types that values are kept in between operations, by the bits of their significand.
PRECISIONS = {"TF32": 11, "float16": 11, "bfloat16": 8, "float32": 24}


def round_to_bits(bits: int, values: Array) -> Array:
    """Return the nearest numbers with so many bits, whatever their size."""
    significand, exponent = np.frexp(values)
    rounded: Array = np.ldexp(np.rint(np.ldexp(significand, bits)), exponent - bits)
    return rounded


class Coarse(PlainArithmetic):
    """Round weights, inputs, states and activations to so many bits; float64 between them."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.round = partial(round_to_bits, bits)

    def from_array(self, values: Array) -> Array:
        return self.round(super().from_array(values))

    def activation(self, name: str) -> Callable[[Array], Array]:
        function = super().activation(name)
        return lambda x: self.round(function(x))

    def between_steps(self, states: list[Array]) -> list[Array]:
        return [self.round(state) for state in states]


class CoarseProducts(Coarse):
    """Round weights, inputs and states, as TF32 rounds what enters a product; not activations."""

    def activation(self, name: str) -> Callable[[Array], Array]:
        return PlainArithmetic.activation(self, name)


def low_precision(name: str) -> Fault:
    """Return the fault that computes the layer in one of the PRECISIONS."""
    bits = PRECISIONS[name]

    def is_finer(problem: Problem) -> bool:
        """Return whether the layer's own type has more bits."""
        return bits < FLOAT_TYPES[problem.threshold_type].bits

    if name == "TF32":
        seen_in = "torch.backends.cuda.matmul.allow_tf32, on by default in cuDNN"
        edit = EditArithmetic(CoarseProducts(bits), applies=is_finer)
    else:
        seen_in = ""
        edit = EditArithmetic(Coarse(bits), name, is_finer, partial(round_to_bits, bits))
    return Fault("low-precision", name,
        f"The layer is computed in {name}.",
        "Compute in the type that the policy names.",
        seen_in=seen_in, edit=edit)  # fmt: skip


PRECISION_FAULTS = tuple(low_precision(name) for name in PRECISIONS)
