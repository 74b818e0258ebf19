"""Lines of text with a style, and with the label of what they state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Style(StrEnum):
    """How a line is shown on a terminal."""

    PLAIN = "plain"
    AGREES = "agrees"
    DIVERGES = "diverges"
    FIRST = "first"
    FINDING = "finding"
    CAUSE = "cause"
    FIX = "fix"
    PICTURE = "picture"


# The colour of each style, and whether it is bold.
COLOURS: dict[Style, tuple[str | None, bool | None]] = {
    Style.AGREES: ("green", True),
    Style.DIVERGES: ("yellow", True),
    Style.FIRST: (None, True),
    Style.FINDING: ("red", None),
    Style.CAUSE: ("red", True),
    Style.FIX: ("green", None),
    Style.PICTURE: ("red", None),
    Style.PLAIN: (None, None),
}


@dataclass(frozen=True)
class Line:
    """A line of text and its style.

    A line that states a fact has the label and the statement apart, too, for pages.
    """

    text: str
    style: Style = Style.PLAIN
    label: str = ""
    statement: str = ""


def labelled(label: str, statement: str, style: Style = Style.PLAIN, indent: str = "  ") -> Line:
    """Return the line "label: statement"."""
    return Line(f"{indent}{label}: {statement}", style, label, statement)


def stated(label: str, statement: str, style: Style = Style.PLAIN, indent: str = "  ") -> Line:
    """Return the line with only the statement, which pages show beside the label."""
    return Line(f"{indent}{statement}", style, label, statement)
