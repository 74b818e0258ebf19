"""Print how often each mistake is stated; the exit status is 1 if an answer is wrong."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from rnnparity.session.processes import one_blas_thread
from validation.mistakes.trials import Outcome, mistakes, run_trial


def main(
    n: Annotated[int, typer.Option("-n", min=1, help="Problems for each mistake.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problems.")] = 0,
    word: Annotated[str, typer.Option("-k", help="Only mistakes whose name contains this.")] = "",
) -> None:
    """Print how often each mistake is stated; the exit status is 1 if an answer is wrong."""
    total = Counter[Outcome]()
    with one_blas_thread():
        for mistake in mistakes():
            if word not in mistake.name:
                continue
            counts = Counter[Outcome]()
            for number in range(seed, seed + n):
                outcome, answer = run_trial(mistake, number)
                counts[outcome] += 1
                if outcome in (Outcome.WRONG, Outcome.UNCERTAIN, Outcome.EQUAL):
                    typer.echo(f"  {outcome}: {answer}")
            figures = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
            typer.echo(f"{mistake.name}: {figures}")
            total += counts
    typer.echo("all: " + ", ".join(f"{count} {outcome}" for outcome, count in total.items()))
    raise typer.Exit(1 if total[Outcome.WRONG] else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
