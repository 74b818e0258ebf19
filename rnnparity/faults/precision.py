"""Faults of precision: computed, or its weights stored, in another type than the policy names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from rnnparity.faults.edit import ArrayEdit, EditArithmetic, EditWeights, Half, Weights
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.problem import Problem
from rnnparity.reference.arithmetic import PlainArithmetic

# Types that values are kept in between operations, by the bits of their significand.
PRECISIONS = {"TF32": 11, "float16": 11, "bfloat16": 8, "float32": 24}
# Types of which only what enters a matrix product keeps the bits.
PRODUCTS = {"TF32": "TF32", "bfloat16 products": "bfloat16"}


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

    def between_steps(self, states: list[Array], U: Array) -> list[Array]:  # noqa: ARG002 - none needed
        return [self.round(state) for state in states]


class _ProductRounded(np.ndarray[Any, np.dtype[np.float64]]):
    """float64 numbers that are rounded to `bits` bits where they enter a matrix product."""

    bits: int

    def __array_finalize__(self, source: object) -> None:
        self.bits = getattr(source, "bits", 53)

    def __matmul__(self, other: Array) -> Array:  # type: ignore[override]  # only of numbers
        return self._product(self, other)

    def __rmatmul__(self, other: Array) -> Array:  # type: ignore[override]  # only of numbers
        return self._product(other, self)

    def _product(self, first: Array, second: Array) -> Array:
        rounded = (round_to_bits(self.bits, np.asarray(array)) for array in (first, second))
        product: Array = np.matmul(*rounded)
        return product


class CoarseProducts(PlainArithmetic):
    """Round what enters a matrix product to so many bits, as TF32 does; nothing else, no bias."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def from_array(self, values: Array) -> Array:
        rounded = super().from_array(values).view(_ProductRounded)
        rounded.bits = self.bits
        return rounded


def low_precision(name: str) -> Fault:
    """Return the fault that computes the layer in one of the PRECISIONS, or only the PRODUCTS."""
    bits = PRECISIONS[PRODUCTS.get(name, name)]

    def is_finer(problem: Problem) -> bool:
        """Return whether the layer's own type has more bits."""
        return bits < FLOAT_TYPES[problem.threshold_type].bits

    description = f"The layer is computed in {name}, or keeps its states in it."
    if name in PRODUCTS:
        description = (
            f"Matrix products are computed in {PRODUCTS[name]}: their inputs keep {bits} bits."
        )
        seen_in = (
            "torch.backends.cuda.matmul.allow_tf32, on by default in cuDNN"
            if name == "TF32"
            else "float32 products on a TPU by default, oneDNN's floating-point math mode"
        )
        edit = EditArithmetic(CoarseProducts(bits), applies=is_finer)
    else:
        seen_in = ""
        edit = EditArithmetic(Coarse(bits), name, is_finer, partial(round_to_bits, bits))
    return Fault("low-precision", name,
        description,
        "Compute in the type that the policy names. Where the engine is meant to be coarser, declare it: "
        "`rnnparity check SUBJECT --precision float16`, bfloat16 or 2**-N.",
        seen_in=seen_in, edit=edit)  # fmt: skip


def _as_int8(axis: int | None, w: Array) -> Array:
    """Return what int8 keeps of an array, symmetrically: the largest magnitude becomes 127.

    `axis` None is one scale for the whole array, 0 one for each column (an output channel).
    """
    scale = (np.abs(w).max(axis=axis, keepdims=True) / 127).astype(np.float32)
    kept: Array = np.rint(w / np.maximum(scale, np.finfo(np.float32).tiny)) * scale
    return kept


def _store(names: Sequence[str], stored: ArrayEdit) -> EditWeights:
    """Return the edit that rounds these arrays; it applies where the layer computes others then."""

    def edited(half: Half) -> Weights | None:
        if any(name not in half.weights for name in names):
            return None
        rounded = FLOAT_TYPES[half.layer.compute_dtype].round
        old = {name: rounded(half.weights[name]).astype(np.float64) for name in names}
        new = {name: rounded(stored(array)) for name, array in old.items()}
        if all(np.array_equal(old[name], array) for name, array in new.items()):
            return None
        return {**half.weights, **new}

    return EditWeights(edited)


KERNELS = ("kernel", "recurrent_kernel")


def _stored_weights() -> Iterator[Fault]:
    fix = "Store the weights in the type that the policy names, or declare the coarser one."
    for name in ("float16", "bfloat16"):
        for suffix, arrays, names in (
            ("", "All weights", (*KERNELS, "bias")),
            (", bias excepted", "Kernel and recurrent kernel", KERNELS),
        ):
            yield Fault("weights-stored-as", f"{name}{suffix}",
                f"{arrays} are stored in {name}; the arithmetic is finer.",
                fix,
                seen_in="PyTorch's dynamic quantization, TFLite's float16 models",
                edit=_store(names, FLOAT_TYPES[name].round))  # fmt: skip
    for variant, axis in (("int8 per tensor", None), ("int8 per channel", 0)):
        yield Fault("weights-stored-as", variant,
            f"Kernel and recurrent kernel are stored as {variant}; the arithmetic is finer.",
            fix,
            seen_in="dynamic quantization in PyTorch, ONNX Runtime and TFLite",
            edit=_store(KERNELS, partial(_as_int8, axis)))  # fmt: skip


# A hypothesis that is tried where nothing on the list fits; no mutant.
BFLOAT16_PRODUCTS = low_precision("bfloat16 products")
PRECISION_FAULTS = (*map(low_precision, PRECISIONS), *_stored_weights())
