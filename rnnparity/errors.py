"""What can be wrong with a request or a file. Each becomes one line on stderr and exit status 2."""

from __future__ import annotations


class RequestError(Exception):
    """The request or a file is at fault: the message says what, where and what to do, in one line."""


class FormatError(RequestError):
    """A problem file or a fixture that cannot be read as `rnnparity/1`."""


class LayerError(FormatError):
    """A layer's configuration that is malformed, unknown, or would change a number and is not computed."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where} {what}")


class MistrustedRunError(Exception):
    """The run's own proof failed: a subject that is wrong on purpose passed. Exit status 1."""
