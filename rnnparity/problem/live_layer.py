"""A live layer of Keras, and the mask that Keras keeps with a tensor."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from rnnparity.problem.arrays import ArrayLike


class KerasLayer(Protocol):
    """A layer of Keras, or of anything with the same two methods."""

    def get_config(self) -> Mapping[str, object]:
        """Return its configuration."""

    def get_weights(self) -> Sequence[ArrayLike]:
        """Return its weights in Keras' order."""


def attached_mask(inputs: ArrayLike) -> ArrayLike | None:
    """Return the mask that Keras keeps with a tensor, None without one.

    That of a tensor which takes no attributes, as JAX' are, is known to Keras 3 only.
    """
    find = getattr(sys.modules.get("keras.src.backend"), "get_keras_mask", None)
    return find(inputs) if find else getattr(inputs, "_keras_mask", None)
