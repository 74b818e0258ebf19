"""Fuzzing: verdicts on random healthy problems, and on some with slightly changed weights.

No healthy problem may diverge, and the changes must be detected. The thresholds are fixed before
the problems are drawn. For comparison, fixed tolerances in use elsewhere judge the same outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from rnnparity import __version__
from rnnparity.problem.dtypes import (
    FLOAT_TYPES,
    Array,
    FloatType,
    arithmetic_type,
    declared_precision,
)
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import FAILING, CaseResult, Verdict
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.outcome import Outcome
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.random_problems import DRAWS, problems_of_seed
from rnnparity.session.session import Session, SubjectLike, open_session
from rnnparity.session.subject_run import Progress, report_progress
from rnnparity.session.workers import TIMEOUT_S

# So many seeds are drawn at a time: their problems are in memory.
BATCH = 24
# Of so many problems of a seed the weights are changed besides.
CHANGED_DRAWS = 2
# A weight array is changed by a relative amount: all of it alike, or each element up or down.
CHANGES = ("scaled", "signs")
# Of so many problems that fail the smallest one is searched.
SMALLEST = 3
# A larger distance in sigma, also an infinite one, is recorded as this one.
FARTHEST = 1e15

# Fixed tolerances in use elsewhere, as (rtol, atol): NumPy's allclose, PyTorch's assert_close for
# float32, ONNX's backend test runner.
FIXED = {"np.allclose": (1e-5, 1e-8), "torch": (1.3e-6, 1e-5), "onnx": (1e-3, 1e-7)}


@dataclass(frozen=True)
class Record:
    """One verdict, by the threshold of `dtype`.

    `change` is "" for a healthy problem, else how its weights were changed. `id` is that of the
    healthy problem. `rejected_by` names the fixed tolerances that reject the outputs, `reason` is
    that of an error.
    """

    id: str
    dtype: str
    verdict: Verdict
    sigma: float
    change: str = ""
    rejected_by: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class FuzzRun:
    """All records of a subject; `seeds` are the first and the last that there were to draw.

    `interrupted`: Ctrl-C ended it.
    """

    subject: str
    versions: Mapping[str, str]
    seeds: tuple[int, int]
    records: tuple[Record, ...]
    date: str = ""
    rnnparity: str = ""
    interrupted: bool = False


def fuzz(
    subject: SubjectLike,
    seeds: range,
    limit: int | None = None,
    jobs: int = 1,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    precision: str = "",
) -> FuzzRun:
    """Ask a subject all problems of the seeds, or `limit` of them besides those with changes.

    Verdicts are relative to a declared `precision`, by default that of the subject's registration.
    A problem on which the subject dies or hangs is an error; the run goes on. What is finished
    survives Ctrl-C.

    Raises:
        RequestError: the subject is unknown or cannot be loaded.
    """
    total = min(limit or DRAWS * len(seeds), DRAWS * len(seeds))
    records: list[Record] = []
    done = 0
    interrupted = False
    opened = open_session(subject, jobs=jobs, timeout_s=timeout_s, precision=precision)
    with opened as session, one_blas_thread():
        versions = dict(session.versions)
        try:
            for question, result, record in _answered(session, seeds, total):
                records.append(record)
                if not question.change:
                    done += 1
                    report_progress(progress, session.name, done, total, result)
        except KeyboardInterrupt:
            interrupted = True
        name = session.name
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    ends = (seeds[0], seeds[-1])
    return FuzzRun(name, versions, ends, tuple(records), date, __version__, interrupted)


@dataclass(frozen=True)
class _Question:
    """A problem to ask, and the healthy one of which the weight array `array` was changed."""

    problem: Problem
    healthy: Problem
    change: str = ""
    array: str = ""


def _answered(
    session: Session, seeds: range, total: int
) -> Iterator[tuple[_Question, CaseResult, Record]]:
    """Yield questions with their results, in the order in which the answers come in."""
    for start in range(0, len(seeds), BATCH):
        left = total - DRAWS * start
        questions = _questions(seeds[start : start + BATCH], left, session.precision)
        asked = {question.problem.id: question for question in questions}
        for outcome in session.ask_all([question.problem for question in questions]):
            question = asked[outcome.problem.id]
            expected = expect(question.healthy, precision=session.precision)
            result = _judged(session, outcome, expected)
            if not question.change or _must_be_detected(question, expected):
                yield question, result, _record(question, result, outcome, expected)


def _questions(seeds: range, limit: int, precision: FloatType | None) -> list[_Question]:
    """Return the first `limit` problems of seeds, and some of them with changed weights."""
    problems = [problem for seed in seeds for problem in problems_of_seed(seed)][: max(limit, 0)]
    questions = []
    for index, problem in enumerate(problems):
        questions.append(_Question(problem, problem))
        if index % DRAWS < CHANGED_DRAWS:
            questions += [_changed(problem, index, change, precision) for change in CHANGES]
    return questions


def _changed(problem: Problem, seed: int, change: str, precision: FloatType | None) -> _Question:
    """Return a problem with one weight array changed by the fault size of its arithmetic."""
    rng = np.random.default_rng([seed, len(problem.weights)])
    index = int(rng.integers(len(problem.weights)))
    tensor = problem.weights[index]
    size = arithmetic_type(problem.threshold_type, precision).fault
    signs = rng.choice([-1.0, 1.0], tensor.shape) if change == "signs" else 1.0
    values = tensor.data.astype(np.float64) * (1 + size * signs)
    weights = list(problem.weights)
    weights[index] = Tensor.of(tensor.name, values, tensor.dtype)
    changed = replace(problem, weights=tuple(weights), id=f"{problem.id}-{change}")
    return _Question(changed, problem, change, tensor.name)


def _judged(session: Session, outcome: Outcome, expected: Expected) -> CaseResult:
    """Judge the outputs by those of the healthy problem; what is stated of a layer is left out."""
    if outcome.answer is not None:
        outcome = replace(outcome, answer=replace(outcome.answer, facts={}))
    return session.judge(outcome, None, {outcome.problem.id: expected})


def _must_be_detected(question: _Question, expected: Expected) -> bool:
    """Whether a change of the array has any influence in a problem that is conclusive."""
    return not expected.inconclusive and expected.visible.get(question.array, 0.0) > 0


def _record(
    question: _Question, result: CaseResult, outcome: Outcome, expected: Expected
) -> Record:
    compared = not question.change and result.verdict.compared
    return Record(
        question.healthy.id,
        expected.dtype.name,
        result.verdict,
        min(result.sigma, FARTHEST),
        question.change,
        tuple(_rejecting(outcome, expected)) if compared else (),
        result.reason if result.verdict is Verdict.ERROR else "",
    )


def _rejecting(outcome: Outcome, expected: Expected) -> Iterator[str]:
    """Yield the fixed tolerances that reject the outputs."""
    outputs = outcome.answer.outputs if outcome.answer else ()
    pairs = list(zip(outputs, expected.outputs, strict=False))
    if any(actual.shape != target.shape for actual, target in pairs):
        return
    for name, (rtol, atol) in FIXED.items():
        if not all(_close(actual.data, target.data, rtol, atol) for actual, target in pairs):
            yield name


def _close(actual: Array, expected: Array, rtol: float, atol: float) -> bool:
    return bool(np.allclose(actual.astype(np.float64), expected, rtol=rtol, atol=atol))


@dataclass(frozen=True)
class Summary:
    """The verdicts of one dtype. `smallest_detected` is the relative change, by kind of change,
    that is still detected in 99 of 100 problems; distances are linear in the change.

    `failing` is the number that diverge or err, `rejected_elsewhere` that of the outputs which
    fixed tolerances reject; they are meant for float32.
    """

    verdicts: int
    failing: int
    inconclusive: int
    unsupported: int
    worst: float
    changed: Mapping[str, int]
    detected: Mapping[str, int]
    smallest_detected: Mapping[str, float]
    rejected_elsewhere: Mapping[str, int] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        return self.verdicts - self.inconclusive - self.unsupported


def summarize(records: Sequence[Record]) -> dict[str, Summary]:
    """Return a summary for each dtype."""
    dtypes = sorted({record.dtype for record in records})
    return {
        dtype: _summary(dtype, [record for record in records if record.dtype == dtype])
        for dtype in dtypes
    }


def failing(records: Sequence[Record]) -> list[Record]:
    """Return the healthy problems that diverge or err."""
    return [record for record in records if not record.change and record.verdict in FAILING]


def different_failures(records: Sequence[Record]) -> list[str]:
    """Return the first problems that fail, one of each verdict and dtype, a few at most."""
    first = {(record.verdict, record.dtype): record.id for record in reversed(failing(records))}
    return list(first.values())[::-1][:SMALLEST]


def _summary(dtype: str, records: Sequence[Record]) -> Summary:
    healthy = [record for record in records if not record.change]
    compared = [record for record in healthy if record.verdict.compared]
    asked = [record for record in records if record.verdict is not Verdict.UNSUPPORTED]
    changed = {
        change: [record for record in asked if record.change == change] for change in CHANGES
    }
    fixed = FIXED if dtype == "float32" else {}
    return Summary(
        verdicts=len(healthy),
        failing=len(failing(healthy)),
        inconclusive=sum(record.verdict is Verdict.INCONCLUSIVE for record in healthy),
        unsupported=sum(record.verdict is Verdict.UNSUPPORTED for record in healthy),
        worst=max((record.sigma for record in compared), default=0.0),
        changed={change: len(found) for change, found in changed.items()},
        detected={change: len(_detected(found)) for change, found in changed.items()},
        smallest_detected={
            change: _smallest_detected(dtype, found) for change, found in changed.items() if found
        },
        rejected_elsewhere={
            name: sum(name in record.rejected_by for record in compared) for name in fixed
        },
    )


def _detected(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.verdict is Verdict.DIVERGES]


def _smallest_detected(dtype: str, records: Sequence[Record]) -> float:
    float_type = FLOAT_TYPES.get(dtype) or declared_precision(dtype)
    at_threshold = float_type.fault * float_type.threshold
    changes = [at_threshold / max(record.sigma, 1e-9) for record in records]
    return float(np.quantile(changes, 0.99))
