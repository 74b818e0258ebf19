"""The sweep: verdicts on random healthy problems, which must raise no alarm, and on slightly wrong
ones, which must.

The thresholds are fixed (`dtypes`, `tolerance`) before the problems are drawn. For comparison the
same outputs are judged by the fixed tolerances in use elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np

from rnnparity.problem.answer import Answer, Subject
from rnnparity.problem.cells import CELLS
from rnnparity.problem.dtypes import FLOAT_TYPES, Array, variable_dtype
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import Layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import Verdict
from rnnparity.problem.shapes import state_slots, weight_slots
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.check import one_blas_thread
from rnnparity.session.workers import end_now, main_unseen, prepare_worker
from rnnparity.subjects import make_subject
from rnnparity.verdict.judge import judge

PATHS = ("keras", "keras:graph", "keras:xla")
# Problems of one layer and shape, so that what is traced and compiled for it is used more than
# once.
DRAWS = 12
# Eager Keras takes some 2 ms a step and half: longer sequences go through the graphs alone.
LONGEST_EAGER = 60

# Fixed tolerances in use elsewhere, as (rtol, atol): NumPy's allclose, PyTorch's assert_close for
# float32, ONNX's backend test runner.
FIXED = {"np.allclose": (1e-5, 1e-8), "torch": (1.3e-6, 1e-5), "onnx": (1e-3, 1e-7)}


@dataclass(frozen=True)
class Record:
    """One verdict on a healthy problem (`changed` is "") or on one whose weights were changed by
    `change`.

    `false_alarms` names the fixed tolerances that would have refused the outputs.
    """

    dtype: str
    path: str
    kind: str
    sigma: float
    what: str
    changed: str = ""
    false_alarms: tuple[str, ...] = ()


def sweep(
    verdicts: int, seed: int, jobs: int, progress: Callable[[str, int, int], None] | None = None
) -> list[Record]:
    """Records of at least `verdicts` verdicts on healthy problems, and of one changed problem for
    every problem.

    Raises:
        RequestError: TensorFlow is missing or too old.
    """
    records: list[Record] = []
    done = 0
    seeds = iter(range(seed * 1_000_000, (seed + 1) * 1_000_000))
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker)
    try:
        with main_unseen():
            running = {pool.submit(sweep_layer, next(seeds)) for _ in range(2 * jobs)}
        while done < verdicts:
            future = next(as_completed(running))
            running.discard(future)
            records += future.result()
            done = sum(not record.changed for record in records)
            if progress is not None:
                progress("sweep", min(done, verdicts), verdicts)
            if done < verdicts:
                running.add(pool.submit(sweep_layer, next(seeds)))
    finally:
        end_now(pool)
    return records


_subjects: dict[str, Subject] = {}


def sweep_layer(seed: int) -> list[Record]:
    """All records of one random layer and shape."""
    rng = np.random.default_rng(seed)
    for path in PATHS:
        if path not in _subjects:
            _subjects[path] = make_subject(path)
    layer, shape = random_layer(rng)
    # With or without a mask and states is settled once a layer: each is a trace and a compilation
    # of its own.
    masked, started = bool(rng.random() < 0.3), bool(rng.random() < 0.5)
    records: list[Record] = []
    with one_blas_thread():
        for draw in range(DRAWS):
            problem = random_problem(rng, layer, shape, masked, started, f"sweep-{seed}-{draw}")
            records += _records(problem, rng)
    for subject in _subjects.values():
        subject.forget()  # type: ignore[attr-defined]  # KerasSubject's own: what was built for this layer alone
    return records


def random_layer(rng: np.random.Generator) -> tuple[Layer, tuple[int, int, int]]:
    """A layer of any kind, direction, dtype, and the shape (B, T, D) of its inputs: T to 500, D and
    H to 128."""
    kind = rng.choice([cell.class_name for cell in CELLS.values() for _ in cell.variants])
    coarse = ["float16", "mixed_float16", "bfloat16", "mixed_bfloat16"]
    policy = str(rng.choice(["float32"] * 12 + ["float64"] * 2 + coarse))
    config: dict[str, Any] = {
        "units": _log_uniform(rng, 1, 128),
        "dtype": policy,
        "return_state": True,
    }
    config["return_sequences"] = bool(rng.random() < 0.5)
    if "reset_after" in CELLS[kind].options:
        config["reset_after"] = bool(rng.random() < 0.5)
    direction = rng.choice(["forward", "forward", "backwards", "two ways"])
    if direction == "backwards":
        config["go_backwards"] = True
    spec: dict[str, Any] = {"class_name": str(kind), "config": config}
    if direction == "two ways":
        mode = [None, "concat", "sum", "mul", "ave"][rng.integers(5)]
        spec = {
            "class_name": "Bidirectional",
            "config": {"layer": spec, "merge_mode": mode, "dtype": policy},
        }
    shape = (int(rng.integers(1, 9)), _log_uniform(rng, 1, 500), _log_uniform(rng, 1, 128))
    return parse_layer(spec), shape


def random_problem(
    rng: np.random.Generator,
    layer: Layer,
    shape: tuple[int, int, int],
    masked: bool,
    started: bool,
    name: str,
) -> Problem:
    """Normal inputs, weights from small to saturating (0.05 to 5 over the root of the fan-in),
    masks, states."""
    batch, steps, features = shape
    scale = float(np.exp(rng.uniform(np.log(0.05), np.log(5))))
    weights = []
    for slot in weight_slots(layer, features):
        dims = tuple(dim or 0 for dim in slot.shape)
        spread = 0.5 if slot.name.endswith("bias") else scale / np.sqrt(dims[0])
        weights.append(
            Tensor.of(slot.name, spread * rng.standard_normal(dims), variable_dtype(slot.dtype))
        )
    wide = "float64" if layer.compute_dtype == "float64" else "float32"
    states = tuple(
        Tensor.of(slot.name, 0.5 * rng.standard_normal((batch, slot.shape[1] or 0)), wide)
        for slot in state_slots(layer, batch)
    )
    return Problem(
        layer=layer,
        weights=tuple(weights),
        inputs=Tensor.of("inputs", rng.standard_normal(shape), wide),
        mask=rng.random((batch, steps)) < 0.8 if masked else None,
        initial_state=states if started else None,
        id=name,
    )


def _log_uniform(rng: np.random.Generator, low: int, high: int) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 0.999))))


def _records(problem: Problem, rng: np.random.Generator) -> Iterator[Record]:
    expected = expect(problem)
    what = f"{problem.id} {problem.inputs.shape}"
    dtype = problem.threshold_type
    paths = PATHS if problem.inputs.shape[1] <= LONGEST_EAGER else PATHS[1:]
    for path in paths:
        answer = _subjects[path].answer(problem)
        verdict = judge(problem, answer, expected)
        alarms = (
            ()
            if verdict.verdict is Verdict.INCONCLUSIVE
            else tuple(_false_alarms(answer, expected))
        )
        yield Record(dtype, path, verdict.verdict, verdict.sigma, what, "", alarms)
    for form in ("scaled", "signs"):
        name, changed = _changed(problem, rng, FLOAT_TYPES[dtype].fault, form)
        answer = _subjects["keras:graph"].answer(changed)
        verdict = judge(problem, answer, expected)
        if expected.visible.get(name, 0.0) > 0 and not expected.inconclusive:
            yield Record(
                dtype, "keras:graph", verdict.verdict, verdict.sigma, f"{what} {name}", form
            )


def _changed(
    problem: Problem, rng: np.random.Generator, size: float, form: str
) -> tuple[str, Problem]:
    """One weight array changed by a relative `size`: all of it the same way, or each element up or
    down."""
    place = int(rng.integers(len(problem.weights)))
    tensor = problem.weights[place]
    signs = rng.choice([-1.0, 1.0], tensor.shape) if form == "signs" else 1.0
    changed = Tensor.of(
        tensor.name, tensor.data.astype(np.float64) * (1 + size * signs), tensor.dtype
    )
    weights = [*problem.weights[:place], changed, *problem.weights[place + 1 :]]
    return tensor.name, replace(problem, weights=tuple(weights))


def _false_alarms(answer: Answer, expected: Expected) -> Iterator[str]:
    for name, (rtol, atol) in FIXED.items():
        pairs = zip(answer.outputs, expected.outputs, strict=True)
        if not all(_close(given.data, right.data, rtol, atol) for given, right in pairs):
            yield name


def _close(given: Array, right: Array, rtol: float, atol: float) -> bool:
    return bool(np.allclose(given.astype(np.float64), right, rtol=rtol, atol=atol))


@dataclass(frozen=True)
class Summary:
    """One float type's part of a sweep: verdicts on healthy problems, and what was seen of changed
    ones."""

    verdicts: int
    false_alarms: int
    inconclusive: int
    worst: float
    rms: float
    changed: Mapping[str, int]
    seen: Mapping[str, int]
    smallest: Mapping[str, float]
    elsewhere: Mapping[str, int]
    examples: Sequence[Record] = ()


def summarize(records: Sequence[Record]) -> dict[str, Summary]:
    """By float type. `smallest` is the relative change that is still seen in 99 of 100 problems
    (distances are linear in the change); `elsewhere` counts the false alarms of fixed tolerances,
    for float32 alone, where they are meant."""
    found = {}
    for dtype in sorted({record.dtype for record in records}):
        own = [record for record in records if record.dtype == dtype]
        healthy = [record for record in own if not record.changed]
        conclusive = [record for record in healthy if record.kind != Verdict.INCONCLUSIVE]
        alarms = [record for record in healthy if record.kind == Verdict.DIVERGES]
        changed = {form: [r for r in own if r.changed == form] for form in ("scaled", "signs")}
        kind = FLOAT_TYPES[dtype]
        found[dtype] = Summary(
            verdicts=len(healthy),
            false_alarms=len(alarms),
            inconclusive=len(healthy) - len(conclusive),
            worst=max((record.sigma for record in conclusive), default=0.0),
            rms=float(np.sqrt(np.mean([r.sigma**2 for r in conclusive]))) if conclusive else 0.0,
            changed={form: len(rows) for form, rows in changed.items()},
            seen={
                form: sum(r.kind == Verdict.DIVERGES for r in rows)
                for form, rows in changed.items()
            },
            smallest={
                form: float(
                    np.quantile(
                        [kind.fault * kind.threshold / max(r.sigma, 1e-9) for r in rows], 0.99
                    )
                )
                for form, rows in changed.items()
                if rows
            },
            elsewhere={name: sum(name in r.false_alarms for r in conclusive) for name in FIXED}
            if dtype == "float32"
            else {},
            examples=alarms[:5],
        )
    return found
