"""Arrays from text as NumPy, PyTorch, TensorFlow and JAX print them, or as rows of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnparity.problem.errors import RequestError

# Nested lists of more levels than axes B, T, H and one for calls are no outputs.
DEEPEST = 4
NUMBER = r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|nan|inf)"
_TOKEN = re.compile(rf"[\[\]]|{NUMBER}(?=[\s,\[\]]|$)|[\s,]+|\S+?(?=[\s,\[\]]|$)", re.IGNORECASE)
_NUMBER = re.compile(NUMBER, re.IGNORECASE)
# A name before an array, with the function that its type is printed as: "h = tensor([".
_NAME = re.compile(r"([A-Za-z_][\w/]*)\s*[=:]\s*(?:[\w.]+\(\s*)*$")
# So much of what is before an array may hold its name.
BEFORE = 100
# What has brackets and is no array: the size of a tensor, the number of a notebook's cell.
_NO_ARRAY = re.compile(r"(?:Size\(|\b(?:In|Out))\s*$")
# Names of outputs, with the layer and its half, and what they are called in programs. An array
# that is called anything else has no name.
_OUTPUT = re.compile(r"(?:[\w/]+/)?(?:forward_|backward_)?(?:output|h|c|inputs)(?:_\d+)?")
_ALSO_CALLED = {"out": "output", "outputs": "output", "y": "output", "h_n": "h", "c_n": "c"}
_WHOLE = "print the whole array: numpy.set_printoptions(threshold=2**31), or the like"

Nested = list[object]


def parse_printed(text: str, where: str) -> object:
    """Return the arrays in a text as nested lists: one, several, or a mapping where each has a name.

    `where` starts the message of an error.

    Raises:
        RequestError: there is no array, or something else than numbers in one.

    >>> parse_printed("tensor([[0.1, -2.0]], grad_fn=<X>)", "a.txt")
    [[0.1, -2.0]]
    >>> parse_printed("output = [[1. 2.]]  h = array([3.])", "a.txt")
    {'output': [[1.0, 2.0]], 'h': [3.0]}
    """
    if "[" not in text:
        return _rows(text, where)
    found = list(_arrays(text, where))
    names = [name for name, _ in found]
    if all(names) and len(set(names)) == len(names):
        return dict(found)
    arrays = [array for _, array in found]
    return arrays[0] if len(arrays) == 1 else arrays


def _arrays(text: str, where: str) -> Iterator[tuple[str, Nested]]:
    """Yield each array with the name before it, "" without one."""
    end = 0
    while (start := text.find("[", end)) >= 0:
        before = text[max(end, start - BEFORE) : start]
        array, end = _array(text, start, where)
        if not _NO_ARRAY.search(before):
            yield _name(before), array


def _name(before: str) -> str:
    """Return the name of the output that an array is, "" where it is called anything else."""
    found = _NAME.search(before)
    name = found[1] if found else ""
    name = name if "/" in name else name.lower()
    name = _ALSO_CALLED.get(name, name)
    return name if _OUTPUT.fullmatch(name) else ""


def _array(text: str, start: int, where: str) -> tuple[Nested, int]:
    """Return the array that begins at a bracket, and where it ends."""
    whole: Nested = []
    levels = [whole]
    for token in _TOKEN.finditer(text, start):
        part = token[0]
        if part == "[":
            inner: Nested = []
            levels[-1].append(inner)
            levels.append(inner)
            if len(levels) > DEEPEST + 1:
                raise RequestError(f"{_at(text, token.start(), where)}: nested too deeply")
        elif part == "]":
            levels.pop()
            if len(levels) == 1:
                (array,) = whole
                assert isinstance(array, list)  # noqa: S101 - only lists are appended there
                return array, token.end()
        elif _NUMBER.fullmatch(part):
            levels[-1].append(float(part))
        elif part.strip(", \t\r\n"):
            advice = _WHOLE if "..." in part else "expected numbers and brackets only"
            raise RequestError(f"{_at(text, token.start(), where)}: got {part!r}; {advice}")
    raise RequestError(f"{_at(text, start, where)}: the bracket is not closed")


def _rows(text: str, where: str) -> list[list[float]]:
    """Return the numbers of each line, separated by spaces or commas."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.replace(",", " ").split()
        wrong = [part for part in parts if not _NUMBER.fullmatch(part)]
        if wrong:
            raise RequestError(f"{where}: line {number}: got {wrong[0]!r}, expected numbers")
        if parts:
            rows.append([float(part) for part in parts])
    if not rows:
        raise RequestError(f"{where}: no numbers in it")
    return rows


def _at(text: str, position: int, where: str) -> str:
    return f"{where}: line {text.count(chr(10), 0, position) + 1}"
