"""Mutation: which faults a problem, and a set of problems, detect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from rnnparity.faults.backward_run import BACKWARD_FAULTS, backward_mutants
from rnnparity.faults.fault import Fault, Mutant
from rnnparity.faults.injection import Injection, placements
from rnnparity.faults.listed import FAULTS
from rnnparity.faults.run import run_all
from rnnparity.faults.training import TRAINING_FAULTS, training_mutants
from rnnparity.problem.dtypes import FloatType
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.problem import Problem
from rnnparity.reference.gradients.tolerance import expect_gradients, expect_training_step
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.compare import compare_values

# A fault is tried on so many problems to which it applies: what none of them detects, others hardly
# do.
TRIES = 10
_ByFault: TypeAlias = Iterable[tuple[Fault, Iterable[Mutant]]]


@dataclass(frozen=True)
class FaultCoverage:
    """The mutants of a problem, by whether its outputs, or its gradients, detect them."""

    detected: tuple[FaultId, ...]
    undetected: tuple[FaultId, ...]


def candidates(problem: Problem, faults: Iterable[Fault] = FAULTS) -> list[Injection]:
    """Return every fault of the outputs at every location where it may apply, not yet run.

    A training step is left out: its targets are those of one layer only.
    """
    start = Injection(replace(problem, training_step=None))
    injections = []
    for fault in faults:
        for placed in placements(problem, fault):
            injection = start.with_fault(placed)
            if injection is not None:
                injections.append(injection)
    return injections


def mutants(problem: Problem, faults: Iterable[Fault] = FAULTS) -> list[Mutant]:
    """Return the mutants of the problem for every fault at every location where it applies."""
    injections = candidates(problem, faults)
    order = {id(injection): index for index, injection in enumerate(injections)}
    by_index: dict[int, Mutant] = {}
    for batch in run_all(injections):
        for index, injection in enumerate(batch.injections):
            by_index[order[id(injection)]] = batch.mutant(index)
    return [by_index[index] for index in sorted(by_index)]


def mutate(problem: Problem, fault: Fault) -> list[Mutant]:
    """Return the mutants of the problem for one fault."""
    return mutants(problem, [fault])


def faults_of(problem: Problem) -> tuple[Fault, ...]:
    """Return the faults that the answer to a problem may have: outputs, or a training step."""
    return FAULTS if problem.training_step is None else TRAINING_FAULTS


def fault_coverage(
    problem: Problem, expected: Expected | None = None, faults: Iterable[Fault] | None = None
) -> FaultCoverage:
    """Return which mutants of the problem its outputs, or its training step, detect."""
    faults = faults_of(problem) if faults is None else faults
    if problem.training_step is not None:
        expected = expected or expect_training_step(problem)
        return _coverage(training_mutants(problem, faults), expected)
    return _coverage(mutants(problem, faults), expected or expect(problem))


def gradient_coverage(
    problem: Problem, expected: Expected | None = None, faults: Iterable[Fault] = BACKWARD_FAULTS
) -> FaultCoverage:
    """Return which mutants of the backward pass the gradients of the problem detect.

    Raises:
        RequestError: the problem has no cotangents.
    """
    return _coverage(backward_mutants(problem, faults), expected or expect_gradients(problem))


def _coverage(mutants: Iterable[Mutant], expected: Expected) -> FaultCoverage:
    detected: list[FaultId] = []
    undetected: list[FaultId] = []
    for mutant in mutants:
        found = detected if is_detected(mutant, expected) else undetected
        found += mutant.faults
    return FaultCoverage(tuple(detected), tuple(undetected))


def detecting_cases(
    problems: Iterable[Problem], precisions: Mapping[str, FloatType] | None = None
) -> dict[Fault, str]:
    """Return the faults that apply to any problem, each with the id of a problem that detects it.

    The id is "" if none does. A fault is tried on the first TRIES problems to which it applies;
    those with constant weights, which detect the fewest faults, come last. `precisions` has, by id,
    what was declared by the engines that were compared on a problem. Problems with a training step
    detect the faults of that.
    """
    declared = precisions or {}

    def by_fault(problem: Problem, faults: Iterable[Fault]) -> _ByFault:
        return ((fault, mutate(problem, fault)) for fault in faults)

    def steps_by_fault(problem: Problem, faults: Iterable[Fault]) -> _ByFault:
        return groupby(training_mutants(problem, faults), lambda mutant: mutant.fault)

    def expect_outputs(problem: Problem) -> Expected:
        return expect(problem, precision=declared.get(problem.id))

    def expect_step(problem: Problem) -> Expected:
        return expect_training_step(problem, declared.get(problem.id))

    problems = list(problems)
    forward = [problem for problem in problems if problem.training_step is None]
    steps = [problem for problem in problems if problem.training_step is not None]
    return _detecting(forward, FAULTS, by_fault, expect_outputs) | _detecting(
        steps, TRAINING_FAULTS, steps_by_fault, expect_step
    )


def gradient_detecting_cases(
    problems: Iterable[Problem], precisions: Mapping[str, FloatType] | None = None
) -> dict[Fault, str]:
    """Return the faults of the backward pass that apply to any problem with cotangents.

    Each has the id of a problem that detects it, as in `detecting_cases`.
    """

    def by_fault(problem: Problem, faults: Iterable[Fault]) -> _ByFault:
        # They come in the order of the faults, from one run of the problem without a fault.
        return groupby(backward_mutants(problem, faults), lambda mutant: mutant.fault)

    def expect_answer(problem: Problem) -> Expected:
        return expect_gradients(problem, (precisions or {}).get(problem.id))

    return _detecting(problems, BACKWARD_FAULTS, by_fault, expect_answer)


def _detecting(
    problems: Iterable[Problem],
    faults: Iterable[Fault],
    mutants_by_fault: Callable[[Problem, Sequence[Fault]], _ByFault],
    expect_problem: Callable[[Problem], Expected],
) -> dict[Fault, str]:
    cases: dict[Fault, str] = {}
    tries = dict.fromkeys(faults, TRIES)
    for problem in sorted(problems, key=_has_constant_weights):
        expected: Expected | None = None
        for fault, of_fault in mutants_by_fault(problem, list(tries)):
            mutants_of_fault = list(of_fault)
            if not mutants_of_fault:
                continue
            expected = expected or expect_problem(problem)
            detected = _detects_any(mutants_of_fault, expected)
            cases[fault] = problem.id if detected else ""
            tries[fault] -= 1
            if detected or not tries[fault]:
                del tries[fault]
        if not tries:
            break
    return cases


def _has_constant_weights(problem: Problem) -> bool:
    return problem.case is not None and bool(problem.case.initializers)


def _detects_any(mutants: Sequence[Mutant], expected: Expected) -> bool:
    return any(is_detected(mutant, expected) for mutant in mutants)


def is_detected(mutant: Mutant, expected: Expected) -> bool:
    """Return whether an implementation with this fault would diverge."""
    if expected.inconclusive:
        return False
    if [tensor.shape for tensor in mutant.outputs] != [tensor.shape for tensor in expected.outputs]:
        return True
    comparison = compare_values(
        mutant.outputs, expected.outputs, expected.sigmas, expected.dtype.threshold
    )
    return bool(comparison.differences)
