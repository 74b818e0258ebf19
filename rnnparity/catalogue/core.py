"""The core set of cases: computed by `rnnparity regenerate --core` and stored in `core.txt`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from rnnparity.catalogue import catalogue
from rnnparity.problem.errors import FormatError

CORE = Path(__file__).with_name("core.txt")
_HEAD = """\
# The core set, computed by `rnnparity regenerate --core`: do not edit.
# Computed from: {basis}
"""


@cache
def core() -> tuple[str, ...]:
    """Return the ids of the core set, in the order of the catalogue.

    Raises:
        FormatError: the list names a case that the catalogue does not have.
    """
    ids = stored_ids()
    unknown = [id_ for id_ in ids if id_ not in catalogue()]
    if unknown:
        message = f"{unknown[0]} is not a case; run `rnnparity regenerate --core`"
        raise FormatError(f"{CORE}: {message}")
    return tuple(ids)


def stored_ids() -> list[str]:
    """Return the ids in the file, whether or not the catalogue has them; none without a file."""
    if not CORE.exists():
        return []
    return [line for line in CORE.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]


def core_text(ids: Iterable[str], basis: str) -> str:
    """Return the content of the file that stores a core set and what it was computed from."""
    return _HEAD.format(basis=basis) + "".join(f"{id_}\n" for id_ in ids)
