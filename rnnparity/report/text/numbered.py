"""Rows, steps and units by their numbers."""

from __future__ import annotations

from collections.abc import Sequence

# A list of rows, steps or units names this many.
NUMBERS = 6
# An order names this many of them.
LONGEST_ORDER = 24
# From this many consecutive numbers on a list is a range.
RANGE = 4


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """Return "row 1", "steps 0 to 3", "units 0, 2, 5, ..."."""
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    consecutive = list(numbers) == list(range(numbers[0], numbers[-1] + 1)) if numbers else False
    if consecutive and len(numbers) >= RANGE:
        return f"{noun}s {numbers[0]} to {numbers[-1]}"
    return f"{noun}s {listed(numbers)}"


def listed(numbers: Sequence[int], most: int = NUMBERS) -> str:
    """Return the first numbers, separated by commas."""
    shown = ", ".join(map(str, numbers[:most]))
    return f"{shown}, ..." if len(numbers) > most else shown


def counted(count: int, noun: str) -> str:
    """Return "one step", "two steps"."""
    words = {1: "one", 2: "two", 3: "three"}
    return f"{words.get(count, str(count))} {noun}{'' if count == 1 else 's'}"
