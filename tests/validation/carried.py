"""The trial on real engines: every fault of the list that an engine can carry, made on purpose: is
it named?

Each fault is tried on problems of its own: random ones and those of the catalogue in turn, in a
random order.
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
from rnnparity.session.subject_run import Progress
from rnnparity.subjects import make_subject
from validation.port import Carried, carry
from validation.trial import FALSE, Result, Trial, draw_problem, judge, said

# An engine that has refused a fault so many times, and never carried it, is not asked again.
REFUSED = 60


@dataclass
class Carry:
    """One fault of the list on one engine: its trials, and why the engine could not carry others,
    how often."""

    cause: str
    which: str
    trials: list[Trial] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


def carried_trials(
    subject: str, count: int, seed: int, jobs: int, progress: Progress | None = None
) -> list[Carry]:
    """So many trials of every fault of the list, as far as the subject can carry it.

    Raises:
        RequestError: the subject is unknown, its framework missing or too old, its process died, or
        it carries nothing.
    """
    found: dict[int, Carry] = {}
    pool = start_pool(jobs)
    try:
        with hidden_main():
            running = {
                pool.submit(carry_fault, subject, place, count, seed): place
                for place in range(len(FAULTS))
            }
        for done in as_completed(running):
            found[running[done]] = done.result()
            if progress is not None:
                progress(f"faults in {subject}", len(found), len(FAULTS))
    except BrokenProcessPool:
        raise RequestError(
            f"subject {subject!r}: its process died; `rnnparity check {subject}` says where"
        ) from None
    finally:
        kill_pool(pool)
    if not any(one.trials for one in found.values()):
        raise RequestError(
            f"subject {subject!r}: carries none of the faults: {', '.join(_never(list(found.values())))}"
        )
    return [found[place] for place in sorted(found)]


_subject = cache(make_subject)


def carry_fault(subject: str, place: int, count: int, seed: int) -> Carry:
    """The trials of the fault in that place of the list, each on a problem of its own."""
    rng = np.random.default_rng((seed, place))
    engine, done = _subject(subject), Carry(FAULTS[place].cause, FAULTS[place].variant)
    with one_blas_thread():
        for problem in _problems(rng):
            chosen = _made(problem, FAULTS[place], rng)
            if chosen is None:
                continue
            struck, made = chosen
            given = _carry(engine, struck, done)
            if given is not None and not expect(problem).inconclusive:
                done.trials.append(_trial(subject, problem, made, given))
            refusals = 0 if done.trials else done.refused.total() + done.failed.total()
            if len(done.trials) == count or refusals == REFUSED:
                break
    return done


def _problems(rng: np.random.Generator) -> Iterator[Problem]:
    """Random problems, and cases of the catalogue whose weights are not constant, which would hide
    most."""
    cases = [case for case in catalogue().values() if not (case.case and case.case.initializers)]
    for place in rng.permutation(len(cases)):
        seed = int(rng.integers(2**31))
        yield replace(
            draw_problem(np.random.default_rng(seed), last_only=False), id=f"random-{seed}"
        )
        yield replace(cases[place], case=None)


def _made(
    problem: Problem, fault: Fault, rng: np.random.Generator
) -> tuple[Injection, Mutant] | None:
    """The fault in one of the places where it may fit, and what it gives there, if it does."""
    made = candidates(problem, [fault])
    chosen = [made[rng.integers(len(made))]] if made else []
    return next(((batch.injections[0], batch.mutant(0)) for batch in run_all(chosen)), None)


def _carry(engine: Subject, struck: Injection, done: Carry) -> Carried | None:
    try:
        return carry(engine, struck)
    except Unsupported as reason:
        done.refused[str(reason)] += 1
    except (
        Exception,
        SystemExit,
    ) as error:  # a subject may fail in any way; one failure ends no run
        done.failed[error_line(error)] += 1
    return None


def _trial(subject: str, problem: Problem, made: Mutant, given: Carried) -> Trial:
    """What is said of the outputs given."""
    told = diagnose(problem.with_outputs(given.outputs))
    made_in = f"{made.name} in {problem.id}"
    return Trial(f"{subject} {given.way}", 0, made_in, said(told), judge(problem, made, told))


def lines(found: Sequence[Carry]) -> Iterator[str]:
    """What is to be said beside the table: each cause, what was never carried, what was not named,
    and the share."""
    trials = [trial for one in found for trial in one.trials]
    for cause in dict.fromkeys(one.cause for one in found):
        own = [one for one in found if one.cause == cause]
        yield f"{cause}: {sum(bool(one.trials) for one in own)} of {len(own)} faults carried, {_named(own)}"
    for reason, names in _never(found).items():
        yield f"never carried: {reason} ({len(names)}): {', '.join(names)}"
    for error, count in sum((one.failed for one in found), Counter[str]()).most_common():
        yield f"failed: {error} ({count})"
    for trial in trials:
        if trial.result not in (Result.NAMED, Result.UNSEEN, *FALSE):
            yield f"{trial.result}: {trial.kind}: made {trial.made}; told {trial.told}"
    yield f"{sum(bool(one.trials) for one in found)} of {len(found)} faults carried, {_named(found)}"


def _named(found: Sequence[Carry]) -> str:
    trials = [trial for one in found for trial in one.trials]
    seen = [trial for trial in trials if trial.result is not Result.UNSEEN]
    named = sum(trial.result is Result.NAMED for trial in seen)
    share = f" ({100 * named / len(seen):.1f} %)" if seen else ""
    return f"{len(trials)} trials, cause named in {named} of {len(seen)} that could be seen{share}"


def _never(found: Sequence[Carry]) -> dict[str, list[str]]:
    """The faults that were never carried, by the commonest reason."""
    never: dict[str, list[str]] = {}
    for one in found:
        if not one.trials:
            reasons = (one.refused + one.failed).most_common(1)
            reason = reasons[0][0] if reasons else "fits none of these problems"
            never.setdefault(reason, []).append(f"{one.cause}: {one.variant}")
    return never
