"""rnnparity proves that a recurrent layer computes what Keras specifies, or names what it does not.

Importing it needs NumPy alone, and loads even that only when something is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rnnparity.problem.problem import Problem as Problem
    from rnnparity.session.ask import run as run
    from rnnparity.session.check import check as check
    from rnnparity.testing import assert_parity as assert_parity

_HOMES = {
    "Problem": "rnnparity.problem.problem",
    "check": "rnnparity.session.check",
    "run": "rnnparity.session.ask",
    "assert_parity": "rnnparity.testing",
}
__all__ = ["Problem", "__version__", "assert_parity", "check", "run"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: `rnnparity --help` must not wait for NumPy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnparity' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
