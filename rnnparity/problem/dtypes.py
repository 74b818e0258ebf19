"""Floating-point types: Keras' policies, unit roundoffs, correct rounding, verdict thresholds.

NumPy has no bfloat16; `ml_dtypes` adds it. Its arithmetic rounds every operation, so compute with
float64 and round the result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

from rnnparity.problem.errors import RequestError

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class FloatType:
    """A floating-point type.

    `u` is the unit roundoff (half the gap after 1), `tiny` the smallest normal number (what is
    below may be flushed to zero; in float64 a larger one, whose square is a number), `largest` the
    greatest finite number. `threshold` is the largest error, in sigma, of a correct implementation;
    `fault` the relative change in one weight array that the noise must not hide. Their source:
    docs/tolerance.md. `absolute` is an error that every operation makes besides, as in fixed point.
    """

    name: str
    storage: type[np.generic]
    bits: int
    tiny: float
    largest: float
    threshold: float
    fault: float
    absolute: float = 0.0

    @property
    def u(self) -> float:
        return float(2.0**-self.bits)

    def round(self, values: Array) -> Array:
        """Return the nearest numbers of this type (ties to even), in the same shape.

        Overflow gives infinity; NaN stays NaN.
        """
        array = np.asarray(values)
        if array.dtype == self.storage:
            return array
        if self.name == "bfloat16":
            array = _rounded_to_bfloat16(array.astype(np.float64))
        with np.errstate(over="ignore"):
            return array.astype(self.storage)

    def storage_error(self, values: Array) -> Array:
        """Return how far storing numbers in this type may move them; zeros stay."""
        size = np.abs(values)
        error: Array = np.where(size < self.tiny, size, self.u * size)
        error += self.absolute * (size > 0)
        return error


FLOAT_TYPES = {
    float_type.name: float_type
    for float_type in (
        FloatType("float16", np.float16, 11, 2.0**-14, 65504.0, 5.0, 3e-2),
        FloatType("bfloat16", ml_dtypes.bfloat16, 8, 2.0**-126, 3.3895313892515355e38, 5.0, 0.3),
        FloatType("float32", np.float32, 24, 2.0**-126, 3.4028234663852886e38, 10.0, 1e-3),
        FloatType("float64", np.float64, 53, 2.0**-500, 1.7976931348623157e308, 10.0, 1e-3),
    )
}

# What an engine may declare as N in 2**-N: coarser than float32, and fine enough to see a fault.
_FEWEST_BITS, _MOST_BITS = 4, 23
# The relative change of a weight array that 2**-N must not hide, in 2**-N: most numbers are smaller
# than 1, so that it is more than the 64 roundings of float16. At most that of bfloat16.
_FAULT_ROUNDINGS, _LARGEST_FAULT = 256, 0.3


def declared_precision(text: str) -> FloatType:
    """Return the arithmetic that an engine declares: float16, bfloat16, or 2**-N.

    With 2**-N every operation may be off by that part of its result, or of 1 if that is larger.

    Raises:
        RequestError: the text is none of these.
    """
    if text in ("float16", "bfloat16"):
        return FLOAT_TYPES[text]
    match = re.fullmatch(r"2\*\*-(\d{1,2})", text)
    if match is None or not _FEWEST_BITS <= int(match[1]) <= _MOST_BITS:
        powers = f"2**-{_FEWEST_BITS} to 2**-{_MOST_BITS}"
        raise RequestError(f"precision: got {text!r}, expected float16, bfloat16, or {powers}")
    carrier, error = FLOAT_TYPES["float32"], 2.0 ** -int(match[1])
    fault = min(_LARGEST_FAULT, max(carrier.fault, _FAULT_ROUNDINGS * error))
    tiny, largest = carrier.tiny, carrier.largest
    return FloatType(text, np.float32, int(match[1]), tiny, largest, 5.0, fault, error)


def arithmetic_type(dtype: str, precision: FloatType | None) -> FloatType:
    """Return the type in which an engine computes a layer of `dtype`: the declared one if coarser."""
    own = FLOAT_TYPES[dtype]
    return precision if precision is not None and precision.bits < own.bits else own


# Keras' dtype policies and the dtype of each computation (keras.dtype_policies.DTypePolicy).
COMPUTE_DTYPE = {
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float32": "float32",
    "float64": "float64",
    "mixed_float16": "float16",
    "mixed_bfloat16": "bfloat16",
}


def variable_dtype(policy: str) -> str:
    """Return the dtype of a policy's weights: float32 under the mixed policies."""
    return "float32" if policy.startswith("mixed_") else policy


def widened(values: Array) -> Array:
    """Return bfloat16 values as float32, for libraries that read NumPy's own types only."""
    return values.astype(np.float32) if values.dtype == ml_dtypes.bfloat16 else values


def _rounded_to_bfloat16(values: Array) -> Array:
    """Return the nearest bfloat16 numbers as float64.

    `ml_dtypes` converts float64 by way of float32 and so rounds twice: 1 + 2**-8 + 2**-40 becomes
    the tie 1 + 2**-8 and then 1.
    """
    bfloat16 = FLOAT_TYPES["bfloat16"]
    _, exponent = np.frexp(values)
    # Below the smallest normal number the last place no longer shrinks.
    exponent = np.maximum(exponent, -125)
    scaled = np.rint(np.ldexp(values, 8 - exponent))
    rounded = np.ldexp(scaled, exponent - 8)
    rounded = np.where(np.abs(rounded) > bfloat16.largest, np.copysign(np.inf, rounded), rounded)
    return np.where(np.isfinite(values), rounded, values)
