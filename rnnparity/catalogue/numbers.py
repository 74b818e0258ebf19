"""The catalogue's numbers: an integer formula that any language reproduces exactly.

Element k of an array (row-major, k from 0) with seed s and scale 2**e is

    m(s) = 48271**(k + 10007 * (s + 1)) mod (2**31 - 1)
    n = 2 * floor(m(s) / 2**7) + 1 - 2**24
    spread(k, s) = n * 2**(e - 25)

m is the generator of Park and Miller (`std::minstd_rand` in C++), started 10007 steps later for
each seed. n is odd and has 24 bits, so that every value is exact in float32 and in no type with
fewer bits: an engine that stores its weights in float16 is detected. In float64 29 bits more follow:

    low = 2 * floor(m(s + 1000) / 2**3) + 1
    spread(k, s) = (n * 2**29 + low) * 2**(e - 54)

Weights of a 16-bit type are these numbers rounded to it, to nearest and ties to even.
"""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np

from rnnparity.problem.dtypes import Array

MODULUS, FACTOR, STEPS_A_SEED = 2**31 - 1, 48271, 10007
# The seed of the lower bits is so much greater than that of the upper ones.
LOWER_BITS = 1000


@cache
def spread(shape: tuple[int, ...], seed: int, exponent: int = 0, dtype: str = "float32") -> Array:
    """Return an array of float64 within 2**exponent / 2 with all digits of float32 or float64."""
    values = np.ldexp(_integers(prod(shape), seed) // 2**7 * 2.0 + 1 - 2**24, -25)
    if dtype == "float64":
        low = _integers(prod(shape), seed + LOWER_BITS) // 2**3 * 2.0 + 1
        values += np.ldexp(low, -54)
    scaled: Array = np.ldexp(values, exponent).reshape(shape)
    scaled.setflags(write=False)  # one array serves many cases
    return scaled


def _integers(count: int, seed: int) -> Array:
    """Return m(seed) for k from 0 to count - 1."""
    powers = [pow(FACTOR, STEPS_A_SEED * (seed + 1), MODULUS)]
    for _ in range(1, count):
        powers.append(powers[-1] * FACTOR % MODULUS)
    return np.array(powers)
