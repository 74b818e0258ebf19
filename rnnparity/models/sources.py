"""Where what enters a call of a model comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnparity.models.calls import Call
from rnnparity.problem.tensor import Tensor


class Source(NamedTuple):
    """The call of the model, and which of its outputs, that an array comes from."""

    call: int
    output: int

    @property
    def is_first(self) -> bool:
        """Whether it is the first output, the one that a port's tensor is known for."""
        return self.output == 0


def source_of(calls: Sequence[Call], index: int, array: Tensor) -> Source | None:
    """Return where an array that enters a call comes from: the last earlier call that returned it."""
    for earlier in reversed(range(index)):
        for position, output in enumerate(calls[earlier].outputs):
            if np.array_equal(output.data.ravel(), array.data.ravel()):
                return Source(earlier, position)
    return None
