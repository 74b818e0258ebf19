"""Fuzzing: verdicts on random healthy problems, and on problems with slightly changed weights.

No healthy problem may diverge, and the changes must be detected. The thresholds are fixed before
the problems are drawn. For comparison, fixed tolerances in use elsewhere judge the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import FAILING, CaseResult, Verdict
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import hidden_main, kill_pool, one_blas_thread, start_pool
from rnnparity.session.random_problems import random_layer, random_problem
from rnnparity.session.session import LocalSession, local_session

PATHS = ("keras", "keras:graph", "keras:xla")
# The path that runs the problems with changed weights.
CHANGED_PATH = "keras:graph"
# Problems per layer and shape: what is traced and compiled for them is used more than once.
DRAWS = 12
# Eager Keras takes 2 ms a step: longer sequences run only in graphs.
LONGEST_EAGER = 60
SEEDS = 1_000_000

# A weight array is changed by a relative amount: all of it alike, or each element up or down.
CHANGES = ("scaled", "signs")

# Fixed tolerances in use elsewhere, as (rtol, atol): NumPy's allclose, PyTorch's assert_close for
# float32, ONNX's backend test runner.
FIXED = {"np.allclose": (1e-5, 1e-8), "torch": (1.3e-6, 1e-5), "onnx": (1e-3, 1e-7)}


@dataclass(frozen=True)
class Record:
    """One verdict. `change` is "" for a healthy problem, else how its weights were changed.

    `false_alarms` names the fixed tolerances that would have rejected the outputs.
    """

    dtype: str
    path: str
    verdict: Verdict
    sigma: float
    description: str
    change: str = ""
    false_alarms: tuple[str, ...] = ()


def fuzz(
    verdicts: int, seed: int, jobs: int, progress: Callable[[str, int, int], None] | None = None
) -> list[Record]:
    """Return the records of at least `verdicts` verdicts on healthy problems.

    For every problem there is a changed one besides.

    Raises:
        RequestError: TensorFlow is missing or too old.
    """
    records: list[Record] = []
    done = 0
    seeds = iter(range(seed * SEEDS, (seed + 1) * SEEDS))
    pool = start_pool(jobs)
    try:
        with hidden_main():
            running = {pool.submit(fuzz_layer, next(seeds)) for _ in range(2 * jobs)}
        while done < verdicts:
            future = next(as_completed(running))
            running.discard(future)
            records += future.result()
            done = sum(not record.change for record in records)
            if progress is not None:
                progress("fuzz", min(done, verdicts), verdicts)
            if done < verdicts:
                running.add(pool.submit(fuzz_layer, next(seeds)))
    finally:
        kill_pool(pool)
    return records


_SESSIONS: dict[str, LocalSession] = {}


def fuzz_layer(seed: int) -> list[Record]:
    """Return all records of one random layer and shape."""
    rng = np.random.default_rng(seed)
    for path in PATHS:
        if path not in _SESSIONS:
            _SESSIONS[path] = local_session(path)
    layer, shape = random_layer(rng)
    # One choice per layer: with and without a mask or states are different traces.
    masked = bool(rng.random() < 0.3)
    with_state = bool(rng.random() < 0.5)
    records: list[Record] = []
    with one_blas_thread():
        for draw in range(DRAWS):
            name = f"fuzz-{seed}-{draw}"
            problem = random_problem(rng, layer, shape, masked, with_state, name)
            records += _records(problem, rng)
    for session in _SESSIONS.values():
        session.forget()
    return records


def _records(problem: Problem, rng: np.random.Generator) -> Iterator[Record]:
    expected = expect(problem)
    description = f"{problem.id} {problem.inputs.shape}"
    dtype = problem.threshold_type
    paths = PATHS if problem.inputs.shape[1] <= LONGEST_EAGER else PATHS[1:]
    for path in paths:
        outcome = _SESSIONS[path].ask(problem)
        result = _judged(path, outcome, expected)
        alarms = tuple(_false_alarms(outcome, expected)) if result.verdict.compared else ()
        yield Record(dtype, path, result.verdict, result.sigma, description, "", alarms)
    for change in CHANGES:
        array, changed = _changed(problem, rng, FLOAT_TYPES[dtype].fault, change)
        outcome = _SESSIONS[CHANGED_PATH].ask(changed)
        result = _judged(CHANGED_PATH, outcome, expected)
        if expected.visible.get(array, 0.0) > 0 and not expected.inconclusive:
            text = f"{description} {array}"
            yield Record(dtype, CHANGED_PATH, result.verdict, result.sigma, text, change)


def _judged(path: str, outcome: Outcome, expected: Expected) -> CaseResult:
    """Judge an outcome by what is expected of the healthy problem."""
    return _SESSIONS[path].judge(outcome, None, {outcome.problem.id: expected})


def _changed(
    problem: Problem, rng: np.random.Generator, size: float, change: str
) -> tuple[str, Problem]:
    """Return the name of a weight array, and the problem with it changed by a relative `size`."""
    index = int(rng.integers(len(problem.weights)))
    tensor = problem.weights[index]
    signs = rng.choice([-1.0, 1.0], tensor.shape) if change == "signs" else 1.0
    values = tensor.data.astype(np.float64) * (1 + size * signs)
    weights = list(problem.weights)
    weights[index] = Tensor.of(tensor.name, values, tensor.dtype)
    return tensor.name, replace(problem, weights=tuple(weights))


def _false_alarms(outcome: Outcome, expected: Expected) -> Iterator[str]:
    """Yield the fixed tolerances that reject the outputs."""
    if outcome.answer is None:
        return
    outputs = outcome.answer.outputs
    for name, (rtol, atol) in FIXED.items():
        pairs = zip(outputs, expected.outputs, strict=True)
        if not all(_close(actual.data, target.data, rtol, atol) for actual, target in pairs):
            yield name


def _close(actual: Array, expected: Array, rtol: float, atol: float) -> bool:
    return bool(np.allclose(actual.astype(np.float64), expected, rtol=rtol, atol=atol))


@dataclass(frozen=True)
class Summary:
    """The verdicts of one dtype. `smallest_detected` is the relative change, by kind of change,
    that is still detected in 99 of 100 problems; distances are linear in the change.

    `rejected_elsewhere` counts the false alarms of fixed tolerances; they are meant for float32.
    """

    verdicts: int
    false_alarms: int
    inconclusive: int
    worst: float
    rms: float
    changed: Mapping[str, int]
    detected: Mapping[str, int]
    smallest_detected: Mapping[str, float]
    rejected_elsewhere: Mapping[str, int]
    examples: Sequence[Record] = ()


def summarize(records: Sequence[Record]) -> dict[str, Summary]:
    """Return a summary for each dtype."""
    dtypes = sorted({record.dtype for record in records})
    return {
        dtype: _summary(dtype, [record for record in records if record.dtype == dtype])
        for dtype in dtypes
    }


def _summary(dtype: str, records: Sequence[Record]) -> Summary:
    healthy = [record for record in records if not record.change]
    conclusive = [record for record in healthy if record.verdict.compared]
    alarms = [record for record in healthy if record.verdict in FAILING]
    sigmas = np.array([record.sigma for record in conclusive] or [0.0])
    changed = {
        change: [record for record in records if record.change == change] for change in CHANGES
    }
    fixed = FIXED if dtype == "float32" else {}
    return Summary(
        verdicts=len(healthy),
        false_alarms=len(alarms),
        inconclusive=len(healthy) - len(conclusive),
        worst=float(sigmas.max()),
        rms=float(np.sqrt(np.mean(sigmas**2))),
        changed={change: len(found) for change, found in changed.items()},
        detected={change: _detected(found) for change, found in changed.items()},
        smallest_detected={
            change: _smallest_detected(dtype, found) for change, found in changed.items() if found
        },
        rejected_elsewhere={
            name: sum(name in record.false_alarms for record in conclusive) for name in fixed
        },
        examples=alarms[:5],
    )


def _detected(records: Sequence[Record]) -> int:
    return sum(record.verdict is Verdict.DIVERGES for record in records)


def _smallest_detected(dtype: str, records: Sequence[Record]) -> float:
    float_type = FLOAT_TYPES[dtype]
    at_threshold = float_type.fault * float_type.threshold
    changes = [at_threshold / max(record.sigma, 1e-9) for record in records]
    return float(np.quantile(changes, 0.99))
