"""Trials of the explanations: faults injected into random problems, and whether they are named.

The explanation gets only the outputs that the reference computes with a fault, not the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.noise import noise_of
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.faults import (
    EditArithmetic,
    EditProblem,
    Fault,
    Injection,
    Mutant,
    PlacedFault,
    candidates,
    inject,
    run_all,
    run_one,
)
from rnnparity.problem.explanations import WHOLE, Cause, FaultId
from rnnparity.problem.findings import FindingType
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.tolerance import expect
from rnnparity.report.text.messages import fault_name
from rnnparity.session.processes import hidden_main, kill_pool, one_blas_thread, start_pool
from rnnparity.session.progress import Progress
from rnnparity.session.random_problems import random_problem


class TrialType(StrEnum):
    """What is injected."""

    SINGLE = "single"
    FLOAT16 = "float16"  # one fault in an implementation that computes in float16
    PAIR = "pair"
    UNLISTED = "unlisted"  # changed weights, which no fault of the list explains
    HEALTHY = "healthy"  # nothing


class Outcome(StrEnum):
    """How an explanation compares with what was injected."""

    NAMED = "named"
    EQUIVALENT = "a cause with the same outputs named"
    UNDETECTED = "not detectable"
    UNCERTAIN = "other cause, low confidence"
    UNEXPLAINED = "unexplained"
    MISSED = "missed"
    WRONG = "wrong cause"
    UNLISTED = "unlisted and unexplained"
    HEALTHY = "healthy and agrees"
    FALSE_ALARM = "healthy but explained"


# These send the user in the wrong direction.
MISLEADING = (Outcome.WRONG, Outcome.MISSED, Outcome.FALSE_ALARM)

# NumPy's float16 rounds after every operation, unlike the arithmetic of the listed fault.
IN_FLOAT16 = Fault(
    "low-precision", "NumPy's float16", "", "", EditArithmetic(PlainArithmetic(np.float16))
)


@dataclass(frozen=True)
class Trial:
    """What was injected into which problem, and the answer of the explanation.

    `type` is a TrialType, or the subject and how it ran.
    """

    type: str
    problem: str
    injected: tuple[FaultId, ...]
    verdict: Verdict
    cause: Cause | None
    outcome: Outcome

    @property
    def description(self) -> str:
        """One line for the user."""
        cause = self.cause or Cause()
        named = _names(cause.faults) if cause.explained else "unexplained"
        also = f" ({len(cause.also_fits)} more fit)" if cause.also_fits else ""
        injected = _names(self.injected) or "no listed fault"
        return (
            f"{self.type}, {self.problem}: injected {injected}; "
            f"reported {self.verdict}, {named}{also}"
        )


def _names(faults: Iterable[FaultId]) -> str:
    return " + ".join(fault_name(fault) for fault in faults)


def run_trials(
    type: TrialType, count: int, seed: int, jobs: int, progress: Progress | None = None
) -> list[Trial]:
    """Run `count` trials of one type, each with its own seed."""
    trials: list[Trial] = []
    seeds = range(seed * 1_000_000, seed * 1_000_000 + count)
    pool = start_pool(jobs)
    try:
        with hidden_main():
            running = pool.map(run_trial, [type] * count, seeds, chunksize=20)
        for trial in running:
            trials.append(trial)
            if progress is not None:
                progress(type, len(trials), count)
    finally:
        kill_pool(pool)
    return trials


def run_trial(type: TrialType, seed: int) -> Trial:
    """Draw a problem, inject a fault and compare its explanation with the fault."""
    rng = np.random.default_rng(seed)
    in_float16 = type is TrialType.FLOAT16
    with one_blas_thread():
        problem = draw_problem(rng, last_only=in_float16)
        while expect(problem).inconclusive:
            problem = draw_problem(rng, last_only=in_float16)
        problem = replace(problem, id=f"random-{seed}")
        if type is TrialType.HEALTHY:
            diagnosis = diagnose(problem.with_outputs(compute(problem, np.float32)))
            return trial_of(type, problem, (), diagnosis, _judge_healthy(diagnosis))
        if type is TrialType.UNLISTED:
            diagnosis = diagnose(problem.with_outputs(_outputs_of_changed_weights(problem, rng)))
            return trial_of(type, problem, (), diagnosis, _judge_unlisted(diagnosis))
        injection = _pair(problem, rng) if type is TrialType.PAIR else _single(problem, rng)
        mutant = _run(injection)
        diagnosis = diagnose(problem.with_outputs(_outputs(problem, injection, in_float16)))
        outcome = judge(problem, mutant, diagnosis, in_float16)
    return trial_of(type, problem, mutant.faults, diagnosis, outcome)


def trial_of(
    type: str,
    problem: Problem,
    injected: tuple[FaultId, ...],
    diagnosis: Diagnosis,
    outcome: Outcome,
) -> Trial:
    """Return the trial with the explanation's verdict and cause."""
    explanation = diagnosis.explanation
    return Trial(type, problem.id, injected, explanation.verdict, explanation.cause, outcome)


def draw_problem(rng: np.random.Generator, last_only: bool) -> Problem:
    """Draw any layer with any flags, mask and initial state; sizes to 9, weights of any scale.

    `last_only`: the layer returns only its last output.
    """
    sizes = [rng.integers(low, high) for low, high in ((1, 5), (2, 10), (2, 8))]
    batch, steps, features = map(int, sizes)
    flags = {"return_sequences": False, "return_state": False}
    if not last_only:
        flags = {name: bool(rng.random() < 0.5) for name in flags}
    form = rng.choice(["plain", "plain", "backwards", "two ways", "two ways", "stack"])
    if form == "stack":
        layers = [_draw_layer(rng, {"return_sequences": True}), _draw_layer(rng, flags)]
        config: dict[str, Any] = {"class_name": "Sequential", "config": {"layers": layers}}
    else:
        config = _draw_layer(rng, flags | {"go_backwards": form == "backwards"})
    if form == "two ways":
        mode = [None, "concat", "sum", "mul", "ave"][rng.integers(5)]
        config = {"class_name": "Bidirectional", "config": {"layer": config, "merge_mode": mode}}
    masked = bool(rng.random() < 0.4)
    with_initial_state = bool(rng.random() < 0.4)
    shape = (batch, steps, features)
    return random_problem(rng, parse_layer(config), shape, masked, with_initial_state, "random")


def _draw_layer(rng: np.random.Generator, flags: Mapping[str, bool]) -> dict[str, Any]:
    class_name = str(rng.choice(["SimpleRNN", "LSTM", "LSTM", "GRU", "GRU"]))
    config: dict[str, Any] = {"units": int(rng.integers(2, 9)), **flags}
    if class_name == "GRU":
        config["reset_after"] = bool(rng.random() < 0.5)
    return {"class_name": class_name, "config": config}


def _run(injection: Injection) -> Mutant:
    (batch,) = run_all([injection])
    return batch.mutant(0)


def _single(problem: Problem, rng: np.random.Generator) -> Injection:
    """Draw a cause, then one of its faults, so that causes with many variants are not preferred."""
    injections = candidates(problem)
    causes = sorted({injection.placed[0].fault.cause for injection in injections})
    while True:
        cause = str(rng.choice(causes))
        of_cause = [item for item in injections if item.placed[0].fault.cause == cause]
        injection = of_cause[rng.integers(len(of_cause))]
        if next(run_all([injection]), None) is not None:
            return injection


def _pair(problem: Problem, rng: np.random.Generator) -> Injection:
    """Draw two faults that keep the shapes, and of which neither hides the other."""
    expected = expect(problem)
    shapes = [tensor.shape for tensor in expected.outputs]
    while True:
        placed = [_single(problem, rng).placed[0] for _ in range(2)]
        placed.sort(key=lambda fault: not isinstance(fault.edit, EditProblem))
        injection = inject(problem, placed)
        batch = None if injection is None else next(run_all([injection]), None)
        if injection is None or batch is None:
            continue
        if placed[0].fault.cause == placed[1].fault.cause:
            continue
        # Low precision is noise beside a fault.
        if any(isinstance(fault.edit, EditArithmetic) for fault in placed):
            continue
        if [array[0].shape for array in batch.outputs] != shapes:
            continue
        singles = [run_one(problem, [fault]) for fault in placed]
        simpler = [expected.outputs, *(mutant.outputs for mutant in singles if mutant)]
        if all(differ(problem, batch.mutant(0).outputs, outputs) for outputs in simpler):
            return injection


def _outputs(problem: Problem, injection: Injection, in_float16: bool) -> tuple[Tensor, ...]:
    """Return the outputs with the faults in float32, or computed in float16."""
    if in_float16:
        placed = [*injection.placed, PlacedFault(IN_FLOAT16, WHOLE)]
        injection = inject(problem, placed) or injection
    return _in_float32(_run(injection).outputs)


def _in_float32(outputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
    return tuple(Tensor.of(tensor.name, tensor.data, "float32") for tensor in outputs)


def _outputs_of_changed_weights(problem: Problem, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Replace a tenth of the numbers of one weight array, which is no fault of the list."""
    index = int(rng.integers(len(problem.weights)))
    tensor = problem.weights[index]
    changed = rng.random(tensor.shape) < 0.1
    data = np.where(changed, rng.standard_normal(tensor.shape), tensor.data)
    weights = list(problem.weights)
    weights[index] = Tensor.of(tensor.name, data, tensor.dtype)
    return _in_float32(compute(replace(problem, weights=tuple(weights))))


def _judge_healthy(diagnosis: Diagnosis) -> Outcome:
    agrees = diagnosis.explanation.verdict is Verdict.AGREES
    return Outcome.HEALTHY if agrees else Outcome.FALSE_ALARM


def _judge_unlisted(diagnosis: Diagnosis) -> Outcome:
    cause = diagnosis.explanation.cause
    if diagnosis.explanation.verdict is Verdict.AGREES or cause is None:
        return Outcome.UNDETECTED
    if not cause.explained:
        return Outcome.UNLISTED
    return Outcome.WRONG if cause.unambiguous else Outcome.UNCERTAIN


def judge(problem: Problem, mutant: Mutant, diagnosis: Diagnosis, coarse: bool = False) -> Outcome:
    """Compare the explanation with the injected faults."""
    explanation = diagnosis.explanation
    cause = explanation.cause or Cause()
    same_cause = cause.explained and set(cause.names) == {fault.cause for fault in mutant.faults}
    found = {finding.type for finding in explanation.findings}
    only_coarse = coarse and (
        cause.names == ("low-precision",) or FindingType.COARSE_STORAGE in found
    )
    if not same_cause and (explanation.verdict is not Verdict.DIVERGES or only_coarse):
        detectable = differ(problem, mutant.outputs, expect(problem).outputs, coarse)
        return Outcome.MISSED if detectable else Outcome.UNDETECTED
    if not cause.explained:
        return Outcome.UNEXPLAINED
    if same_cause:
        return Outcome.NAMED
    if mutant.faults in cause.also_fits:
        return Outcome.EQUIVALENT
    if not differ(problem, mutant.outputs, diagnosis.fits[0].outputs, coarse):
        return Outcome.EQUIVALENT
    return Outcome.WRONG if cause.unambiguous else Outcome.UNCERTAIN


def differ(
    problem: Problem,
    outputs: Sequence[Tensor],
    other_outputs: Sequence[Tensor],
    coarse: bool = False,
) -> bool:
    """Return whether two sets of outputs differ by more than noise, with `coarse` of float16."""
    expected = expect(problem)
    shapes = [tensor.shape for tensor in outputs]
    if shapes != [tensor.shape for tensor in other_outputs]:
        return True
    arrays = [tensor.data for tensor in other_outputs]
    if shapes != [tensor.shape for tensor in expected.outputs]:
        pairs = zip(outputs, arrays, strict=True)
        rtol = 1e-2 if coarse else 1e-5
        return not all(np.allclose(tensor.data, array, rtol=rtol) for tensor, array in pairs)
    evidence = Evidence(problem, tuple(outputs), expected)
    noise = evidence.noise
    if coarse:
        noise = noise_of(problem, evidence.expected_arrays, "float16", roughly=True) or noise
    return any(
        bool((sigmas > noise.threshold).any()) for sigmas in evidence.distances(arrays, noise)
    )


def count_outcomes(trials: Iterable[Trial]) -> dict[str, Counter[Outcome]]:
    """Return how often each type of trial had which outcome."""
    counts: dict[str, Counter[Outcome]] = {}
    for trial in trials:
        counts.setdefault(trial.type, Counter())[trial.outcome] += 1
    return counts


def print_trials(trials: Sequence[Trial], console: Console) -> None:
    """Print the outcomes of each type of trial, then the misleading trials."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("trial", "outcome", "count"):
        table.add_column(column, justify="right" if column == "count" else "left", no_wrap=True)
    for trial_type, counts in count_outcomes(trials).items():
        for outcome, count in counts.most_common():
            table.add_row(trial_type, str(outcome), str(count))
    console.print(table)
    for trial in trials:
        if trial.outcome in MISLEADING:
            console.out(f"{trial.outcome}: {trial.description}", highlight=False)
