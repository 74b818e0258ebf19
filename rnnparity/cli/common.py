"""What the commands share: options, the problem that is meant, how wide and how far."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rich.console import Console

    from rnnparity.problem.problem import Problem
    from rnnparity.session.subject_run import Progress


Expression = Annotated[
    str,
    typer.Option(
        "-k", metavar="EXPR", help="Choose cases: parts of ids and tags, and, or, not, parentheses."
    ),
]
Fixtures = Annotated[
    Path | None,
    typer.Option(
        "--fixtures", metavar="DIR", help="Where the goldens are; default: the project's own."
    ),
]
Jobs = Annotated[
    int | None, typer.Option("-j", min=1, max=64, metavar="N", help="Worker processes a subject.")
]
Case = Annotated[
    str, typer.Argument(metavar="CASE", help="A case's id, as `rnnparity list` shows it.")
]


def problem_of(file: str) -> Problem:
    """What a file, stdin or a case's name holds."""
    from rnnparity.problem import file_format as wire

    if file == "-":
        return wire.parse_problem(wire.load_json(sys.stdin.buffer.read(), "stdin"), "stdin")
    return (
        wire.read_problem(Path(file))
        if Path(file).exists() or "." in file or "/" in file
        else case_of(file)
    )


def case_of(id: str) -> Problem:
    """The case of that name.

    Raises:
        RequestError: there is none; a name near it is offered.
    """
    from difflib import get_close_matches

    from rnnparity.catalogue import catalogue

    if id not in catalogue():
        near = get_close_matches(id, catalogue(), n=1)
        hint = f"did you mean {near[0]}?" if near else "`rnnparity list` shows them all"
        raise RequestError(f"case {id!r} is unknown; {hint}")
    return catalogue()[id]


def console() -> Console:
    """As wide as the terminal; a pipe has no width, and what is printed there is not to be cut."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=1000)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on a terminal, nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        tasks = {"": bar.add_task("loading", total=None)}

        def tell(subject: str, done: int, total: int) -> None:
            bar.update(tasks[""], visible=False)
            if subject not in tasks:
                tasks[subject] = bar.add_task(subject, total=total)
            bar.update(tasks[subject], completed=done)

        yield tell


def fail(text: str, status: int) -> int:
    """Say in one line what is wrong; gives the exit status back."""
    print(f"rnnparity: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201 - the one line on stderr
    return status
