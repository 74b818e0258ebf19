"""`rnnparity regenerate`: goldens, and the bundles of known differences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Fixtures, Jobs, echo
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import RequestError

if TYPE_CHECKING:
    from rnnparity.session.regenerate import Regeneration

# This many of the cases that keep goldens from being written are printed.
SHOWN = 10


def regenerate(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="With --bundles: only these known differences."),
    ] = None,
    k: Annotated[
        str,
        typer.Option(
            "-k", metavar="EXPR", help="Only these cases may change, such as those of a new family."
        ),
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file has drifted.")
    ] = False,
    core: Annotated[
        bool, typer.Option("--core", help="Compute the core set of cases instead (ten minutes).")
    ] = False,
    bundles: Annotated[
        bool,
        typer.Option(
            "--bundles",
            help="Write the bundles of known differences instead, of all installed frameworks.",
        ),
    ] = False,
    j: Jobs = None,
    fixtures: Fixtures = None,
) -> None:
    """Compute the goldens and write them.

    Nothing is written unless reference and tf.keras agree or the difference is listed.
    """
    from rnnparity.golden.goldens import default_folder
    from rnnparity.session.regenerate import regenerate as regenerate_fixtures

    folder = fixtures or default_folder()
    if core:
        raise typer.Exit(_regenerate_core(folder, check, j))
    if bundles:
        raise typer.Exit(_regenerate_bundles(folder, names or [], check))
    if names:
        raise RequestError("NAME is the name of a known difference; it requires --bundles")
    if check and k:
        raise RequestError("--check compares all files; remove -k")
    jobs = j or os.cpu_count() or 1
    for gradients, what in ((False, "goldens"), (True, "golden gradients")):
        with show_progress() as progress:
            done = regenerate_fixtures(
                folder, k=k, check=check, jobs=jobs, progress=progress, gradients=gradients
            )
        if done.refused:
            _print_refused(folder, done, check, gradients)
            raise typer.Exit(1)
        if check and done.changed:
            files = ", ".join(done.changed)
            echo(f"{folder}: {what}: drifted: {files}; run `rnnparity regenerate`", err=True)
            raise typer.Exit(1)
        written = f"written: {', '.join(done.changed)}" if done.changed else "up to date"
        echo(f"{folder}: {done.rows} {what}, {len(done.left_out)} cases without, {written}")


def _print_refused(folder: Path, done: Regeneration, check: bool, gradients: bool) -> None:
    from rnnparity.catalogue import catalogue
    from rnnparity.catalogue.cotangents import with_cotangents
    from rnnparity.report.text.messages import failure

    for result in done.refused[:SHOWN]:
        problem = catalogue()[result.id]
        problem = with_cotangents(problem) if gradients else problem
        echo(*failure(problem, result, "keras"), "", err=True)
    line = f"{len(done.refused)} cases differ and are not listed in known_differences.toml"
    if not check:
        kept = ", ".join(done.changed) or "none changed"
        line = f"nothing written: {line}; candidates kept as .rej: {kept}"
    echo(f"{folder}: {line}", err=True)


def _regenerate_bundles(folder: Path, names: list[str], check: bool) -> int:
    """Print a line for each entry; return 1 if `check` finds a bundle that would change."""
    from rnnparity.report.bundles.known import write_bundles

    drifted = False
    for line, changed in write_bundles(folder, names, check):
        echo(line)
        drifted |= changed
    return 1 if check and drifted else 0


def _regenerate_core(folder: Path, check: bool, jobs: int | None) -> int:
    """Write the list of the core set; return 1 if `check` finds that it would change."""
    from rnnparity.catalogue import catalogue
    from rnnparity.catalogue.core import CORE, core_text, stored_ids
    from rnnparity.golden.goldens import KNOWN
    from rnnparity.golden.known_differences import read_known
    from rnnparity.problem.files import write_file
    from rnnparity.session.core import compute_core, core_basis

    known = read_known(folder / KNOWN)
    with show_progress() as progress:
        # Cases that are still needed stay: each has golden gradients.
        core = compute_core(known, jobs or os.cpu_count() or 1, progress, stored_ids())
    text = core_text(core, core_basis())
    changed = not CORE.exists() or CORE.read_text(encoding="utf-8") != text
    if check and changed:
        echo(f"{CORE}: drifted; run `rnnparity regenerate --core`", err=True)
        return 1
    if changed:
        write_file(CORE, text)
    written = "written" if changed else "up to date"
    echo(f"{CORE}: {len(core)} of {len(catalogue())} cases, {written}")
    return 0
