"""What the catalogue records of a problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """What the catalogue records of a problem: why it exists and what is known beforehand.

    `initializers` holds one number for `kernel`, `recurrent_kernel` and `bias`, and
    `unit_forget_bias`, where the layer is to be built with `keras.initializers.Constant`. `expect`
    holds printed digits, relations, symbolic shapes and parameter counts (see
    `rnnparity.verdict.expectations`).
    """

    tags: tuple[str, ...]
    why: str
    source: str = ""
    initializers: Mapping[str, Any] | None = None
    expect: Mapping[str, Any] = field(default_factory=dict)
