"""`rnnparity list`, `show`, `run`: the catalogue, one case, one problem file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import Case, Expression, case_of
from rnnparity.problem.errors import RequestError


def list_(
    k: Expression = "",
    subjects: Annotated[
        bool, typer.Option("--subjects", help="List the subjects instead of the cases.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="List the faults that the cases are there to show.")
    ] = False,
    tags: Annotated[
        bool, typer.Option("--tags", help="List the words for -k, and how many cases each has.")
    ] = False,
) -> None:
    """List the cases, the subjects, the tags or the faults."""
    from collections import Counter

    from rnnparity.catalogue import catalogue
    from rnnparity.catalogue.selection import select
    from rnnparity.subjects import registered_names, registration

    if subjects:
        for name in registered_names():
            found = registration(name)
            typer.echo(
                f"{name:24} {found.description}{', takes the cases tagged ' + found.cases if found.cases else ''}"
            )
        typer.echo(f"{'package.module:callable':24} any function from a Problem to its outputs")
        typer.echo(f"{'cmd:PROGRAM':24} any program: one problem a line in, one answer a line back")
        return
    if faults:
        from rnnparity.faults import FAULTS

        for fault in FAULTS:
            typer.echo(f"{fault.cause}: {fault.variant}\n  {fault.description} {fault.fix}")
        return
    chosen = select(catalogue().values(), k)
    if tags:
        counts = Counter(tag for case in chosen if case.case for tag in case.case.tags)
        for tag, count in sorted(counts.items()):
            typer.echo(f"{tag:32} {count:5}")
        return
    width = max(len(case.id) for case in chosen)
    for case in chosen:
        typer.echo(f"{case.id:{width}}  {case.case.why if case.case else ''}")


def show(
    case: Case,
    subject: Annotated[
        str, typer.Option(metavar="S", help="Whose outputs to look at.")
    ] = "reference",
    json: Annotated[
        bool, typer.Option("--json", help="Its problem file, for `rnnparity run` or any program.")
    ] = False,
) -> None:
    """Show one case, step by step."""
    from rnnparity.problem import file_format as wire
    from rnnparity.problem.results import FAILING
    from rnnparity.report import show
    from rnnparity.session import ask as parity

    problem = case_of(case)
    if json:
        typer.echo(wire.dump_pretty(problem))
        return
    outcome, verdict = parity.check_case(problem, subject)
    typer.echo(show.show(problem, subject, outcome, verdict))
    raise typer.Exit(1 if verdict.verdict in FAILING else 0)


def run(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A problem file, as `show CASE --json` writes one; - for one a line on stdin.",
        ),
    ],
    subject: Annotated[str, typer.Option(metavar="S", help="Who computes.")] = "reference",
) -> None:
    """Compute the outputs of a problem file."""
    from rnnparity.problem import file_format as wire
    from rnnparity.session import ask as parity

    dump = wire.dump_pretty if sys.stdout.isatty() else wire.dump_line
    if file != "-":
        typer.echo(dump(parity.run(wire.read_problem(Path(file)), subject)))
        return
    lines = [(number, line) for number, line in enumerate(sys.stdin.buffer, 1) if line.strip()]
    if not lines:
        raise RequestError("stdin: is empty; give one problem a line")
    for number, line in lines:
        problem = wire.parse_problem(
            wire.load_json(line, f"stdin, line {number}"), f"stdin, line {number}"
        )
        typer.echo(wire.dump_line(parity.run(problem, subject)))
