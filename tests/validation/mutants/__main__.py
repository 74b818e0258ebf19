"""Measure how well the tests detect small mistakes in the code for reference, verdict, golden and problem.

    PYTHONPATH=tests python -m validation.mutants --count 160 --seed 11 --jobs 2 --out FILE.json

Each mutant is tried in its own copy of the checkout: first with the tests that mirror its module,
then with the rest of its package, then with the quickest others. It is killed if a test fails, or
takes ten times as long as on healthy code, and does so again when it is rerun. Tests run as if
TensorFlow, PyTorch and ONNX were not installed; those that do not pass then on healthy code are
left out, and of the slow ones only those that mirror the module are run. Which tests pass is stored
beside FILE.json, for as long as package and tests stay the same. FILE.json is written after each
mutant, and a run that was interrupted continues.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

from validation.mutants.draw import PACKAGE, Mutant, draw
from validation.mutants.runs import CHECKOUT, MEMORY, Seconds, Workshop

# Tests of frameworks and of tools, which see nothing of the mutated packages that others do not.
LEFT_OUT = ("subjects", "bench", "benchmarks", "validation")
# CPU time of one test, and of all tests of other packages: a survivor costs that much.
SLOW_SECONDS, FAR_SECONDS = 3.0, 40.0
ATTEMPTS = 3


def healthy_tests(workshop: Workshop, jobs: int, limit: float, path: Path) -> Seconds:
    """Return the tests that pass on healthy code, with their CPU time; each file's are stored."""
    by_file: dict[str, Seconds] = json.loads(path.read_text()) if path.exists() else {}
    lock = threading.Lock()

    def run(file: str) -> None:
        with workshop.copy() as work:
            passed = workshop.run(work, [file], limit).passed
        with lock:
            by_file[file] = passed
            write(path, by_file)

    run_all(workshop, jobs, run, [file for file in test_files() if file not in by_file])
    return {test: seconds for passed in by_file.values() for test, seconds in passed.items()}


def test_files() -> list[str]:
    """Return the files of tests that are run on mutants, the largest first."""
    root = CHECKOUT / "tests"
    paths = [
        path for path in root.rglob("test_*.py") if path.relative_to(root).parts[0] not in LEFT_OUT
    ]
    paths.sort(key=lambda path: (-path.stat().st_size, path))
    return [path.relative_to(CHECKOUT).as_posix() for path in paths]


def run_all(
    workshop: Workshop, jobs: int, function: Callable[[Any], None], arguments: Sequence[Any]
) -> None:
    """Call the function with each argument, in `jobs` threads; an interrupt ends the tests."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in [pool.submit(function, argument) for argument in arguments]:
                future.result()
        except BaseException:
            workshop.stop()
            pool.shutdown(cancel_futures=True)
            raise


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that is complete at any time."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(path)


def stages(file: str, seconds: Seconds) -> list[Seconds]:
    """Return the tests for a mutant of a file, in three stages from near to far, quick files first."""
    package, stem = Path(file).parts[1], Path(file).stem
    result: list[Seconds] = [{}, {}, {}]
    totals: Counter[str] = Counter()
    for test, value in seconds.items():
        totals[test.partition("::")[0]] += value  # type: ignore[assignment]
    for test in sorted(seconds, key=lambda test: totals[test.partition("::")[0]]):
        near, same = f"tests/{package}/test_{stem}", f"tests/{package}/"
        stage = 0 if test.startswith(near) else 1 if test.startswith(same) else 2
        if stage == 0 or seconds[test] <= SLOW_SECONDS:
            result[stage][test] = seconds[test]
    result[2] = quickest(result[2], FAR_SECONDS)
    return [stage for stage in result if stage]


def quickest(tests: Seconds, budget: float) -> Seconds:
    """Return the quickest tests that fit together into a budget of CPU time, in the same order."""
    ranked = sorted(tests, key=lambda test: tests[test])
    sums = zip(ranked, accumulate(tests[test] for test in ranked), strict=True)
    kept = {test for test, total in sums if total <= budget}
    return {test: seconds for test, seconds in tests.items() if test in kept}


def try_mutant(workshop: Workshop, mutant: Mutant, seconds: Seconds) -> dict[str, Any]:
    """Return the mutant with what killed it, "" if it survived, and the tests that failed only once."""
    begun = time.monotonic()
    killer = ""
    unstable: list[str] = []
    with workshop.copy(mutant) as work:
        for stage in stages(mutant.file, seconds):
            killer = confirmed_failure(workshop, work, stage, unstable)
            if killer:
                break
    wall = round(time.monotonic() - begun, 1)
    return {**asdict(mutant), "killed_by": killer, "unstable": unstable, "seconds": wall}


def confirmed_failure(workshop: Workshop, work: Path, tests: Seconds, unstable: list[str]) -> str:
    """Return the first failure that happens again when its test is rerun; "" if there is none."""
    for _ in range(ATTEMPTS):
        outcome = workshop.run_tests(work, tests)
        failure = outcome.failure
        if not failure:
            break
        rerun = tests if failure.startswith("pytest: ") else {failure: tests.get(failure, 0.0)}
        if workshop.run_tests(work, rerun).failure:
            return failure
        unstable.append(failure)
        done = {*outcome.passed, failure}
        tests = {test: value for test, value in tests.items() if test not in done}
    return ""


def digest_of_code() -> str:
    """Return the digest of package and tests: results hold for these only."""
    digest = hashlib.sha256()
    for folder in (PACKAGE, "tests"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            name = path.relative_to(CHECKOUT)
            if folder == PACKAGE or name.parts[1] not in LEFT_OUT:
                digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Results:
    """The mutants tried so far, in a file that is complete after each."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path, self.head, self.lock = path, head, threading.Lock()
        stored = json.loads(path.read_text()) if path.exists() else {}
        same = all(stored.get(key) == value for key, value in head.items())
        self.mutants: dict[str, dict[str, Any]] = stored["mutants"] if same else {}

    def add(self, number: int, result: dict[str, Any]) -> None:
        """Add one result and print it."""
        with self.lock:
            self.mutants[str(number)] = result
            ordered = dict(sorted(self.mutants.items(), key=lambda item: int(item[0])))
            content = {**self.head, "totals": self.totals(), "mutants": ordered}
            write(self.path, content)
        location = f"{result['file']}:{result['line']}"
        fate = f"killed by {result['killed_by']}" if result["killed_by"] else "SURVIVED"
        print(f"{number} {location} {fate} ({result['seconds']} s)", flush=True)

    def totals(self) -> dict[str, str]:
        """Return killed/tried, in all and by area and operator."""
        tried, killed = Counter[str](), Counter[str]()
        for result in self.mutants.values():
            for name in ("all", result["area"], result["operator"]):
                tried[name] += 1
                killed[name] += bool(result["killed_by"])
        return {name: f"{killed[name]}/{tried[name]}" for name in tried}


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="validation.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, help="start no mutant after this time")
    parser.add_argument(
        "--healthy-seconds", type=float, default=600.0, help="limit for one file on healthy code"
    )
    parser.add_argument("--only", type=int, nargs="+", help="numbers of mutants, from 1 on")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    return parser.parse_args()


def try_mutants(
    workshop: Workshop, arguments: argparse.Namespace, mutants: dict[int, Mutant], deadline: float
) -> None:
    """Try the mutants that have no result yet, or those asked for, and store the results."""
    digest = digest_of_code()
    head = {"digest": digest, "count": arguments.count, "seed": arguments.seed}
    results = Results(arguments.out, head)
    stored = arguments.out.with_name(f"healthy-{digest}.json")
    seconds = healthy_tests(workshop, arguments.jobs, arguments.healthy_seconds, stored)
    print(f"healthy code: {len(seconds)} tests, {sum(seconds.values()):.0f} s of CPU", flush=True)

    def attempt(number: int) -> None:
        if time.monotonic() < deadline:
            results.add(number, try_mutant(workshop, mutants[number], seconds))

    left = arguments.only or [n for n in mutants if str(n) not in results.mutants]
    run_all(workshop, arguments.jobs, attempt, left)
    print(results.totals())


def main() -> None:
    """Draw the mutants, and try them until the time is over."""
    arguments = parse_arguments()
    deadline = time.monotonic() + (arguments.seconds or float("inf"))
    drawn = dict(enumerate(draw(CHECKOUT, arguments.count, arguments.seed), 1))
    if arguments.list:
        for number, mutant in drawn.items():
            print(number, f"{mutant.file}:{mutant.line}", mutant.operator, end=": ")
            print(f"{mutant.before} -> {mutant.after} in {mutant.source_line}")
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # the tests inherit it
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        workshop = Workshop(Path(folder))
        try:
            try_mutants(workshop, arguments, drawn, deadline)
        except KeyboardInterrupt:
            print("interrupted", flush=True)


if __name__ == "__main__":
    main()
