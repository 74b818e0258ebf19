"""Trials: random changes off the list, what the explanation finds, and healthy runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.noise import numbers_in_type
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.faults import run_one
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import PATTERNS, Finding
from rnnparity.problem.layers import Bidirectional, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.tolerance import expect
from rnnparity.report.explanation_json import cause_json
from rnnparity.report.text.findings import finding_text
from rnnparity.session.ask import explain_subject
from rnnparity.session.processes import hidden_main, kill_pool, one_blas_thread, start_pool
from rnnparity.session.progress import Progress
from validation.off_list.cells import run
from validation.off_list.changes import Change, ChangedImplementation
from validation.off_list.draw import draw_change, draw_problem
from validation.off_list.judge import Outcome, differ, judge

T = TypeVar("T")
# Of healthy runs that agree one in so many is explained.
EXPLAINED = 50
CORRECT = {Outcome.NAMED, Outcome.BESIDE, Outcome.CAUSE}


@dataclass(frozen=True)
class Trial:
    """A change of a random problem, what was found, and the number of calls of the subject."""

    seed: int
    problem: str
    visible: bool
    change: Change
    cause: str
    findings: tuple[Finding, ...]
    outcome: Outcome
    calls: int = 0

    @property
    def description(self) -> str:
        """One line for the user."""
        found = "; ".join(
            f"{finding_text(finding)}{'' if finding.certain else ' (uncertain)'}"
            for finding in self.findings
        )
        return (
            f"seed {self.seed}, {self.problem}: changed {self.change.description}; "
            f"cause {self.cause or 'none'}; found {found or 'nothing'}"
        )


class Counted:
    """An implementation that counts how often it is called."""

    def __init__(self, function: Callable[[Problem], list[Array]]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, problem: Problem) -> list[Array]:
        self.calls += 1
        return self.function(problem)


def with_arrays(problem: Problem, arrays: Iterable[Array]) -> Problem:
    """Return the problem with these outputs."""
    slots = problem.output_slots()
    pairs = zip(slots, arrays, strict=True)
    return problem.with_outputs([Tensor(slot.name, array) for slot, array in pairs])


def run_trial(by_experiment: bool, seed: int, *, float16: bool = False) -> Trial:
    """Draw a problem and a change, and compare what is found with it.

    With `float16` the implementation computes in that type what is declared as float32.
    """
    rng = np.random.default_rng(seed)
    with one_blas_thread(), np.errstate(over="ignore"):  # of float16 in activations
        problem = draw_problem(rng, f"off-list-{seed}")
        change = draw_change(rng, problem)
        changed = ChangedImplementation(change)
        implementation = Counted(partial(in_float16, changed) if float16 else changed)
        actual = implementation(problem)
        if by_experiment:
            implementation.calls = 0
            diagnosis = explain_subject(problem, implementation)
        else:
            diagnosis = diagnose(with_arrays(problem, actual))
        explanation = diagnosis.explanation
        judged = numbers_in_type(problem, "float16") if float16 else problem
        outcome = judge(explanation, change, judged, actual)
        if float16 and not differ(judged, actual, run(judged)):
            outcome = Outcome.UNDETECTED  # or low precision was named
        if outcome is Outcome.CAUSE and not _holds_elsewhere(diagnosis, change, problem, rng):
            certain = explanation.cause is not None and explanation.cause.unambiguous
            outcome = Outcome.WRONG if certain else Outcome.NOTHING
    return Trial(
        seed,
        repr(problem),
        _is_visible(problem, change),
        change,
        cause_json(explanation.cause) or "",
        explanation.findings,
        outcome,
        implementation.calls,
    )


def _is_visible(problem: Problem, change: Change) -> bool:
    """Return whether the outputs of the changed half are among those that are returned."""
    layer = problem.layer
    if isinstance(layer, Stack):
        return change.half in ("", "1/")
    merged = isinstance(layer, Bidirectional) and layer.merge_mode not in ("concat", None)
    return not (merged and change.half)


def _holds_elsewhere(
    diagnosis: Diagnosis, change: Change, problem: Problem, rng: np.random.Generator
) -> bool:
    """Return whether one of the causes that fit gives the outputs of the change on other inputs.

    They are compared in float64 too: an implementation in float32 may be far off where the fault
    makes the layer magnify every rounding.
    """
    inputs = rng.standard_normal(problem.inputs.shape).astype(np.float32)
    fresh = replace(problem, inputs=Tensor("inputs", inputs))
    actual = ChangedImplementation(change)(fresh)
    exact = ChangedImplementation(change)(with_numbers_in(fresh, np.float64))
    for fit in diagnosis.fits:
        mutant = run_one(fresh, fit.placed)
        if mutant is None:
            continue
        if [tensor.shape for tensor in mutant.outputs] != [array.shape for array in actual]:
            continue
        outputs = [tensor.data for tensor in mutant.outputs]
        if not differ(fresh, actual, outputs) or all_near(actual, outputs):
            return True
        if all_near(exact, outputs):
            return True
    return False


def in_float16(implementation: Callable[[Problem], list[Array]], problem: Problem) -> list[Array]:
    """Return the outputs of an implementation that computes in float16."""
    outputs = implementation(with_numbers_in(problem, np.float16))
    return [array.astype(np.float32) for array in outputs]


def with_numbers_in(problem: Problem, dtype: type[np.floating[Any]]) -> Problem:
    """Return a problem whose numbers have the type that the cells then compute in."""

    def converted(tensor: Tensor) -> Tensor:
        return Tensor(tensor.name, tensor.data.astype(dtype))

    states = problem.initial_state
    return replace(
        problem,
        inputs=converted(problem.inputs),
        weights=tuple(map(converted, problem.weights)),
        initial_state=None if states is None else tuple(map(converted, states)),
    )


def all_near(actual: Sequence[Array], outputs: Sequence[Array]) -> bool:
    """Return whether arrays agree; the noise belongs to the places where values are expected.

    That of small values may come from large ones.
    """
    return all(
        np.allclose(array, values, rtol=1e-4, atol=1e-6 * max(1.0, float(np.abs(values).max())))
        for array, values in zip(actual, outputs, strict=True)
    )


def run_healthy(seed: int) -> tuple[int, str]:
    """Explain the outputs of unchanged cells; return the seed and what was found, "" if nothing.

    The search begins where an output differs: of those that agree only a part is explained, which
    takes long because of the faults that would have been detected.
    """
    with one_blas_thread():
        problem = draw_problem(np.random.default_rng(seed), f"off-list-{seed}")
        problem = with_arrays(problem, run(problem))
        evidence = Evidence(problem, problem.outputs or (), expect(problem))
        if seed % EXPLAINED and not any(part.any() for part in evidence.differing):
            return seed, ""
        explanation = diagnose(problem).explanation
    found = [str(f.type) for f in explanation.findings if f.type not in PATTERNS]
    if explanation.verdict is not Verdict.AGREES:
        found.append(explanation.verdict)
    return seed, ", ".join(found)


def run_many(
    function: Callable[[int], T],
    count: int,
    seed: int,
    jobs: int,
    progress: Progress | None = None,
) -> list[T]:
    """Run `function` on `count` seeds, in `jobs` processes."""
    results: list[T] = []
    pool = start_pool(jobs)
    try:
        with hidden_main():
            running = pool.map(function, range(seed * 1_000_000, seed * 1_000_000 + count))
        for result in running:
            results.append(result)
            if progress is not None:
                progress("off the list", len(results), count)
    finally:
        kill_pool(pool)
    return results


def run_trials(
    by_experiment: bool,
    count: int,
    seed: int,
    jobs: int,
    progress: Progress | None = None,
    *,
    float16: bool = False,
) -> list[Trial]:
    """Run `count` trials, each with its own seed."""
    one = partial(run_trial, by_experiment, float16=float16)
    return run_many(one, count, seed, jobs, progress)


def share(trials: Sequence[Trial]) -> float:
    """Return the share of the detectable changes that were named."""
    detectable = [trial for trial in trials if trial.outcome is not Outcome.UNDETECTED]
    correct = sum(trial.outcome in CORRECT for trial in detectable)
    return correct / len(detectable) if detectable else 1.0


def print_trials(trials: Sequence[Trial], console: Console) -> None:
    """Print the outcomes of each kind of change, the shares, and what was not named."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("changed")
    for outcome in Outcome:
        table.add_column(outcome, justify="right")
    by_kind: dict[str, Counter[Outcome]] = {}
    for trial in sorted(trials, key=lambda trial: trial.change.kind):
        for kind in (trial.change.kind, "all"):
            by_kind.setdefault(kind, Counter())[trial.outcome] += 1
    by_kind["all"] = by_kind.pop("all")
    for kind, counts in by_kind.items():
        table.add_row(kind, *(str(counts[outcome] or "") for outcome in Outcome))
    console.print(table)
    visible = [trial for trial in trials if trial.visible]
    console.print(f"correct: {share(trials):.1%} of the detectable changes")
    console.print(f"correct where the half's outputs are returned: {share(visible):.1%}")
    console.print(f"most calls: {max(trial.calls for trial in trials)}")
    for trial in trials:
        if trial.outcome not in CORRECT | {Outcome.UNDETECTED}:
            console.out(f"{trial.outcome}: {trial.description}", highlight=False)
