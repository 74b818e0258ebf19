"""The trial of the explanations: faults made on purpose in random problems, and whether they are
named.

What is tried is the explanation, by outputs that the reference gives under a fault which the
explanation is not told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from rnnparity.explanation.diagnosis import Diagnosis, diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.faults import (
    EditArithmetic,
    EditProblem,
    Fault,
    Injection,
    Mutant,
    PlacedFault,
    candidates,
    inject,
    mutants,
    run_all,
)
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import WHOLE, Cause, Verdict
from rnnparity.reference import compute
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.tolerance import expect
from rnnparity.session.processes import hidden_main, kill_pool, one_blas_thread, start_pool
from rnnparity.session.random_problems import random_problem
from rnnparity.session.subject_run import Progress


class Result(StrEnum):
    """What became of a fault that was made."""

    NAMED = "named first"
    BESIDE = "told beside what gives the same"
    UNSEEN = "could not be seen"
    GUESSED = "wrong, but said to be uncertain"
    UNEXPLAINED = "unexplained"
    MISSED = "missed"
    WRONG = "wrong cause"
    HONEST = "not on the list, and said to be unexplained"
    HEALTHY = "nothing wrong, and said so"
    ALARM = "nothing wrong, but explained"


# Somebody is sent the wrong way.
FALSE = (Result.WRONG, Result.MISSED, Result.ALARM)


# NumPy's own float16, rounding after every operation: not the arithmetic by which the explanation
# knows it.
IN_FLOAT16 = Fault(
    "low-precision", "NumPy's float16", "", "", EditArithmetic(PlainArithmetic(np.float16))
)
KINDS = ("single", "float16", "pair", "unlisted", "healthy")


@dataclass(frozen=True)
class Trial:
    """One fault made, and what was said of it."""

    kind: str
    seed: int
    made: str
    told: str
    result: Result


def trials(
    kind: str, count: int, seed: int, jobs: int, progress: Progress | None = None
) -> list[Trial]:
    """So many trials of one of the KINDS, each with a seed of its own."""
    found: list[Trial] = []
    seeds = range(seed * 1_000_000, seed * 1_000_000 + count)
    pool = start_pool(jobs)
    try:
        with hidden_main():
            running = pool.map(trial, [kind] * count, seeds, chunksize=20)
        for done in running:
            found.append(done)
            if progress is not None:
                progress(kind, len(found), count)
    finally:
        kill_pool(pool)
    return found


def trial(kind: str, seed: int) -> Trial:
    """A random problem, a fault in it, and the explanation held against what was made."""
    rng = np.random.default_rng(seed)
    with one_blas_thread():
        problem = draw_problem(rng, last_only=kind == "float16")
        while expect(problem).inconclusive:
            problem = draw_problem(rng, last_only=kind == "float16")
        if kind == "healthy":
            told = diagnose(problem.with_outputs(compute(problem, np.float32)))
            healthy = told.explanation.verdict is Verdict.AGREES
            result = Result.HEALTHY if healthy else Result.ALARM
            return Trial(kind, seed, "", said(told), result)
        if kind == "unlisted":
            told = diagnose(problem.with_outputs(_unlisted(problem, rng)))
            return Trial(
                kind, seed, "a few numbers of a weight array", said(told), _judge_unlisted(told)
            )
        struck = _pair(problem, rng) if kind == "pair" else _single(problem, rng)
        made, given = _outputs(problem, struck, kind)
        told = diagnose(problem.with_outputs(given))
    return Trial(kind, seed, made.name, said(told), judge(problem, made, told, kind == "float16"))


def draw_problem(rng: np.random.Generator, last_only: bool) -> Problem:
    """Any layer with any flags, masked or not, started or not; sizes to 9, weights from small to
    large."""
    batch, steps, features = (
        int(rng.integers(low, high)) for low, high in ((1, 5), (2, 10), (2, 8))
    )
    flags = {"return_sequences": False, "return_state": False}
    if not last_only:
        flags = {name: bool(rng.random() < 0.5) for name in flags}
    kind = rng.choice(["plain", "plain", "backwards", "two ways", "two ways", "stack"])
    if kind == "stack":
        layers = [_cell(rng, {"return_sequences": True}), _cell(rng, flags)]
        spec: dict[str, Any] = {"class_name": "Sequential", "config": {"layers": layers}}
    else:
        spec = _cell(rng, flags | {"go_backwards": kind == "backwards"})
    if kind == "two ways":
        mode = [None, "concat", "sum", "mul", "ave"][rng.integers(5)]
        spec = {"class_name": "Bidirectional", "config": {"layer": spec, "merge_mode": mode}}
    masked, started = bool(rng.random() < 0.4), bool(rng.random() < 0.4)
    return random_problem(
        rng, parse_layer(spec), (batch, steps, features), masked, started, "trial"
    )


def _cell(rng: np.random.Generator, flags: Mapping[str, bool]) -> dict[str, Any]:
    kind = str(rng.choice(["SimpleRNN", "LSTM", "LSTM", "GRU", "GRU"]))
    config: dict[str, Any] = {"units": int(rng.integers(2, 9)), **flags}
    if kind == "GRU":
        config["reset_after"] = bool(rng.random() < 0.5)
    return {"class_name": kind, "config": config}


def _single(problem: Problem, rng: np.random.Generator) -> Injection:
    """One fault: the cause first, so that those with many siblings do not crowd out the others."""
    made = candidates(problem)
    causes = sorted({struck.placed[0].fault.cause for struck in made})
    while True:
        cause = str(rng.choice(causes))
        own = [struck for struck in made if struck.placed[0].fault.cause == cause]
        chosen = own[rng.integers(len(own))]
        if next(run_all([chosen]), None) is not None:
            return chosen


def _pair(problem: Problem, rng: np.random.Generator) -> Injection:
    """Two faults that leave the shapes alone and do not hide each other: none gives the same
    without the other."""
    expected = expect(problem)
    while True:
        placed = [_single(problem, rng).placed[0] for _ in range(2)]
        placed.sort(key=lambda one: not isinstance(one.fault.edit, EditProblem))
        both = inject(problem, placed)
        batch = both and next(run_all([both]), None)
        if both is None or not batch or placed[0].fault.cause == placed[1].fault.cause:
            continue
        if any(
            isinstance(one.fault.edit, EditArithmetic) for one in placed
        ):  # less precision is noise beside a fault
            continue
        if [array[0].shape for array in batch.outputs] != [
            tensor.shape for tensor in expected.outputs
        ]:
            continue
        alone = [m for one in placed for m in mutants(problem, [one.fault]) if m.placed == (one,)]
        others = [expected.outputs, *(mutant.outputs for mutant in alone)]
        if all(far(problem, batch.mutant(0).outputs, other) for other in others):
            return both


def _outputs(problem: Problem, struck: Injection, kind: str) -> tuple[Mutant, tuple[Tensor, ...]]:
    """What the fault gives, and the same as somebody has it: in float32, or computed in float16."""
    (made,) = (batch.mutant(0) for batch in run_all([struck]))
    if kind != "float16":
        return made, tuple(Tensor.of(t.name, t.data, "float32") for t in made.outputs)
    batch = next(
        run_all([inject(problem, [*struck.placed, PlacedFault(IN_FLOAT16, WHOLE)]) or struck])
    )
    return made, tuple(Tensor.of(t.name, t.data, "float32") for t in batch.mutant(0).outputs)


def _unlisted(problem: Problem, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """What the layer gives where a tenth of the numbers of one weight array are others: no fault of
    the list."""
    place = int(rng.integers(len(problem.weights)))
    tensor = problem.weights[place]
    other = np.where(rng.random(tensor.shape) < 0.1, rng.standard_normal(tensor.shape), tensor.data)
    changed = (
        *problem.weights[:place],
        Tensor.of(tensor.name, other, tensor.dtype),
        *problem.weights[place + 1 :],
    )
    return tuple(
        Tensor.of(t.name, t.data, "float32") for t in compute(replace(problem, weights=changed))
    )


def _judge_unlisted(told: Diagnosis) -> Result:
    cause = told.explanation.cause
    if told.explanation.verdict is Verdict.AGREES or cause is None:
        return Result.UNSEEN
    if not cause.explained:
        return Result.HONEST
    return Result.WRONG if cause.unambiguous else Result.GUESSED


def judge(problem: Problem, made: Mutant, told: Diagnosis, coarse: bool = False) -> Result:
    """What was told, held against what was made."""
    explanation = told.explanation
    cause = explanation.cause or Cause()
    same_cause = cause.explained and told.fits[0].cause == made.cause
    diverges = explanation.verdict is Verdict.DIVERGES
    if not same_cause and (not diverges or (coarse and cause.names == ("low-precision",))):
        right = expect(problem).outputs
        return Result.MISSED if far(problem, made.outputs, right, coarse) else Result.UNSEEN
    if not cause.explained:
        return Result.UNEXPLAINED
    if same_cause or set(cause.faults) == set(made.faults):
        return Result.NAMED
    if made.faults in cause.also_fits:
        return Result.BESIDE
    if not far(problem, made.outputs, told.fits[0].outputs, coarse):
        return Result.BESIDE
    return Result.WRONG if cause.unambiguous else Result.GUESSED


def far(
    problem: Problem, one: Sequence[Tensor], other: Sequence[Tensor], coarse: bool = False
) -> bool:
    """Whether two sets of outputs are further apart than the noise, of float16 where it is
    `coarse`."""
    expected = expect(problem)
    shapes = [[tensor.shape for tensor in some] for some in (one, other, expected.outputs)]
    if shapes[0] != shapes[1]:
        return True
    if shapes[0] != shapes[2]:
        pairs = zip(one, other, strict=True)
        return not all(np.allclose(a.data, b.data, rtol=1e-2 if coarse else 1e-5) for a, b in pairs)
    evidence = Evidence(problem, tuple(one), expected)
    noise = next(evidence.coarser_noises(), evidence.noise) if coarse else evidence.noise
    off = evidence.distances([tensor.data for tensor in other], noise)
    return any(bool((part > noise.threshold).any()) for part in off)


def said(told: Diagnosis) -> str:
    """What was told, in a line."""
    explanation = told.explanation
    if not told.fits:
        return f"{explanation.verdict}: {'unexplained' if explanation.cause else 'no cause'}"
    others = f" (also {len(told.fits) - 1})" if len(told.fits) > 1 else ""
    return f"{explanation.verdict}: {told.fits[0].name}{others}"


def summary(found: Sequence[Trial]) -> dict[str, Counter[Result]]:
    """How many trials of each kind ended how."""
    counts: dict[str, Counter[Result]] = {}
    for done in found:
        counts.setdefault(done.kind, Counter())[done.result] += 1
    return counts


def print_trials(done: Sequence[Trial], console: Any) -> None:
    """One row a kind of trial with what became of it, then those that were answered wrongly."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("trial", "result", "count"):
        table.add_column(column, justify="right" if column == "count" else "left", no_wrap=True)
    for kind, counts in summary(done).items():
        for result, count in counts.most_common():
            table.add_row(kind, str(result), str(count))
    console.print(table)
    for trial in done:
        if trial.result in FALSE:
            console.out(
                f"{trial.kind} {trial.seed}: made {trial.made}; told {trial.told}", highlight=False
            )
