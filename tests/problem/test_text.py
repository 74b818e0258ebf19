"""Text that others wrote, as it may be shown."""

import pytest

from rnnparity.problem.text import visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x00\x07\x7f", r"\x00\x07\x7f"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f"),
        ("\u2028\u2029\ufeff", r"\u2028\u2029\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("순환 층, α·β → ŷ \\n", "순환 층, α·β → ŷ \\n"),
    ],
)
def test_what_is_not_printable_is_shown_as_its_escape(text, shown):
    assert visible(text) == shown


def test_lines_stay_lines():
    assert visible_lines(["a\nb", "c\x1b"]) == "a\\nb\nc\\x1b"
