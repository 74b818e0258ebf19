"""The values in a Keras configuration: each is checked, none is converted.

Every function raises `LayerError`, which names the path `where` inside the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from rnnparity.problem.dtypes import COMPUTE_DTYPE
from rnnparity.problem.errors import LayerError, shown
from rnnparity.problem.layers import ACTIVATIONS, MERGE_MODES


def read_units(value: object, where: str) -> int:
    """Return the number of units."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise LayerError(where, f"got {shown(value)}, expected a positive integer below 2**31")
    return value


def read_flag(value: object, where: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise LayerError(where, f"got {shown(value)}, expected true or false")
    return value


def read_activation(value: object, where: str) -> str:
    """Return the name of an activation; null is `linear`."""
    return "linear" if value is None else _choice(value, ACTIVATIONS, where)


def read_merge_mode(value: object, where: str) -> str | None:
    """Return a merge mode; None keeps the two outputs separate."""
    modes = [mode for mode in MERGE_MODES if mode is not None]
    if value is not None and value not in modes:
        raise LayerError(where, f"got {shown(value)}, expected {', '.join(modes)} or null")
    return None if value is None else str(value)


def read_policy(value: object, where: str) -> str:
    """Return a policy's name, also from the object that `get_config()` gives for it."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, Mapping) else value
    return "float32" if value is None else _choice(value, tuple(COMPUTE_DTYPE), where)


def _choice(value: object, choices: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value not in choices:
        raise LayerError(where, f"got {shown(value)}, expected one of {', '.join(choices)}")
    return value
