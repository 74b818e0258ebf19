"""The trial on real engines: every fault of the list that an engine can carry, made on purpose, and whether it is named.

Each fault is tried on problems of its own: random ones and those of the catalogue in turn, in a random order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import get_context

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.explain import explain
from rnnparity.faults import FAULTS, hypotheses
from rnnparity.faults.strike import Struck, run_all
from rnnparity.port import carry
from rnnparity.problem import Problem
from rnnparity.runner import Progress, one_blas_thread
from rnnparity.subjects import Subject, Unsupported, make_subject
from rnnparity.tolerance import expect
from rnnparity.trial import FALSE, Result, Trial, draw_problem, judge, said
from rnnparity.workers import end_now, main_unseen, prepare_worker

# An engine that has refused a fault so many times, and never carried it, is not asked again.
REFUSED = 60


@dataclass
class Carry:
    """One fault of the list on one engine: its trials, and why the engine refused others, how often."""

    cause: str
    which: str
    trials: list[Trial] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def carried_trials(subject: str, count: int, seed: int, jobs: int, progress: Progress | None = None) -> list[Carry]:
    """So many trials of every fault of the list, as far as the subject can carry it.

    Raises:
        RequestError: the subject is unknown, or its framework missing or too old.
    """
    found: dict[int, Carry] = {}
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=prepare_worker)
    try:
        with main_unseen():
            running = {pool.submit(carry_fault, subject, place, count, seed): place for place in range(len(FAULTS))}
        for done in as_completed(running):
            found[running[done]] = done.result()
            if progress is not None:
                progress(f"faults in {subject}", len(found), len(FAULTS))
    finally:
        end_now(pool)
    return [found[place] for place in sorted(found)]


_subject = cache(make_subject)


def carry_fault(subject: str, place: int, count: int, seed: int) -> Carry:
    """The trials of the fault in that place of the list."""
    rng = np.random.default_rng((seed, place))
    fault = FAULTS[place]
    done = Carry(fault.cause, fault.which)
    engine = _subject(subject)
    with one_blas_thread():
        for problem in _problems(rng):
            made = hypotheses(problem, [fault])
            if not made:
                continue
            try:
                tried = _trial(engine, subject, problem, made[rng.integers(len(made))])
            except Unsupported as reason:
                done.refused[str(reason)] += 1
                tried = None
            done.trials += filter(None, [tried])
            refusals = 0 if done.trials else done.refused.total()
            if len(done.trials) == count or refusals == REFUSED:
                break
    return done


def _problems(rng: np.random.Generator) -> Iterator[Problem]:
    """Cases of the catalogue whose weights are not constant, which would hide most, and random problems."""
    cases = [case for case in catalogue().values() if not (case.case and case.case.initializers)]
    for place in rng.permutation(len(cases)):
        seed = int(rng.integers(2**31))
        yield replace(draw_problem(np.random.default_rng(seed), last_only=False), id=f"random-{seed}")
        yield replace(cases[place], case=None)


def _trial(engine: Subject, name: str, problem: Problem, struck: Struck) -> Trial | None:
    """One trial, or None where the fault does not fit or the problem is inconclusive."""
    made = next((batch.mutant(0) for batch in run_all([struck])), None)
    given = None if made is None else carry(engine, struck)
    if made is None or given is None or expect(problem).inconclusive:
        return None
    told = explain(problem.with_outputs(given.outputs))
    return Trial(
        f"{name} {given.way}", 0, f"{made.name} in {problem.id}", said(told), judge(problem, made, told)
    )


def lines(found: Sequence[Carry]) -> Iterator[str]:
    """What is to be said beside the table: how many faults were carried, the share named, which never, what was not named."""
    trials = [trial for one in found for trial in one.trials]
    seen = [trial for trial in trials if trial.result is not Result.UNSEEN]
    named = sum(trial.result is Result.NAMED for trial in seen)
    carried = [one for one in found if one.trials]
    yield (
        f"{len(carried)} of {len(found)} faults carried, {min((len(c.trials) for c in carried), default=0)} to "
        f"{max((len(c.trials) for c in carried), default=0)} trials each; cause named in {named} of {len(seen)} that could be "
        f"seen ({100 * named / max(len(seen), 1):.1f} %)"
    )
    for reason, names in _never(found).items():
        yield f"never carried: {reason} ({len(names)}): {', '.join(names)}"
    for trial in seen:
        if trial.result not in (Result.NAMED, *FALSE):
            yield f"{trial.result}: {trial.kind}: made {trial.made}; told {trial.told}"


def _never(found: Sequence[Carry]) -> dict[str, list[str]]:
    """The faults that were never carried, by the commonest reason."""
    never: dict[str, list[str]] = {}
    for one in found:
        if not one.trials:
            reason = one.refused.most_common(1)[0][0] if one.refused else "fits none of these problems"
            never.setdefault(reason, []).append(f"{one.cause}: {one.which}")
    return never
