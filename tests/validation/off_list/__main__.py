"""Run the trials: `PYTHONPATH=tests python -m validation.off_list [-n N] [--seed S] [-j N]`.

The exit status is 1 if a finding is wrong with certainty, or a healthy run has one.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from rnnparity.cli.progress import show_progress
from validation.off_list.judge import Outcome
from validation.off_list.trials import print_trials, run_healthy, run_many, run_trials


def main(
    n: Annotated[int, typer.Option("-n", min=1, help="Number of trials.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problems.")] = 0,
    j: Annotated[int, typer.Option("-j", min=1, help="Worker processes.")] = 1,
    by_experiment: Annotated[
        bool, typer.Option("--by-experiment", help="Pass the implementation as a callable.")
    ] = False,
    float16: Annotated[
        bool, typer.Option("--float16", help="The implementation computes in float16.")
    ] = False,
    healthy: Annotated[bool, typer.Option("--healthy", help="Change nothing.")] = False,
) -> None:
    """Change an implementation in ways that no list contains, and count what the findings state."""
    console = Console()
    with show_progress() as progress:
        if healthy:
            runs = run_many(run_healthy, n, seed, j, progress)
        else:
            trials = run_trials(by_experiment, n, seed, j, progress, float16=float16)
    if healthy:
        alarms = [(number, found) for number, found in runs if found]
        for number, found in alarms:
            console.out(f"seed {number}: {found}")
        console.print(f"{len(runs)} healthy runs, {len(alarms)} with a finding")
        raise typer.Exit(1 if alarms else 0)
    print_trials(trials, console)
    raise typer.Exit(1 if any(trial.outcome is Outcome.WRONG for trial in trials) else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
