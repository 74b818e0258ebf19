"""One case as lines: layer, numbers, every gate and state at every step, and the verdict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.faults import fault_coverage
from rnnparity.problem.answer import Answer
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import Array, declared_precision
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import TraceStep, trace
from rnnparity.reference.tolerance import Expected
from rnnparity.report.text.differences import sigma_text
from rnnparity.report.text.messages import failure
from rnnparity.session.outcome import Outcome
from rnnparity.verdict.judge import expect_answer

# The number of columns of an array, and that of values above which it is shortened.
WIDTH, VALUES = 110, 400


def show(problem: Problem, subject: str, outcome: Outcome, result: CaseResult) -> Iterator[str]:
    """Yield everything about one case in lines; the rows of a batch are side by side."""
    declared = declared_precision(result.precision) if result.precision else None
    expected = expect_answer(problem, precision=declared)
    trains = problem.answer_type is AnswerType.TRAINED_WEIGHTS
    for part in (
        _head(problem),
        _numbers(problem),
        _steps(trace(problem)),
        _answers("weights after the step" if trains else "outputs", expected, outcome.answer),
        _visible_changes("the gradient of one array" if trains else "one array", expected),
        _faults(problem, expected),
    ):
        lines = list(part)
        if lines:
            yield from (*lines, "")
    yield from _verdict(problem, subject, result)


def _head(problem: Problem) -> Iterator[str]:
    yield problem.id
    if problem.case is not None:
        yield f"  {problem.case.why}"
        yield f"  tags: {', '.join(problem.case.tags)}"
        if problem.case.source:
            yield f"  source: {problem.case.source}"
    yield f"  layer: {json.dumps(layer_spec(problem.layer))}"
    if problem.calls is not None:
        yield f"  calls: {', '.join(map(str, problem.calls))} steps"


def _numbers(problem: Problem) -> Iterator[str]:
    for tensor in (problem.inputs, *problem.weights, *(problem.initial_state or ())):
        yield from _tensor(tensor)
    for tensor in problem.dropout_masks or ():
        yield from _tensor(replace(tensor, name=f"dropout mask {tensor.name}"))
    if problem.mask is not None:
        rows = ["".join("1" if used else "0" for used in row) for row in problem.mask]
        yield f"mask {problem.mask.shape}: {' '.join(rows)}"


def _tensor(tensor: Tensor) -> Iterator[str]:
    values = tensor.data.astype(np.float64)
    text = np.array2string(
        values, precision=6, suppress_small=True, max_line_width=WIDTH, threshold=VALUES
    )
    yield f"{tensor.name} {tensor.shape} {tensor.dtype}"
    yield from _indented(text)


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}" for line in text.splitlines() if line.strip())


def _steps(steps: Sequence[TraceStep]) -> Iterator[str]:
    yield "step by step (reference, float64; gates in Keras' order, the candidate is g):"
    for step in steps:
        yield f"  {step.half}t={step.time}"
        for name, values in {**step.gates, **step.states}.items():
            rows = [_row(row) for row in np.atleast_2d(values)]
            yield f"    {name}  {' | '.join(rows)}"


def _row(values: Array) -> str:
    return " ".join(f"{value:9.6f}" for value in values)


def _answers(what: str, expected: Expected, answer: Answer | None) -> Iterator[str]:
    actual = {tensor.name: tensor for tensor in answer.outputs} if answer else {}
    yield f"{what} (reference):"
    for tensor, sigma in zip(expected.outputs, expected.sigmas, strict=True):
        yield from _tensor(tensor)
        yield f"  sigma: at most {sigma.max(initial=0):.2g}"
        if tensor.name in actual and actual[tensor.name].shape == tensor.shape:
            yield "  difference of the subject:"
            yield from _error(actual[tensor.name], tensor)


def _error(actual: Tensor, expected: Tensor) -> Iterator[str]:
    error = actual.data.astype(np.float64) - expected.data
    text = np.array2string(
        error,
        formatter={"float_kind": "{:.1e}".format},
        max_line_width=WIDTH,
        threshold=VALUES,
    )
    return _indented(text)


def _visible_changes(what: str, expected: Expected) -> Iterator[str]:
    """Yield how many thresholds a small change of each array is in the answer."""
    if not expected.visible:
        return
    yield (
        f"effect of a relative change of {expected.dtype.fault:g} in {what}, in multiples of "
        "the threshold:"
    )
    for name, thresholds in expected.visible.items():
        yield f"  {name}: {f'{thresholds:.3g}' if thresholds else 'none'}"


def _faults(problem: Problem, expected: Expected) -> Iterator[str]:
    """Yield how many faults this case detects, and the causes of the others."""
    coverage = fault_coverage(problem, expected)
    detected = len(coverage.detected)
    applicable = detected + len(coverage.undetected)
    if expected.inconclusive or not applicable:
        return
    what = "layer" if problem.training_step is None else "training step"
    yield f"mutation score: {detected}/{applicable} faults that apply to this {what}"
    undetected = Counter(fault.cause for fault in coverage.undetected)
    if undetected:
        causes = [f"{cause} ({count})" for cause, count in undetected.items()]
        yield f"  not detected: {', '.join(causes)}"


def _verdict(problem: Problem, subject: str, result: CaseResult) -> list[str]:
    if result.verdict in (Verdict.DIVERGES, Verdict.ERROR, Verdict.KNOWN):
        return failure(problem, result, subject)
    reason = f": {result.reason}" if result.reason else ""
    verdict = f"{result.verdict} to {result.precision}" if result.precision else result.verdict
    return [f"{subject} {verdict} (max error: {sigma_text(result.sigma)} sigma){reason}"]
