"""`rnnparity fuzz`: random problems."""

from __future__ import annotations

import os
from shlex import quote
from typing import Annotated

import typer

from rnnparity.cli.common import Jobs, echo
from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import RequestError


def fuzz(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Must be keras: eager, graph and XLA.")
    ] = "keras",
    n: Annotated[int, typer.Option("-n", min=1, help="Number of verdicts.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problems.")] = 0,
    j: Jobs = None,
) -> None:
    """Run tf.keras on random problems.

    None may diverge, and small changes must be detected.
    """
    from rnnparity.report.fuzz_text import fuzz_lines
    from rnnparity.session.fuzz import fuzz as run_fuzz
    from rnnparity.session.fuzz import summarize

    if subject != "keras":
        raise RequestError(
            f"subject: got {subject!r}, expected 'keras'; "
            f"for others use `rnnparity check {quote(subject)}`"
        )
    with show_progress() as progress:
        records = run_fuzz(n, seed, j or os.cpu_count() or 1, progress)
    summaries = summarize(records)
    echo(*fuzz_lines(summaries))
    raise typer.Exit(1 if any(summary.false_alarms for summary in summaries.values()) else 0)


def sweep() -> None:
    """Renamed to `rnnparity fuzz`."""
    raise RequestError(
        "`sweep` was renamed to `rnnparity fuzz keras`; trials of explanations are in tests/validation"
    )
