"""`rnnparity check`: subjects compared with the test cases."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import (
    Expression,
    Fixtures,
    Jobs,
    Precision,
    StoredRuns,
    discard_stdout,
    echo,
    sigterm_interrupts,
    terminal_width,
)
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rnnparity.problem.results import Report
    from rnnparity.report.changes import Changes
    from rnnparity.report.outputs import Outputs
    from rnnparity.session.selection import Selection
    from rnnparity.session.settings import Settings


def check(
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="SUBJECT", help="Default: keras.")
    ] = None,
    k: Expression = "",
    full: Annotated[
        bool, typer.Option("--full", help="Run all cases instead of the core set.")
    ] = False,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Compare gradients instead of outputs.")
    ] = False,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Run part I of N; merge the parts with --from.")
    ] = "",
    no_causes: Annotated[
        bool, typer.Option("--no-causes", help="Do not search the causes of what fails.")
    ] = False,
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
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write all results as JSON; - for stdout (in model and explain --json is a flag).",
        ),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the table as a site, a page for each subject."),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Show on the site what `history --json` wrote; repeatable."
        ),
    ] = None,
    from_: StoredRuns = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Show what changed since a run that --json wrote."),
    ] = None,
    j: Jobs = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds allowed for each case in a worker.")
    ] = 120,
    fixtures: Fixtures = None,
    precision: Precision = "",
) -> None:
    """Compare subjects with the test cases.

    By default with the core set of the catalogue. A SUBJECT is a name from `rnnparity list
    --subjects`, a function of yours as package.module:callable, or a program as cmd:PROGRAM. Exit
    status: 0 all compared cases agree or are known differences, 1 a case diverges or errs, 2 the
    request is invalid or nothing was compared, 130 Ctrl-C.
    """
    from rnnparity.problem.dtypes import declared_precision
    from rnnparity.report.changes import changes_since, check_comparable
    from rnnparity.report.outputs import Outputs, load_merged
    from rnnparity.report.stored.reports import load
    from rnnparity.session.judging import check_compared

    outputs = Outputs(html, markdown, json, site, fixtures, history or [])
    outputs.check()
    earlier = None if baseline is None else load(baseline)
    if precision:
        declared_precision(precision)
    if from_:
        if subjects or all_ or k or full or shard or gradients or precision:
            raise RequestError(
                "--from merges stored runs as they are; "
                "remove subjects, --all, --full, --gradients, --precision, --shard, -k"
            )
        report = load_merged(from_, fixtures)
        check_compared(report)
    else:
        from rnnparity.session.selection import Selection, Shard
        from rnnparity.session.settings import Settings

        if earlier is not None:
            check_comparable(earlier, gradients)
        selection = Selection(k, full, Shard.parse(shard) if shard else None, gradients)
        settings = Settings(j, timeout, fixtures, causes=not no_causes, precision=precision)
        try:
            report = _run(subjects or [], all_, selection, settings, outputs)
        except KeyboardInterrupt:
            echo("no case has a verdict yet: nothing is written", err=True)
            raise
    changes = None if earlier is None else changes_since(earlier, report)
    _show(report, outputs, changes, merged=bool(from_))
    raise typer.Exit(report.status)


def _run(
    subjects: list[str], all_: bool, selection: Selection, settings: Settings, outputs: Outputs
) -> Report:
    """Run the subjects; verdicts are printed and stored as they come, causes searched afterwards."""
    from rnnparity.report.examples import with_examples
    from rnnparity.session.check import DEFAULT_SUBJECT, check_run
    from rnnparity.subjects import registered_names

    named = subjects if subjects or all_ else [DEFAULT_SUBJECT]
    optional = registered_names() if all_ else []
    with show_progress(every_verdict=True) as progress, sigterm_interrupts():
        settings = replace(settings, progress=progress, save=outputs.save)
        run = check_run(named, selection, settings, optional)
        if not outputs.requested or not settings.causes or run.report.interrupted:
            return run.report
        try:
            return with_examples(run, progress)
        except KeyboardInterrupt:
            return replace(run.report, interrupted=True)


def _show(report: Report, outputs: Outputs, changes: Changes | None, *, merged: bool) -> None:
    """Write the files, and print what is not written to stdout."""
    from rnnparity.report.text.changes import change_lines
    from rnnparity.report.text.check import WIDTH, interrupted_line, report_lines, skipped_lines

    def show() -> None:
        echo(
            *report_lines(report, terminal_width(WIDTH)),
            *(change_lines(changes) if changes else ()),
        )

    try:
        try:
            text = outputs.write(report, changes)
        except RequestError:  # a disk may be full now, and the run took minutes
            show()
            raise
        if text:
            typer.echo(text, nl=False)
        else:
            show()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has gone
        # The exit status must still be that of the run.
        discard_stdout()
    echo(*skipped_lines(report), err=True)
    if report.interrupted and not merged:
        echo(interrupted_line(report, outputs.names), err=True)
