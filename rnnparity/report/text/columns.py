"""Tables as aligned lines."""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def text_columns(rows: Rows) -> list[str]:
    """Return the rows of a table of words as lines."""
    widths = _widths(rows)
    padded = [[cell.ljust(w) for cell, w in zip(cells, widths, strict=True)] for cells in rows]
    return ["  ".join(cells).rstrip() for cells in padded]


def number_columns(rows: Rows) -> list[str]:
    """Return the rows of a table as lines; only its first column is text, the others are numbers."""
    widths = _widths(rows)
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def _widths(rows: Rows) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]
