"""`rnnparity sweep`: random problems, healthy and with faults."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from rnnparity.commands.common import Jobs, console, progress_bar
from rnnparity.errors import RequestError


def sweep(
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, help="How many verdicts or trials; with --subject, of every fault. [20000; 5]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which problems are drawn.")] = 0,
    j: Jobs = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Instead make faults on purpose, and count how many are named.")
    ] = False,
    subject: Annotated[str, typer.Option(metavar="S", help="With --faults: make them in ports around S.")] = "",
) -> None:
    """Judge tf.keras on random problems; or, with --faults, the explanations of faults in them."""
    from rnnparity.report import print_sweep
    from rnnparity.sweep import summarize
    from rnnparity.sweep import sweep as run_sweep

    jobs = j or min(os.cpu_count() or 1, 4)
    if subject and not faults:
        raise RequestError("--subject: goes with --faults; `rnnparity check SUBJECT` judges a subject as it is")
    if faults:
        raise typer.Exit(
            _carry_faults(subject, n or 5, seed, jobs) if subject else _sweep_faults(n or 20_000, seed, jobs)
        )
    with progress_bar() as progress:
        records = run_sweep(n or 20_000, seed, jobs, progress)
    found = summarize(records)
    print_sweep(found, console())
    raise typer.Exit(1 if any(part.false_alarms for part in found.values()) else 0)


def _sweep_faults(n: int, seed: int, jobs: int) -> int:
    """Trials of every kind; 1 where something was blamed that was not there."""
    from rnnparity.report import print_trials
    from rnnparity.trial import FALSE, KINDS, summary, trials

    with progress_bar() as progress:
        done = [one for kind in KINDS for one in trials(kind, n, seed, jobs, progress)]
    print_trials(done, console())
    return 1 if any(counts[result] for counts in summary(done).values() for result in FALSE) else 0


def _carry_faults(subject: str, n: int, seed: int, jobs: int) -> int:
    """Trials of every fault in ports around an engine; 1 where something was blamed that was not there."""
    from rnnparity.carried import carried_trials, lines
    from rnnparity.report import print_trials
    from rnnparity.trial import FALSE

    with progress_bar() as progress:
        found = carried_trials(subject, n, seed, jobs, progress)
    trials = [trial for one in found for trial in one.trials]
    print_trials(trials, console())
    for line in lines(found):
        typer.echo(line)
    return 1 if any(trial.result in FALSE for trial in trials) else 0
