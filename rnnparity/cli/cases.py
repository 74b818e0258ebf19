"""`rnnparity list`, `show` and `run`: the catalogue, one case, one problem file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Case, Expression, Precision, case_of, echo, problem_of
from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rnnparity.faults import Fault
    from rnnparity.problem.problem import Problem


def list_(
    word: Annotated[
        str, typer.Argument(metavar="WORD", help="List only what contains this word.")
    ] = "",
    k: Expression = "",
    subjects: Annotated[
        bool, typer.Option("--subjects", help="List subjects instead of cases.")
    ] = False,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults",
            help="List the causes of the faults that the cases must detect; with WORD the faults "
            "themselves, each with its fix.",
        ),
    ] = False,
    tags: Annotated[
        bool, typer.Option("--tags", help="List the tags for -k, with the number of their cases.")
    ] = False,
) -> None:
    """List cases, subjects, tags or faults."""
    if subjects + faults + tags > 1:
        raise RequestError("--subjects, --faults and --tags are lists of their own: give one")
    if subjects:
        entries = _subjects()
    elif faults:
        entries = _faults() if word else _causes()
    else:
        entries = _cases(k, tags)
    chosen = [entry for entry in entries if word.lower() in "\n".join(entry).lower()]
    if not chosen:
        raise RequestError(f"nothing in the list contains {word!r}")
    for entry in chosen:
        echo(*entry)


def _subjects() -> Iterator[list[str]]:
    from rnnparity.subjects import registered_names, registration

    for name in registered_names():
        yield [f"{name:24} {registration(name).description}"]
    yield [f"{'package.module:callable':24} a function from a Problem to its outputs"]
    yield [f"{'cmd:PROGRAM':24} a program: one problem per line in, one answer per line out"]


def _causes() -> Iterator[list[str]]:
    """Yield the causes of all faults, each with the number of its variants and one of them."""
    from collections import Counter

    counts = Counter[str]()
    first: dict[str, str] = {}
    for fault, mark in _marked_faults():
        name = fault.cause + mark
        counts[name] += 1
        first.setdefault(name, fault.description)
    width = max(map(len, counts))
    for name, count in counts.items():
        yield [f"{name:{width}} {count:4}  {first[name]}"]


def _faults() -> Iterator[list[str]]:
    """Yield all faults, each with its description and its fix."""
    from rnnparity.report.text.messages import variant_name

    for fault, mark in _marked_faults():
        name = variant_name(fault.cause, fault.variant)
        yield [f"{name}{mark}", f"  {fault.description} {fault.fix}"]


def _marked_faults() -> Iterator[tuple[Fault, str]]:
    """Yield all faults, each with the mark of its list: none where outputs are wrong."""
    from rnnparity.faults import BACKWARD_FAULTS, FAULTS, TRAINING_FAULTS

    for faults, mark in (
        (FAULTS, ""),
        (BACKWARD_FAULTS, " (backward pass)"),
        (TRAINING_FAULTS, " (training step)"),
    ):
        for fault in faults:
            yield fault, mark


def _cases(k: str, tags: bool) -> Iterator[list[str]]:
    """Yield the selected cases, or their tags with the number of their cases."""
    from collections import Counter

    from rnnparity.catalogue import catalogue
    from rnnparity.catalogue.selection import select

    ids = select(catalogue().tags(), k)
    if tags:
        counts = Counter(tag for each in catalogue().tags(ids).values() for tag in each)
        yield from ([f"{tag:32} {count:5}"] for tag, count in sorted(counts.items()))
        return
    width = max(map(len, ids))
    for id_ in ids:
        case = catalogue()[id_].case
        yield [f"{id_:{width}}  {case.why if case else ''}"]


def show(
    case: Case,
    subject: Annotated[
        str, typer.Option(metavar="S", help="Subject whose outputs are compared.")
    ] = "reference",
    precision: Precision = "",
    json: Annotated[
        bool, typer.Option("--json", help="Print the case as a problem file for `rnnparity run`.")
    ] = False,
) -> None:
    """Show one case with every gate and state at every step."""
    from rnnparity.problem.format_writing import dump_pretty
    from rnnparity.report.text.show import show as show_case
    from rnnparity.session.ask import check_case

    problem = case_of(case)
    if json:
        typer.echo(dump_pretty(problem))
        return
    outcome, result = check_case(problem, subject, precision=precision)
    echo(*show_case(problem, subject, outcome, result))
    raise typer.Exit(result.verdict.status)


def run(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|CASE",
            help="Problem file, as `show CASE --json` prints it, or id of a case; "
            "- for one problem per line on stdin.",
        ),
    ],
    subject: Annotated[str, typer.Option(metavar="S", help="Subject that computes.")] = "reference",
    gradients: Annotated[
        bool,
        typer.Option(
            "--gradients", help="Add gradients, for the file's cotangents or for spread numbers."
        ),
    ] = False,
) -> None:
    """Compute the outputs of a problem and print it with them."""
    from rnnparity.problem.format_writing import dump_line, dump_pieces
    from rnnparity.session.ask import run as run_problem

    if file != "-":
        answered = run_problem(problem_of(file), subject, gradients=gradients)
        stdout = typer.get_text_stream("stdout")  # UTF-8 where Python has chosen ASCII
        stdout.writelines(dump_pieces(answered, pretty=sys.stdout.isatty()))
        stdout.write("\n")
        stdout.flush()
        return
    problems = 0
    for problem in _problems_on_stdin():
        typer.echo(dump_line(run_problem(problem, subject, gradients=gradients)))
        problems += 1
    if not problems:
        raise RequestError("stdin: got no problem, expected one per line")


def _problems_on_stdin() -> Iterator[Problem]:
    """Yield the problems on stdin, one per line.

    Raises:
        FormatError: a line is not a problem, or too large.
    """
    from rnnparity.problem.format_reading import parse_problem
    from rnnparity.problem.json_text import load_json, read_limited

    for number in itertools.count(1):
        where = f"stdin, line {number}"
        line = read_limited(sys.stdin.buffer.readline, where)
        if not line:
            return
        if line.strip():
            yield parse_problem(load_json(line, where), where)
