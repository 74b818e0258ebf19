"""`rnnparity explain`: the cause of wrong outputs."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import fail, problem_of
from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rnnparity.explanation.explain import Explanation


def explain(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A problem file with somebody's outputs, - for stdin; with --subject also a case.",
        ),
    ],
    subject: Annotated[
        str, typer.Option(metavar="S", help="Ask it for the outputs, and again if need be.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="The same for programs.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the same as a page.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write the problem and a script for a framework's tracker."
        ),
    ] = None,
    separate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a problem that would tell apart what fits alike."),
    ] = None,
) -> None:
    """Name the cause of wrong outputs, or say that none is known."""
    from json import dumps

    from rnnparity.problem import file_format as wire
    from rnnparity.problem.errors import SubjectFailedError
    from rnnparity.problem.files import check_writable, write_where_asked
    from rnnparity.report import explanation_text as screen
    from rnnparity.report.bundle import write_bundle
    from rnnparity.report.explanation_page import page
    from rnnparity.session.ask import explain_subject, explained

    for path in (html, separate):
        if path is not None:
            check_writable(path)
    problem = problem_of(file)
    try:
        told = explain_subject(problem, subject) if subject else explained(problem)
    except SubjectFailedError as error:  # nothing to explain, but a script shows it
        if bundle is None:
            raise
        write_bundle(bundle, problem, str(error).removeprefix(f"{problem.id}: "), subject, "error")
        raise typer.Exit(fail(str(error), 1)) from None
    typer.echo(
        dumps(screen.as_json(told), indent=1) if json else screen.coloured(screen.text(told))
    )
    if not json and told.verdict == "diverges" and file != "-":
        typer.echo(
            f"  again: rnnparity explain {file}{f' --subject {quote(subject)}' if subject else ''}"
        )
    if html is not None:
        write_where_asked(html, page(told))
    if bundle is not None:
        written = f"  bundle: {', '.join(map(str, _write_bundle(bundle, told, subject)))}"
        typer.echo(written, err=json)  # stdout is the JSON's
    if separate is not None:
        if told.apart is None:
            why = (
                "no input was found that would"
                if told.also_fits
                else "there is nothing to tell apart"
            )
            raise RequestError(f"{separate}: not written: {why}")
        write_where_asked(separate, wire.dump_pretty(told.apart))
    raise typer.Exit(1 if told.verdict == "diverges" else 0)


def _write_bundle(folder: Path, told: Explanation, subject: str) -> list[Path]:
    from rnnparity.report import explanation_text as screen
    from rnnparity.report.bundle import plainest_kind, write_bundle
    from rnnparity.report.messages import describe

    kind = plainest_kind(difference.type for difference in told.differences)
    said = screen.headline(told)
    if kind == "fact" and not told.listed:
        said = describe(told.differences[0], told.problem)[0]
    return write_bundle(folder, told.problem, said, subject, kind)
