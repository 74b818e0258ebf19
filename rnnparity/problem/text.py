"""Text that others wrote (ids, names, messages of subjects), as it may be shown.

Whatever is printed, or filled into a page, passes through here: a terminal would obey an escape
sequence, and a line break or a change of the writing direction would fake the text around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# A message lists so many words.
LISTED = 12


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


def listed(words: Sequence[str]) -> str:
    """Return words in one line, of many the first."""
    line = ", ".join(words[:LISTED])
    return line if len(words) <= LISTED else f"{line}, ... ({len(words)} in all)"


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the end of a message about an unknown word: the most similar known one, if any is."""
    near = get_close_matches(word, {*known} - {word}, n=1)
    hint = f"did you mean {near[0]}?" if near else otherwise
    return f"; {hint}" if hint else ""
