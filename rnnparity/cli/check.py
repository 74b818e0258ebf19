"""`rnnparity check`: subjects against the catalogue."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import Expression, Fixtures, Jobs, console, progress_bar
from rnnparity.problem.errors import RequestError


def check(
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="[SUBJECT]...", help="Default: keras.")
    ] = None,
    k: Expression = "",
    all_: Annotated[
        bool, typer.Option("--all", help="Every registered subject that can be run here.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the conformance table as a page.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the conformance table as Markdown, - for stdout."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdicts as JSON, - for stdout.")
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Run nothing: merge what --json wrote."),
    ] = None,
    j: Jobs = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds a case may take in a worker.")
    ] = 120,
    fixtures: Fixtures = None,
) -> None:
    """Hold subjects against the catalogue.

    A SUBJECT is a name that `rnnparity list --subjects` shows, package.module:callable, a function
    of yours, or cmd:PROGRAM. Exit status: 0 all agree or are known, 1 something differs or fails, 2
    the request is at fault, 130 Ctrl-C.
    """
    from rnnparity.report import outputs as conformance
    from rnnparity.report.screen import not_run, print_report
    from rnnparity.session import check as runner

    out = conformance.Outputs(html, markdown, json)
    out.check()
    if from_ and (subjects or all_ or k):
        raise RequestError("--from takes stored runs as they are: leave out subjects, --all and -k")
    stored: conformance.StoredReport | None = None
    if from_:
        stored = conformance.merged(from_, fixtures)
        report = conformance.as_report(stored)
    else:
        with progress_bar() as progress:
            run = runner.check_run(
                *(subjects or []),
                k=k,
                fixtures=fixtures,
                jobs=j,
                timeout_s=timeout,
                progress=progress,
                all_subjects=all_,
            )
            report = run.report
            if out.asked:
                stored = conformance.stored_report(run, progress)
    with suppress(
        BrokenPipeError
    ):  # who reads the first lines alone shall have the right exit status
        if stored and (said := out.write(stored)):
            typer.echo(said, nl=False)
        else:
            print_report(report, console())
    for line in not_run(report):
        typer.echo(line, err=True)
    raise typer.Exit(report.status)
