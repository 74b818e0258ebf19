"""Trials on real engines: every fault that a port around an engine can have, injected and explained.

Each fault is injected into random problems and into cases of the catalogue by turns, in a random
order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.faults import FAULTS, Fault, Injection, Mutant, candidates, run_all
from rnnparity.problem.answer import Subject, Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.reference.tolerance import expect
from rnnparity.session.outcome import error_line
from rnnparity.session.processes import hidden_main, kill_pool, one_blas_thread, start_pool
from rnnparity.session.progress import Progress
from rnnparity.subjects import make_subject
from validation.port import PortAnswer, run_port
from validation.trial import MISLEADING, Outcome, Trial, draw_problem, judge, trial_of

# A fault is given up after so many refusals by an engine that has never run it.
MAX_REFUSALS = 60


@dataclass
class FaultTrials:
    """The trials of one fault on one engine, and how often the port could not run, by reason."""

    cause: str
    variant: str
    trials: list[Trial] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


def run_port_trials(
    subject: str, count: int, seed: int, jobs: int, progress: Progress | None = None
) -> list[FaultTrials]:
    """Run `count` trials of every fault of the list that a port around the subject can have.

    Raises:
        RequestError: the subject is unknown, its framework is missing or too old, its process died,
            or it ran with none of the faults.
    """
    by_index: dict[int, FaultTrials] = {}
    pool = start_pool(jobs)
    try:
        with hidden_main():
            running = {
                pool.submit(run_fault_trials, subject, index, count, seed): index
                for index in range(len(FAULTS))
            }
        for done in as_completed(running):
            by_index[running[done]] = done.result()
            if progress is not None:
                progress(f"faults in {subject}", len(by_index), len(FAULTS))
    except BrokenProcessPool:
        raise RequestError(
            f"subject {subject!r}: its process died; run `rnnparity check {subject}`"
        ) from None
    finally:
        kill_pool(pool)
    results = [by_index[index] for index in sorted(by_index)]
    if not any(result.trials for result in results):
        reasons = ", ".join(_never_run(results))
        raise RequestError(f"subject {subject!r}: ran with none of the faults: {reasons}")
    return results


_subject = cache(make_subject)


def run_fault_trials(subject: str, index: int, count: int, seed: int) -> FaultTrials:
    """Run the trials of the fault with that index in the list, each on another problem."""
    rng = np.random.default_rng((seed, index))
    fault, engine = FAULTS[index], _subject(subject)
    result = FaultTrials(fault.cause, fault.variant)
    with one_blas_thread():
        for problem in _problems(rng):
            drawn = _draw_injection(problem, fault, rng)
            if drawn is None:
                continue
            injection, mutant = drawn
            answer = _ask(engine, injection, result)
            if answer is not None and not expect(problem).inconclusive:
                result.trials.append(_trial(subject, problem, mutant, answer))
            refusals = result.refused.total() + result.failed.total()
            given_up = not result.trials and refusals == MAX_REFUSALS
            if len(result.trials) == count or given_up:
                break
    return result


def _problems(rng: np.random.Generator) -> Iterator[Problem]:
    """Yield random problems and cases by turns, without constant weights, which detect little."""
    cases = [case for case in catalogue().values() if not (case.case and case.case.initializers)]
    for index in rng.permutation(len(cases)):
        seed = int(rng.integers(2**31))
        problem = draw_problem(np.random.default_rng(seed), last_only=False)
        yield replace(problem, id=f"random-{seed}")
        yield replace(cases[index], case=None)


def _draw_injection(
    problem: Problem, fault: Fault, rng: np.random.Generator
) -> tuple[Injection, Mutant] | None:
    """Draw one of the fault's locations and run the reference, None where it does not apply."""
    injections = candidates(problem, [fault])
    drawn = [injections[rng.integers(len(injections))]] if injections else []
    batch = next(run_all(drawn), None)
    return None if batch is None else (batch.injections[0], batch.mutant(0))


def _ask(engine: Subject, injection: Injection, result: FaultTrials) -> PortAnswer | None:
    try:
        return run_port(engine, injection)
    except Unsupported as reason:
        result.refused[str(reason)] += 1
    # A subject may fail in any way; a failure must not stop the trials.
    except (Exception, SystemExit) as error:
        result.failed[error_line(error)] += 1
    return None


def _trial(subject: str, problem: Problem, mutant: Mutant, answer: PortAnswer) -> Trial:
    diagnosis = diagnose(problem.with_outputs(answer.outputs))
    outcome = judge(problem, mutant, diagnosis)
    return trial_of(f"{subject} {answer.method}", problem, mutant.faults, diagnosis, outcome)


def summary_lines(results: Sequence[FaultTrials]) -> Iterator[str]:
    """Yield a line for each cause, each reason not to run, each fault not named, and the total."""
    for cause in dict.fromkeys(result.cause for result in results):
        yield f"{cause}: {_counts([result for result in results if result.cause == cause])}"
    for reason, names in _never_run(results).items():
        yield f"not run: {reason} ({len(names)}): {', '.join(names)}"
    failed = sum((result.failed for result in results), Counter[str]())
    for error, count in failed.most_common():
        yield f"failed: {error} ({count})"
    for trial in _trials(results):
        if trial.outcome not in (Outcome.NAMED, Outcome.UNDETECTED, *MISLEADING):
            yield f"{trial.outcome}: {trial.description}"
    yield _counts(results)


def _trials(results: Sequence[FaultTrials]) -> list[Trial]:
    return [trial for result in results for trial in result.trials]


def _counts(results: Sequence[FaultTrials]) -> str:
    trials = _trials(results)
    run = sum(bool(result.trials) for result in results)
    detectable = [trial for trial in trials if trial.outcome is not Outcome.UNDETECTED]
    named = sum(trial.outcome is Outcome.NAMED for trial in detectable)
    share = f" ({100 * named / len(detectable):.1f} %)" if detectable else ""
    return (
        f"{run} of {len(results)} faults run, {len(trials)} trials, "
        f"cause named in {named} of {len(detectable)} detectable{share}"
    )


def _never_run(results: Sequence[FaultTrials]) -> dict[str, list[str]]:
    """Return the faults that never ran, by the most common reason."""
    by_reason: dict[str, list[str]] = {}
    for result in results:
        if not result.trials:
            reasons = (result.refused + result.failed).most_common(1)
            reason = reasons[0][0] if reasons else "applies to none of these problems"
            by_reason.setdefault(reason, []).append(f"{result.cause}: {result.variant}")
    return by_reason
