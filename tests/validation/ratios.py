"""How fast the reference is, as ratios within one run: `python -m validation.ratios [--store]`.

Run it with `PYTHONPATH=tests`. Times are CPU times of one thread; two computations take turns, and a
ratio is the median over the rounds. `--store` writes the table for docs/performance.md.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
from benchmarks.contenders import products
from benchmarks.problems import make_problem

from rnnparity.problem.problem import Problem
from rnnparity.reference import compute, compute_with_noise, prepare
from rnnparity.reference.spec import outputs as specified
from rnnparity.session.processes import one_blas_thread

Size = tuple[int, int, int, int]
# (B, T, D, H)
TINY, SMALL, MIDDLE, LARGE, LONG = (
    (1, 4, 5, 3),
    (8, 16, 16, 32),
    (32, 50, 64, 128),
    (32, 100, 256, 512),
    (32, 500, 64, 128),
)
EIGHT = (8, 16, 16, 8)
ROUNDS = 15
# Targets are ratios to an earlier engine, than which the specification's loops are up to so many times
# slower.
LOOPS = 1.4
# A block of calls takes so many seconds at least: clocks are coarse.
BLOCK_S = 0.05
MEASUREMENTS = Path(__file__).parents[2] / "docs" / "measurements.json"
HEADER = ["figure", "LSTM (B, T, D, H)", "measured", "target"]


@dataclass(frozen=True)
class Figure:
    """A ratio or a number of bytes, and the largest that is accepted; None where there is none."""

    name: str
    size: Size
    value: float
    target: float | None = None

    @property
    def row(self) -> list[str]:
        target = "" if self.target is None else f"{self.target:.2g}"
        return [self.name, str(self.size), f"{self.value:.2g}", target]


def ratio(first: Callable[[], object], second: Callable[[], object]) -> float:
    """Return how many times as long the first takes as the second."""
    calls = [(call, _calls_per_block(call)) for call in (first, second)]
    return median(_seconds(*calls[0]) / _seconds(*calls[1]) for _ in range(ROUNDS))


def _calls_per_block(call: Callable[[], object]) -> int:
    call()
    return max(1, round(BLOCK_S / max(_seconds(call, 3), 1e-7)))


def _seconds(call: Callable[[], object], count: int) -> float:
    start = process_time()
    for _ in range(count):
        call()
    return (process_time() - start) / count


def bytes_per_output(problem: Problem) -> float:
    """Return the peak memory of a pass with noise, in bytes for each of B*T*H."""
    batch, steps, _ = problem.inputs.shape
    tracemalloc.start()
    try:
        compute_with_noise(problem)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak / (batch * steps * problem.weights[1].data.shape[0])


def figures() -> Iterator[Figure]:
    """Yield each figure when it is measured."""
    for size, target in ((TINY, 0.5), (SMALL, 0.75)):
        problem = make_problem("LSTM", size)
        loops = partial(specified, problem)
        value = ratio(prepare(problem), loops)
        yield Figure("engine over the specification's loops", size, value, target / LOOPS)
        value = ratio(partial(compute, problem), loops)
        yield Figure("engine with preparation over the loops", size, value)
    problem = make_problem("LSTM", LARGE)
    value = ratio(prepare(problem, np.float32), products(np.float32)(problem))
    yield Figure("engine in float32 over its bare matrix products", LARGE, value, 1.4)
    for size, target in ((TINY, 4), (EIGHT, 6), (MIDDLE, 4)):
        problem = make_problem("LSTM", size)
        with_noise = partial(compute_with_noise, problem)
        value = ratio(with_noise, partial(specified, problem))
        yield Figure("noise over the specification's loops", size, value, target / LOOPS)
        yield Figure("noise over the engine", size, ratio(with_noise, partial(compute, problem)))
    problem = make_problem("LSTM", LONG)
    yield Figure("noise: bytes for each of B*T*H", LONG, bytes_per_output(problem), 96)


def store(rows: list[list[str]]) -> None:
    """Write the table to the stored measurements."""
    stored = json.loads(MEASUREMENTS.read_text("utf-8"))
    stored["ratios"] = {
        "command": "python -m validation.ratios --store",
        "date": datetime.now(UTC).strftime("%Y-%m"),
        "versions": f"NumPy {np.__version__}",
        "header": HEADER,
        "rows": rows,
    }
    text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
    MEASUREMENTS.write_text(text, encoding="utf-8")


def main() -> None:
    """Print every figure, and store all of them where that is asked for."""
    rows = []
    with one_blas_thread():
        for figure in figures():
            rows.append(figure.row)
            name, size, value, target = figure.row
            print(f"{name}, LSTM {size}: {value}{f' (target {target})' if target else ''}")
    if "--store" in sys.argv[1:]:
        store(rows)


if __name__ == "__main__":
    main()
