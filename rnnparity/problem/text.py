"""Text that others wrote (ids, names, messages of subjects), as it may be shown.

Whatever is printed, or filled into a page, passes through here: a terminal would obey an escape
sequence, and a line break or a change of the writing direction would fake the text around it.
"""

from __future__ import annotations

from collections.abc import Iterable


class _Shown(dict[int, str]):
    """What each character is shown as, by its code: itself, or its escape if it is not printable."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if character.isprintable() else ascii(character)[1:-1]
        return self[code]


_SHOWN = _Shown()


def visible(line: str) -> str:
    r"""Return one line: line breaks and characters that are not printable become \n, \x1b, ..."""
    return line.translate(_SHOWN)


def visible_lines(lines: Iterable[str]) -> str:
    """Return lines as one text."""
    return "\n".join(map(visible, lines))
