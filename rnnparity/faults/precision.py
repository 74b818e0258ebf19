"""Faults of precision: the layer computed in another type than its policy names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.reference.arithmetic import Plain

# Types that values are kept in on the way, by the bits of their significand.
PRECISIONS = {"TF32": 11, "float16": 11, "bfloat16": 8, "float32": 24}


def precision_faults() -> Iterator[Fault]:
    """The layer computed in each of the PRECISIONS."""
    for name in PRECISIONS:
        yield low_precision(name)


def rounded(values: Any, bits: int) -> Any:
    """The nearest numbers with so many bits, whatever their size."""
    significand, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(significand, bits)), exponent - bits)


class Coarse(Plain):
    """Weights, inputs, states and what activations give are kept with so many bits; float64 between
    them."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def known(self, values: Array) -> Any:
        return self._round(super().known(values))

    def activation(self, name: str) -> Callable[[Any], Any]:
        function = super().activation(name)
        return lambda x: self._round(function(x))

    def carry(self, states: list[Any]) -> list[Any]:
        return [self._round(state) for state in states]

    def _round(self, values: Any) -> Any:
        return rounded(values, self.bits)


class CoarseProducts(Coarse):
    """Weights, inputs and states are rounded, as what enters a product in TF32 is; what activations
    give is not."""

    def activation(self, name: str) -> Callable[[Any], Any]:
        return Plain.activation(self, name)


def low_precision(name: str) -> Fault:
    """Computed in one of the PRECISIONS."""
    kind = CoarseProducts if name == "TF32" else Coarse
    bits = PRECISIONS[name]
    return Fault(
        "low-precision", name, f"The layer is computed in {name}.", "Compute in the type that the policy names.",
        "TF32: torch.backends.cuda.matmul.allow_tf32, on by default in cuDNN" if name == "TF32" else "",
        problem=lambda problem: problem if bits < FLOAT_TYPES[problem.threshold_type].bits else None,
        outputs=lambda _, outputs: [rounded(array, bits) for array in outputs] if name != "TF32" else outputs,
        arithmetic=kind(bits),
    )  # fmt: skip
