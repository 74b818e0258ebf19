"""`rnnparity bench`: the benchmarks and their report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import progress_bar


def bench(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where report.html, .md and .json go.")
    ] = Path("benchmarks"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Within two minutes: fewer and smaller problems.")
    ] = False,
    k: Annotated[
        str, typer.Option("-k", metavar="EXPR", help="Choose benchmarks by name, as pytest does.")
    ] = "",
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with an earlier report.json.")
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO", min=1, help="Exit 1 where a ratio is slower by more than that."
        ),
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Run nothing: merge these report.json."),
    ] = None,
    any_machine: Annotated[
        bool,
        typer.Option("--any-machine", help="Compare and merge what different machines have run."),
    ] = False,
) -> None:
    """Run the benchmarks and write their report."""
    from rnnparity.bench import bench as run_bench

    with progress_bar() as progress:
        done = run_bench(out, quick, k, baseline, fail_above, from_ or [], any_machine, progress)
    for line in done.lines:
        typer.echo(line)
    raise typer.Exit(0 if done.passed else 1)
