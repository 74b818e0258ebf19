"""`rnnparity list`, `show` and `run`: the catalogue, one case, one problem file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Case, Expression, case_of, echo
from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rnnparity.problem.problem import Problem


def list_(
    k: Expression = "",
    subjects: Annotated[
        bool, typer.Option("--subjects", help="List subjects instead of cases.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="List the faults that the cases must detect.")
    ] = False,
    tags: Annotated[
        bool, typer.Option("--tags", help="List the tags for -k, with the number of their cases.")
    ] = False,
) -> None:
    """List cases, subjects, tags or faults."""
    if subjects:
        _list_subjects()
    elif faults:
        _list_faults()
    else:
        from rnnparity.catalogue import catalogue
        from rnnparity.catalogue.selection import select

        selected = select(catalogue().values(), k)
        (_list_tags if tags else _list_cases)(selected)


def _list_subjects() -> None:
    from rnnparity.subjects import registered_names, registration

    for name in registered_names():
        subject = registration(name)
        echo(f"{name:24} {subject.description}")
    echo(f"{'package.module:callable':24} a function from a Problem to its outputs")
    echo(f"{'cmd:PROGRAM':24} a program: one problem per line in, one answer per line out")


def _list_faults() -> None:
    from rnnparity.faults import FAULTS

    for fault in FAULTS:
        echo(f"{fault.cause}: {fault.variant}", f"  {fault.description} {fault.fix}")


def _list_tags(cases: Sequence[Problem]) -> None:
    from collections import Counter

    counts = Counter(tag for case in cases if case.case for tag in case.case.tags)
    for tag, count in sorted(counts.items()):
        echo(f"{tag:32} {count:5}")


def _list_cases(cases: Sequence[Problem]) -> None:
    width = max(len(case.id) for case in cases)
    for case in cases:
        echo(f"{case.id:{width}}  {case.case.why if case.case else ''}")


def show(
    case: Case,
    subject: Annotated[
        str, typer.Option(metavar="S", help="Subject whose outputs are compared.")
    ] = "reference",
    json: Annotated[
        bool, typer.Option("--json", help="Print the case as a problem file for `rnnparity run`.")
    ] = False,
) -> None:
    """Show one case with every gate and state at every step."""
    from rnnparity.problem import file_format
    from rnnparity.report.show import show as show_case
    from rnnparity.session.ask import check_case

    problem = case_of(case)
    if json:
        typer.echo(file_format.dump_pretty(problem))
        return
    outcome, result = check_case(problem, subject)
    echo(*show_case(problem, subject, outcome, result))
    raise typer.Exit(result.verdict.status)


def run(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Problem file, as `show CASE --json` prints it; - for one problem per line on stdin.",
        ),
    ],
    subject: Annotated[str, typer.Option(metavar="S", help="Subject that computes.")] = "reference",
) -> None:
    """Compute the outputs of a problem file and print it with them."""
    from rnnparity.problem import file_format
    from rnnparity.session.ask import run as run_problem

    if file != "-":
        dump = file_format.dump_pretty if sys.stdout.isatty() else file_format.dump_line
        typer.echo(dump(run_problem(file_format.read_problem(Path(file)), subject)))
        return
    problems = 0
    for problem in _problems_on_stdin():
        typer.echo(file_format.dump_line(run_problem(problem, subject)))
        problems += 1
    if not problems:
        raise RequestError("stdin: got no problem, expected one per line")


def _problems_on_stdin() -> Iterator[Problem]:
    """Yield the problems on stdin, one per line.

    Raises:
        FormatError: a line is not a problem, or too large.
    """
    from rnnparity.problem import file_format

    for number in itertools.count(1):
        where = f"stdin, line {number}"
        line = file_format.read_limited(sys.stdin.buffer.readline, where)
        if not line:
            return
        if line.strip():
            yield file_format.parse_problem(file_format.load_json(line, where), where)
