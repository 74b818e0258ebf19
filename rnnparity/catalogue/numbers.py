"""The catalogue's numbers: an integer formula that any language reproduces exactly in float32.

Element k of an array (row-major, k from 0) with seed s and scale 2**e is

    spread(k, s) = ((11**(k + 167 * s) mod 1009) - 504) / 1024 * 2**e

11 is a primitive root of the prime 1009, so up to 1008 elements of one array all differ and
neighbours have nothing in common; numerators stay below 2**9, so that the values are exact in
float32 and float16 (in bfloat16 they are rounded, which is part of what is tested).
"""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np

from rnnparity.problem.dtypes import Array

PRIME, ROOT, SHIFT = 1009, 11, 167
_CYCLE = np.array([pow(ROOT, k, PRIME) for k in range(PRIME - 1)])


@cache
def spread(shape: tuple[int, ...], seed: int, exponent: int = 0) -> Array:
    """Return an array of float64 within 2**exponent / 2, up to 1008 different elements."""
    k = np.arange(prod(shape))
    powers = _CYCLE[(k + SHIFT * seed) % (PRIME - 1)]
    values = ((powers - PRIME // 2) / 1024.0 * 2.0**exponent).reshape(shape)
    values.setflags(write=False)  # one array serves many cases
    return values
