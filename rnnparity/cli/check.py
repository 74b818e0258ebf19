"""`rnnparity check`: subjects compared with the test cases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import (
    Expression,
    Fixtures,
    Jobs,
    discard_stdout,
    echo,
    progress_bar,
)
from rnnparity.problem.errors import RequestError


def check(
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="SUBJECT", help="Default: keras.")
    ] = None,
    k: Expression = "",
    all_: Annotated[
        bool, typer.Option("--all", help="Run every registered subject that is installed.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the conformance table as HTML.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the conformance table as Markdown; - for stdout."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all results as JSON; - for stdout.")
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", metavar="FILE", help="Merge what --json wrote instead of running; repeatable."
        ),
    ] = None,
    j: Jobs = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds allowed for each case in a worker.")
    ] = 120,
    fixtures: Fixtures = None,
) -> None:
    """Compare subjects with the test cases.

    A SUBJECT is a name from `rnnparity list --subjects`, a function of yours as
    package.module:callable, or a program as cmd:PROGRAM. Exit status: 0 all compared cases agree or
    are known differences, 1 a case diverges or errs, 2 the request is invalid or nothing was
    compared, 130 Ctrl-C.
    """
    from rnnparity.report.outputs import Outputs, load_merged
    from rnnparity.report.screen import report_lines, skipped_lines
    from rnnparity.session.judging import check_compared

    outputs = Outputs(html, markdown, json)
    outputs.check()
    if from_:
        if subjects or all_ or k:
            raise RequestError(
                "--from merges stored runs as they are; remove subjects, --all and -k"
            )
        report = load_merged(from_, fixtures)
        check_compared(report)
    else:
        from rnnparity.report.examples import with_examples
        from rnnparity.session.check import check_run

        with progress_bar() as progress:
            run = check_run(
                *(subjects or []),
                k=k,
                fixtures=fixtures,
                jobs=j,
                timeout_s=timeout,
                progress=progress,
                all_subjects=all_,
            )
            report = with_examples(run, progress) if outputs.requested else run.report
    try:
        text = outputs.write(report)
        if text:
            typer.echo(text, nl=False)
        else:
            echo(*report_lines(report))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has gone
        # The exit status must still be that of the run.
        discard_stdout()
    echo(*skipped_lines(report), err=True)
    raise typer.Exit(report.status)
