"""Run the trials: `PYTHONPATH=tests python -m validation [--subject S] [-n N] [--seed SEED] [-j N]`.

The exit status is 1 if an explanation misled: a wrong cause, a missed fault or a false alarm.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from rnnparity.cli.progress import show_progress
from rnnparity.problem.errors import RequestError
from validation.port_trials import run_port_trials, summary_lines
from validation.trial import MISLEADING, TrialType, print_trials, run_trials

JOBS = min(os.cpu_count() or 1, 4)


def main(
    subject: Annotated[
        str, typer.Option(metavar="S", help="Inject the faults into ports around S.")
    ] = "",
    n: Annotated[
        int, typer.Option("-n", min=1, help="Number of trials; with --subject, for every fault.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problems.")] = 0,
    j: Annotated[int, typer.Option("-j", min=1, help="Worker processes.")] = JOBS,
) -> None:
    """Inject faults into random problems and count how many are named."""
    trials, lines = [], []
    try:
        with show_progress() as progress:
            if subject:
                results = run_port_trials(subject, n, seed, j, progress)
                trials = [trial for result in results for trial in result.trials]
                lines = list(summary_lines(results))
            else:
                for trial_type in TrialType:
                    trials += run_trials(trial_type, n, seed, j, progress)
    except RequestError as error:
        typer.echo(f"validation: {error}", err=True)
        raise typer.Exit(2) from None
    print_trials(trials, Console())
    for line in lines:
        typer.echo(line)
    raise typer.Exit(1 if any(trial.outcome in MISLEADING for trial in trials) else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
