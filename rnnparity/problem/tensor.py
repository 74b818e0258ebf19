"""A named array."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rnnparity.problem.dtypes import FLOAT_TYPES, Array


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array. Its dtype is one of `FLOAT_TYPES`, or whatever else a subject returned.

    >>> Tensor.of("h", [[0.1, 0.2]], "bfloat16")
    Tensor(name='h', data=array([[0.100098, 0.200195]], dtype=bfloat16))
    """

    name: str
    data: Array

    @property
    def dtype(self) -> str:
        return _name(self.data.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @classmethod
    def of(cls, name: str, values: npt.ArrayLike, dtype: str = "float32") -> Tensor:
        """Return `values` rounded to `dtype`, with a name."""
        return cls(name, FLOAT_TYPES[dtype].round(np.asarray(values)))


@lru_cache
def _name(dtype: np.dtype[np.generic]) -> str:
    """Return the name of a dtype, which NumPy puts together each time."""
    return dtype.name
