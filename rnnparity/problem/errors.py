"""Errors of a request or a file. Each becomes one line on stderr and exit status 2."""

from __future__ import annotations

from rnnparity.problem.text import visible

# Exit statuses besides 0: something differs; the request is at fault, or nothing was compared;
# Ctrl-C.
DIFFERS, USAGE, INTERRUPTED = 1, 2, 130

# What a request needs where the system has refused memory, which estimates cannot rule out.
NO_MEMORY = "out of memory; use fewer rows, steps or units, or a machine with more memory"

# A message quotes what a file holds; past this many characters its middle is left out.
LONGEST = 1000


class RequestError(Exception):
    """A request or a file that is wrong; the message is one line: what, where, and what to do.

    Names from a file may hold anything: line breaks become spaces, control characters their codes.
    """

    def __init__(self, message: str) -> None:
        line = visible(" ".join(message.split()))
        super().__init__(
            line if len(line) <= LONGEST else f"{line[: LONGEST - 300]} ... {line[-295:]}"
        )


class SubjectFailedError(RequestError):
    """A subject failed on a case: it raised, its process ended, or it timed out."""

    def __init__(self, case: str, failure: str) -> None:
        super().__init__(f"{case}: {failure}")
        self.failure = failure


class FormatError(RequestError):
    """A problem file or a fixture that cannot be read (docs/format.md)."""


class LayerError(FormatError):
    """A layer's configuration that is malformed, or has an option that is not computed."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")


class LayerClassError(LayerError):
    """A layer of a class that is not computed."""


class SelfCheckError(Exception):
    """The self-check failed: a subject that is wrong on purpose passed. Exit status 1."""


def shown(value: object, longest: int = 60) -> str:
    """Return a JSON value for a message: Python's notation, but true, false and null."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value!r:.{longest}}"
