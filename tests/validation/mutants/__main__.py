"""Measure how well the tests detect small mistakes in the code for reference, verdict, golden and problem.

    PYTHONPATH=tests python -m validation.mutants --count 160 --seed 11 --out FILE.json

The mutants are tried in stages (stages.py), each on those that survived the stages before. A
mutant is killed if a stage takes much longer than on healthy code, or if a test fails and does so
again. Mutants that change no behaviour are listed with the reason in equivalent.json and are not
tried. FILE.json is written after each mutant, and a run that was interrupted continues.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from validation.mutants.draw import Mutant, draw
from validation.mutants.runs import CHECKOUT, Workshop
from validation.mutants.stages import LIMITS, Stage

STAGES = tuple(LIMITS)
EQUIVALENT = Path(__file__).with_name("equivalent.json")


class Results:
    """What became of each mutant, by key, in a file that is complete after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mutants: dict[str, dict[str, Any]] = {}
        if path.exists():
            self.mutants = json.loads(path.read_text())

    def add(self, mutant: Mutant, **facts: str | float) -> None:
        """Store and print what a stage did to a mutant."""
        self.mutants[mutant.key] = {**mutant.facts(), "line": mutant.line, **facts}
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.mutants, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(self.path)
        print(json.dumps(self.mutants[mutant.key], ensure_ascii=False), flush=True)

    def needs(self, mutant: Mutant, stage: str) -> bool:
        """Return whether a mutant survived all stages before this one, and was not tried in it."""
        entry = self.mutants.get(mutant.key, {"killed_by": "", "stage": ""})
        later = STAGES[STAGES.index(stage) :]
        return not entry["killed_by"] and entry["stage"] not in later


def equivalent_mutants() -> list[dict[str, str]]:
    """Return the facts of the mutants that change no behaviour, each with the reason."""
    mutants: list[dict[str, str]] = json.loads(EQUIVALENT.read_text())
    return mutants


def cpu_seconds() -> float:
    """Return the CPU time of all processes that have ended."""
    return sum(os.times()[2:4])


def try_mutants(mutants: list[Mutant], stages: list[str], results: Results, folder: Path) -> None:
    """Try the mutants in the stages, and store the results."""
    workshop = Workshop(folder)
    for name in stages:
        left = [mutant for mutant in mutants if results.needs(mutant, name)]
        if not left:
            continue
        stage = Stage(name, workshop)
        for mutant in left:
            begun = cpu_seconds()
            killer = stage.killer(mutant)
            results.add(mutant, stage=name, killed_by=killer, seconds=cpu_seconds() - begun)


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="validation.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Draw the mutants and try those that are not equivalent."""
    arguments = parse_arguments()
    drawn = draw(CHECKOUT, arguments.count, arguments.seed)
    equivalent = [
        {key: value for key, value in entry.items() if key != "reason"}
        for entry in equivalent_mutants()
    ]
    mutants = [mutant for mutant in drawn if mutant.facts() not in equivalent]
    results = Results(arguments.out)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        try_mutants(mutants, arguments.stages, results, Path(folder))
    entries = [results.mutants[mutant.key] for mutant in mutants]
    fates = Counter(entry["stage"] if entry["killed_by"] else "survived" for entry in entries)
    print(f"{len(drawn)} drawn, {len(drawn) - len(mutants)} equivalent, killed by: {dict(fates)}")


if __name__ == "__main__":
    main()
