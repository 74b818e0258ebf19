"""`rnnparity fuzz`: random problems."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnparity.cli.common import Jobs, Precision, StoredRuns, echo, fail, sigterm_interrupts
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import DIFFERS, INTERRUPTED, USAGE, RequestError

if TYPE_CHECKING:
    from rnnparity.session.fuzz import FuzzRun
    from rnnparity.session.shrink import SmallestFailure

# Without --seeds and -n so many problems are drawn.
DEFAULT_COUNT = 1000


def fuzz(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="As of `check`. Default: keras.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=1,
            metavar="N",
            help="Number of problems, rounded up to whole seeds. Default: 1000, or all of --seeds.",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="A..B", help="Seeds; each stands for eight problems of a layer.")
    ] = "",
    k: Annotated[
        str,
        typer.Option(
            "-k", metavar="EXPR", help="Run the seeds whose layers have these words, as in `check`."
        ),
    ] = "",
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append the verdicts of each seed as a line of JSON; seeds that it has are skipped.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write a bundle of the smallest problem found of some that fail."
        ),
    ] = None,
    from_: StoredRuns = None,
    j: Jobs = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds allowed for each problem.")
    ] = 120,
    precision: Precision = "",
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Compare gradients instead of outputs.")
    ] = False,
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Run on the cluster of dask.distributed at this address."
        ),
    ] = "",
) -> None:
    """Run a subject on random problems.

    None may diverge, and small changes of the weights must be detected. Of some that fail the
    smallest problem that still fails is searched, and its cause. `explain`, `show` and `run` take
    the ids of these problems, such as fuzz-17-3.

    The table has a row for each dtype: the problems, those that fail, the largest error in sigma;
    how many changes of a weight array, or of a gradient, were detected, all of it scaled or each element up or down,
    and the smallest such change, relative, that is detected in 99 of 100 problems. Below it: how
    many of the same outputs fixed tolerances would reject.
    """
    from rnnparity.problem.files import check_new_folder

    if from_:
        if subject or n or seeds or k or json or out or precision or gradients or dask:
            names = "SUBJECT, -n, --seeds, -k, --json, --out, --precision, --gradients and --dask"
            message = f"remove {names}"
            raise RequestError(f"--from merges stored runs; {message}")
        from rnnparity.report.stored.fuzz import load_runs

        runs = load_runs(from_)
    else:
        if out is not None:
            check_new_folder(out)
        if dask and j:
            raise RequestError("-j: remove it with --dask; the cluster has its own workers")
        asked = _Asked(subject or "keras", timeout, precision, gradients)
        runs = [_run(asked, _seeds(seeds, n, k), json, j, dask)]
    from rnnparity.report.text.fuzz import fuzz_lines

    echo(*fuzz_lines(runs))
    if not from_ and not runs[0].interrupted:
        _print_smallest(asked, runs[0], out)
    raise typer.Exit(_status(runs))


@dataclass(frozen=True)
class _Asked:
    """Which subject is asked for what."""

    subject: str
    timeout_s: float
    precision: str
    gradients: bool


def _run(
    asked: _Asked, seeds: Sequence[int], json: Path | None, j: int | None, dask: str
) -> FuzzRun:
    """Run a subject and store the run, also an interrupted one."""
    from rnnparity.report.stored.fuzz import StoredLog
    from rnnparity.session.cluster import fuzz_on_cluster
    from rnnparity.session.fuzz import Log
    from rnnparity.session.fuzz import fuzz as fuzz_here

    log = Log() if json is None else StoredLog(json)
    with show_progress() as progress, sigterm_interrupts():
        last = (asked.timeout_s, progress, asked.precision, log, asked.gradients)
        if dask:
            return fuzz_on_cluster(dask, asked.subject, seeds, *last)
        return fuzz_here(asked.subject, seeds, j or os.cpu_count() or 1, *last)


def _print_smallest(asked: _Asked, run: FuzzRun, out: Path | None) -> None:
    """Print the smallest problems of some that fail, and write their bundles."""
    from rnnparity.report.text.fuzz import smallest_lines
    from rnnparity.session.fuzz import SMALLEST
    from rnnparity.session.shrink import smallest_failures

    ids = run.tally.different_failures(SMALLEST)
    with show_progress("searching small problems"), sigterm_interrupts():
        found = smallest_failures(
            asked.subject, ids, asked.timeout_s, asked.precision, asked.gradients
        )
        failures = list(found) if ids else []
    for failure in failures:
        echo(*smallest_lines(failure))
        if out is not None:
            echo(f"  bundle: {', '.join(_write_bundle(out, failure, asked.subject))}")


def _write_bundle(out: Path, failure: SmallestFailure, subject: str) -> list[str]:
    """Write the bundle of a failure into a folder with its id, and return the files.

    Where no script can be written, as for a function that raises, the problem is the only file.
    """
    from rnnparity.problem.files import write_folder
    from rnnparity.problem.format_writing import dump_pretty
    from rnnparity.report.bundles.bundle import bundle_files
    from rnnparity.report.bundles.explained import explained_files

    if failure.diagnosis is not None:
        problem = failure.diagnosis.problem
        files = explained_files(failure.diagnosis, subject)
    else:
        problem = failure.problem
        files = {}
        with suppress(RequestError):
            files = bundle_files(problem, failure.error, subject, None)
    files = files or {"problem.json": dump_pretty(problem)}
    folder = out / problem.id
    write_folder(folder, files)
    return [str(folder / name) for name in files]


def _seeds(text: str, n: int | None, k: str) -> Sequence[int]:
    """Return the seeds of --seeds, -n and -k, whole ones."""
    from rnnparity.session.random_problems import DRAWS

    match = re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", text or "0..999999999999")
    if match is None or int(match[1]) > int(match[2]):
        raise RequestError(f"--seeds: got {text!r}, expected FIRST..LAST, such as 0..99")
    seeds = range(int(match[1]), int(match[2]) + 1)
    limit = n if n or text else DEFAULT_COUNT
    most = -(-limit // DRAWS) if limit else None
    if k:
        from rnnparity.session.random_selection import matching_seeds

        return matching_seeds(seeds, k, most)
    return seeds[:most]


def _status(runs: list[FuzzRun]) -> int:
    if any(run.interrupted for run in runs):
        return INTERRUPTED
    if any(run.tally.failures for run in runs):
        return DIFFERS
    if not any(run.tally.compared for run in runs):
        return fail(
            "nothing was compared: no problem is supported and conclusive; draw more with a larger -n, "
            "or select layers with -k",
            USAGE,
        )
    return 0


def sweep() -> None:
    """Renamed to `rnnparity fuzz`."""
    raise RequestError(
        "`sweep` was renamed to `rnnparity fuzz keras`; trials of explanations are in tests/validation"
    )
