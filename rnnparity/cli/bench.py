"""`rnnparity bench`: the benchmarks and their report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import echo
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import RequestError


def bench(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for report.html, .md and .json.")
    ] = Path("benchmarks"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer and smaller problems: up to two minutes.")
    ] = False,
    k: Annotated[
        str, typer.Option("-k", metavar="EXPR", help="Select benchmarks by name, as pytest does.")
    ] = "",
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with an earlier report.json.")
    ] = None,
    against: Annotated[Path | None, typer.Option(hidden=True)] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO", min=1, help="Exit with 1 if a ratio is slower by more than this."
        ),
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Merge these report.json instead of running."),
    ] = None,
    any_machine: Annotated[
        bool,
        typer.Option("--any-machine", help="Compare and merge reports of different machines."),
    ] = False,
) -> None:
    """Run the benchmarks and write a report."""
    from rnnparity.bench import bench as run_bench

    if against is not None:
        raise RequestError("--against was renamed to --baseline")
    with show_progress() as progress:
        done = run_bench(out, quick, k, baseline, fail_above, from_ or [], any_machine, progress)
    echo(*done.lines)
    raise typer.Exit(0 if done.passed else 1)
