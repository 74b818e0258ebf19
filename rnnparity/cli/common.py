"""What the commands share: options, reading a problem, and printing."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.problem.errors import RequestError
from rnnparity.problem.text import did_you_mean, visible

if TYPE_CHECKING:
    from rnnparity.problem.problem import Problem


Expression = Annotated[
    str,
    typer.Option(
        "-k",
        metavar="EXPR",
        help="Select cases by parts of ids and by tags, with and, or, not and parentheses.",
    ),
]
Fixtures = Annotated[
    Path | None,
    typer.Option("--fixtures", metavar="DIR", help="Folder of the goldens. Default: the built-in."),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "-j",
        min=1,
        max=64,
        metavar="N",
        help="Worker processes for each subject. Default: as many as cores.",
    ),
]
StoredRuns = Annotated[
    list[Path] | None,
    typer.Option(
        "--from", metavar="FILE", help="Merge what --json wrote instead of running; repeatable."
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="P",
        help="Coarser arithmetic of the subject: float16, bfloat16 or 2**-N. Verdicts state it.",
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="PKG", help="Import a module with custom objects; repeatable."
    ),
]
Unsafe = Annotated[
    bool,
    typer.Option("--unsafe", help="Load what Keras' safe mode refuses; runs code from the file."),
]
Case = Annotated[
    str, typer.Argument(metavar="CASE", help="Id of a case, as listed by `rnnparity list`.")
]


# Files of arrays: `problem/array_files.py`.
ARRAY_SUFFIXES = (".npy", ".npz", ".txt")
# What makes problems of files of other frameworks; in Python, since each needs the model's inputs.
READ_BY = {
    ".pt": "from_torch",
    ".pth": "from_torch",
    ".onnx": "from_onnx",
}


def problem_of(file: str) -> Problem:
    """Return the problem in a file, on stdin ("-"), or of the case with this id.

    Raises:
        RequestError: the file is unreadable, or there is no such case.
    """
    from rnnparity.problem.format_reading import parse_problem, read_problem
    from rnnparity.problem.json_text import load_json, read_limited

    if file == "-":
        content = read_limited(sys.stdin.buffer.read, "stdin")
        return parse_problem(load_json(content, "stdin"), "stdin")
    if Path(file).suffix in ARRAY_SUFFIXES:
        raise RequestError(f"{file}: holds arrays, not a problem; pass it as --outputs {file}")
    if Path(file).suffix in READ_BY:
        function = READ_BY[Path(file).suffix]
        raise RequestError(
            f"{file}: holds a model, not a problem; rnnparity.models.{function} makes problems of its "
            "layers, `rnnparity model FILE.keras --against` compares it with a Keras model"
        )
    if Path(file).exists() or "." in file or "/" in file:
        return read_problem(Path(file))
    return case_of(file)


def case_of(id: str) -> Problem:
    """Return the case with this id, or the random problem: "fuzz-17-3".

    Raises:
        RequestError: there is none; the message suggests a similar id.
    """
    from rnnparity.catalogue import catalogue

    if id.startswith("fuzz-"):
        from rnnparity.session.random_problems import problem_of_id

        random_problem = problem_of_id(id)
        if random_problem is not None:
            return random_problem
    if id not in catalogue():
        hint = did_you_mean(id, catalogue(), "see `rnnparity list`")
        raise RequestError(f"case {id!r} is unknown{hint}")
    return catalogue()[id]


def echo(
    *lines: str, err: bool = False, colour: str | None = None, bold: bool | None = None
) -> None:
    """Print lines, with colours on a terminal; what is not printable is shown as an escape."""
    plain = os.environ.get("NO_COLOR") or not (colour or bold)
    for line in lines:
        text = visible(line)
        typer.echo(text if plain else typer.style(text, fg=colour, bold=bold), err=err)


def terminal_width(most: int) -> int:
    """Return the width of the terminal that stdout is, at most `most`; that where it is none."""
    return min(shutil.get_terminal_size().columns, most) if sys.stdout.isatty() else most


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C: what is finished is printed and written."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def discard_stdout() -> None:
    """Discard what is still printed to stdout.

    Python flushes stdout at exit, which must not fail once more where it has failed before.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, status: int) -> int:
    """Print a message as one line on stderr and return the exit status."""
    echo(f"rnnparity: {' '.join(message.split())}", err=True)
    return status
