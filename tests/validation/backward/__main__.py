"""Run the trials: `PYTHONPATH=tests python -m validation.backward [-n N] [--seed SEED] [--port P] [--healthy]`.

The exit status is 1 if a wrong cause was named with certainty, or a healthy port is an alarm.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from validation.backward.trials import Framework, Outcome, run_trial, summary


def main(
    n: Annotated[int, typer.Option("-n", min=1, help="Number of trials.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first trial, in millions.")] = 0,
    port: Annotated[Framework, typer.Option(help="The framework of the ports.")] = Framework.TORCH,
    healthy: Annotated[bool, typer.Option(help="Ports without a mistake.")] = False,
) -> None:
    """Name the mistakes of hand-written backward passes by their gradients."""
    first = 1_000_000 * seed
    trials = [run_trial(first + number, port, healthy) for number in range(n)]
    for line in summary(trials):
        typer.echo(line)
    misleading = (Outcome.WRONG, Outcome.ALARM)
    raise typer.Exit(1 if any(trial.outcome in misleading for trial in trials) else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
