"""One case on the screen: layer, numbers, verdict, and every gate and state step by step."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from rnnparity.faults import fault_coverage
from rnnparity.problem.dtypes import Array
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult, Verdict
from rnnparity.reference import TraceStep, trace
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.report.messages import failure, sigma_text
from rnnparity.session.outcome import Outcome


def show(problem: Problem, subject: str, outcome: Outcome, verdict: CaseResult) -> str:
    """Everything about one case as text; numbers with six digits, rows of a batch side by side."""
    expected = expect(problem)
    parts = [_head(problem), _numbers(problem), _steps(trace(problem)), _outputs(expected, outcome)]
    parts += [_reach(expected), _faults(problem, expected)]
    if verdict.verdict in (Verdict.DIVERGES, Verdict.ERROR, Verdict.KNOWN):
        parts.append(failure(problem, verdict, subject))
    else:
        reason = f": {verdict.reason}" if verdict.reason else ""
        parts.append(
            f"{subject} {verdict.verdict} (largest distance {sigma_text(verdict.sigma)} sigma){reason}"
        )
    return "\n\n".join(part for part in parts if part)


def _head(problem: Problem) -> str:
    lines = [problem.id]
    if problem.case is not None:
        lines += [f"  {problem.case.why}", f"  tags: {', '.join(problem.case.tags)}"]
        lines += [f"  source: {problem.case.source}"] if problem.case.source else []
    lines.append(f"  layer: {json.dumps(layer_spec(problem.layer))}")
    if problem.calls is not None:
        lines.append(f"  calls: {', '.join(map(str, problem.calls))} steps")
    return "\n".join(lines)


def _numbers(problem: Problem) -> str:
    tensors: list[Tensor] = [problem.inputs, *problem.weights, *(problem.initial_state or ())]
    lines = [_tensor(tensor) for tensor in tensors]
    if problem.mask is not None:
        rows = " ".join("".join("1" if used else "0" for used in row) for row in problem.mask)
        lines.append(f"mask {problem.mask.shape}: {rows}")
    return "\n".join(lines)


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.shape} {tensor.dtype}\n{_grid(tensor.data)}"


def _grid(data: Array) -> str:
    text = np.array2string(
        data.astype(np.float64), precision=6, suppress_small=True, max_line_width=110, threshold=400
    )
    return _indented(text)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines() if line.strip())


def _steps(steps: Sequence[TraceStep]) -> str:
    lines = ["step by step (reference, float64):"]
    for step in steps:
        lines.append(f"  {step.half}t={step.time}")
        for name, values in {**step.gates, **step.states}.items():
            rows = " | ".join(
                " ".join(f"{value:9.6f}" for value in row) for row in np.atleast_2d(values)
            )
            lines.append(f"    {name}  {rows}")
    return "\n".join(lines)


def _outputs(expected: Expected, outcome: Outcome) -> str:
    lines = []
    given = {tensor.name: tensor for tensor in outcome.answer.outputs} if outcome.answer else {}
    for tensor, sigma in zip(expected.outputs, expected.sigmas, strict=True):
        lines.append(f"{_tensor(tensor)}\n  sigma up to {sigma.max(initial=0):.2g}")
        if tensor.name in given and given[tensor.name].shape == tensor.shape:
            lines.append(
                f"  the subject's, less these:\n{_differences(given[tensor.name], tensor)}"
            )
    return "outputs (reference):\n" + "\n".join(lines)


def _differences(given: Tensor, right: Tensor) -> str:
    error = given.data.astype(np.float64) - right.data
    text = np.array2string(
        error, formatter={"float_kind": "{:.1e}".format}, max_line_width=110, threshold=400
    )
    return _indented(text)


def _faults(problem: Problem, expected: Expected) -> str:
    """Which faults this case could have shown, and the causes of those that it could not."""
    coverage = fault_coverage(problem, expected)
    detected = len(coverage.detected)
    total = detected + len(coverage.undetected)
    if expected.inconclusive or not total:
        return ""
    lines = [f"faults that would diverge here: {detected} of {total} that fit this layer"]
    hidden = Counter(fault.cause for fault in coverage.undetected)
    if hidden:
        lines.append(
            "  would not: " + ", ".join(f"{cause} ({count})" for cause, count in hidden.items())
        )
    return "\n".join(lines)


def _reach(expected: Expected) -> str:
    """What this case could have shown."""
    lines = [f"a relative change of {expected.dtype.fault:g} in one array would be, in thresholds:"]
    for name, thresholds in expected.visible.items():
        lines.append(f"  {name}: {f'{thresholds:.3g}' if thresholds else 'without influence here'}")
    return "\n".join(lines) if expected.visible else ""
