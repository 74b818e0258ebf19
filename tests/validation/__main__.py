"""Run the trials: `PYTHONPATH=tests python -m validation [--subject S] [-n N] [--seed SEED] [-j
N]`.

Exit status 1 if an explanation named a fault that was not there.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rnnparity.cli.common import console, progress_bar
from validation.carried import carried_trials, lines
from validation.trial import FALSE, KINDS, print_trials, trials


def main(
    subject: Annotated[
        str, typer.Option(metavar="S", help="Inject the faults into ports around S.")
    ] = "",
    n: Annotated[
        int, typer.Option("-n", min=1, help="Number of trials; with --subject, for every fault.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problems.")] = 0,
    j: Annotated[int, typer.Option("-j", min=1, help="Worker processes.")] = min(
        os.cpu_count() or 1, 4
    ),
) -> None:
    """Inject faults into random problems and count how many are named."""
    with progress_bar() as progress:
        if subject:
            carried = carried_trials(subject, n, seed, j, progress)
            done = [trial for one in carried for trial in one.trials]
        else:
            carried = []
            done = [trial for kind in KINDS for trial in trials(kind, n, seed, j, progress)]
    print_trials(done, console())
    for line in lines(carried) if carried else ():
        typer.echo(line)
    raise typer.Exit(1 if any(trial.result in FALSE for trial in done) else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
