"""The catalogue's numbers: an integer formula that any language reproduces exactly in float32, no random generator.

Element k of an array (row-major, k from 0) with seed s and scale 2**e is

    spread(k, s) = (((421 * k + 167 * s + 83) mod 1009) - 504) / 1024 * 2**e

1009 is prime, so up to 1009 elements of one array all differ; numerators stay below 2**9, so that the values are
exact in float32 and float16 (in bfloat16 they are rounded, which is part of what is tested).
"""

from __future__ import annotations

import numpy as np

from rnnparity.dtypes import Array

PRIME, STEP, SHIFT, START = 1009, 421, 167, 83


def spread(shape: tuple[int, ...], seed: int, exponent: int = 0) -> Array:
    """An array of that shape, every element different (up to 1009 of them), within 2**exponent / 2, as float64."""
    k = np.arange(int(np.prod(shape)), dtype=np.int64)
    numerators = (STEP * k + SHIFT * seed + START) % PRIME - PRIME // 2
    return (numerators / 1024.0 * 2.0**exponent).reshape(shape)
