"""`rnnparity regenerate`: goldens and bundles anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import Fixtures, Jobs, progress_bar
from rnnparity.problem.errors import RequestError


def regenerate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="With --bundles: of these known differences alone."
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing, fail on drift.")] = False,
    bundles: Annotated[
        bool,
        typer.Option(
            "--bundles",
            help="Instead the bundles of the known differences whose framework is here.",
        ),
    ] = False,
    j: Jobs = None,
    fixtures: Fixtures = None,
) -> None:
    """Write the goldens anew."""
    from rnnparity.catalogue import catalogue
    from rnnparity.golden.goldens import default_folder
    from rnnparity.report.messages import failure
    from rnnparity.session.regenerate import regenerate as regenerate_fixtures

    folder = fixtures or default_folder()
    if bundles:
        raise typer.Exit(_regenerate_bundles(folder, names or [], check))
    if names:
        raise RequestError("names of known differences go with --bundles")
    with progress_bar() as progress:
        done = regenerate_fixtures(
            folder, check=check, jobs=j or min(os.cpu_count() or 1, 4), progress=progress
        )
    for verdict in done.refused[:10]:
        typer.echo(failure(catalogue()[verdict.id], verdict, "keras") + "\n", err=True)
    if done.refused:
        typer.echo(
            f"{folder}: nothing written: {len(done.refused)} cases differ and are not listed in "
            f"known_differences.toml; candidates kept as .rej: {', '.join(done.changed) or 'none changed'}"
            if not check
            else f"{folder}: {len(done.refused)} cases differ and are not listed in known_differences.toml",
            err=True,
        )
        raise typer.Exit(1)
    if check and done.changed:
        typer.echo(
            f"{folder}: drifted: {', '.join(done.changed)}; run `rnnparity regenerate`", err=True
        )
        raise typer.Exit(1)
    written = "up to date" if not done.changed else f"{len(done.changed)} files written"
    typer.echo(f"{folder}: {done.rows} goldens, {len(done.left_out)} cases left out, {written}")


def _regenerate_bundles(folder: Path, names: list[str], check: bool) -> int:
    """A line an entry; 1 where `check` finds one that is not what would be written."""
    from rnnparity.report.known_bundles import write_bundles

    drifted = False
    for line, changed in write_bundles(folder, names, check):
        typer.echo(line)
        drifted |= changed
    return 1 if check and drifted else 0
