"""A call of a model in a port: with the port's own inputs, compared with what the layer computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.digits import PrintedDigits, printed_digits
from rnnparity.models.calls import Call
from rnnparity.models.masked_steps import without_masked_steps
from rnnparity.models.tensor_matching import Match
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.verdict.judge import judge

# Outputs that are farther off than this relative distance cannot agree.
NEAR = 0.2
# The effect of the digits that printed inputs lack is the root mean square of so many random ones.
ROUNDINGS = 16
# A tensor so many times nearer than the second is the nearest; of so many the causes are searched.
CLEARLY, SEARCHED = 3.0, 6


@dataclass(frozen=True, eq=False)
class Located:
    """A call in a port: the problem with the port's own inputs and outputs.

    `input_match` is None where the model's own input was taken; `output_match` is that of the first
    output. `result` has an explanation where only that has shown which tensor the output is.
    `hidden` is that of the PortProblem, `printed` the digits of the outputs, where they were printed.
    `padding_differs`: it agrees but for masked steps.
    """

    problem: Problem
    input_match: Match | None
    output_match: Match
    result: CaseResult
    hidden: str = ""
    printed: PrintedDigits | None = None
    padding_differs: bool = False


@dataclass(frozen=True, eq=False)
class PortProblem:
    """A problem with inputs and states of the port, and the matches of these, None where there is none.

    `printed` are the digits of those that have few of them and are not the model's rounded to these:
    what the port has computed with is known no better. `hidden` is the call before it whose output was
    taken from the model because the port does not show it, "" if there is none. `same_outputs`: the
    final outputs of the port are those of the model.
    """

    problem: Problem
    matches: tuple[Match | None, ...]
    printed: tuple[PrintedDigits | None, ...] = ()
    hidden: str = ""
    same_outputs: bool = False


class AmbiguousError(RequestError):
    """Several tensors may be the output of a layer that differs."""

    def __init__(self, call: Call, matches: Sequence[Match]) -> None:
        names = ", ".join(match.name for match in matches[:SEARCHED])
        super().__init__(
            f"{call.id}: several tensors may be its output, which differs: {names}; name it: "
            f"--map {call.id}={matches[0].name}"
        )


def located_call(port_problem: PortProblem, matches: Sequence[Match], absolute: float) -> Located:
    """Return a call with the outputs of the port, compared with what the layer computes.

    Outputs that were printed are compared to their digits, and those that were computed from inputs
    that are known to their digits only to what the rest of these does to the outputs. Masked steps
    may differ where the final outputs are the model's, so that nothing depends on them.
    """
    problem = port_problem.problem
    outputs = [
        Tensor.of(slot.name, match.data, slot.dtype)
        for slot, match in zip(problem.output_slots(), matches, strict=True)
    ]
    expected = _expected(problem, absolute)
    result = judge(problem, Answer(tuple(outputs)), expected)
    printed = printed_digits(outputs, expected.outputs)
    if printed is not None and result.failing:
        expected = printed.widened(expected, outputs)
        result = judge(problem, Answer(tuple(outputs)), expected)
    if result.failing and any(port_problem.printed):
        expected = _with_rounded_inputs(expected, port_problem)
        result = judge(problem, Answer(tuple(outputs)), expected)
    used = without_masked_steps(problem, outputs, expected.outputs)
    padding_differs = False
    if result.failing and port_problem.same_outputs and used is not None:
        result_of_used = judge(problem, Answer(used), expected)
        padding_differs = not result_of_used.failing
        result = result_of_used if padding_differs else result
    return Located(
        problem.with_outputs(outputs),
        port_problem.matches[0],
        matches[0],
        result,
        port_problem.hidden if result.failing else "",
        printed,
        padding_differs,
    )


def entering(problem: Problem) -> list[Tensor]:
    """Return the inputs and initial states of a problem."""
    return [problem.inputs, *(problem.initial_state or ())]


def _with_rounded_inputs(expected: Expected, port_problem: PortProblem) -> Expected:
    """Return expected outputs whose noise includes that of the digits that its inputs lack."""
    problem, rng = port_problem.problem, np.random.default_rng(0)
    variants = [_moved_inputs(problem, port_problem.printed, rng) for _ in range(ROUNDINGS)]
    outputs = [compute(variant) for variant in variants]
    sigmas = [
        np.sqrt(sigma**2 + np.mean([(tensor.data - exact.data) ** 2 for tensor in tensors], axis=0))
        for sigma, exact, *tensors in zip(expected.sigmas, expected.outputs, *outputs, strict=True)
    ]
    return replace(expected, sigmas=tuple(sigmas))


def _moved_inputs(
    problem: Problem, digits: Sequence[PrintedDigits | None], rng: np.random.Generator
) -> Problem:
    inputs, *states = [
        tensor if printed is None else _moved(tensor, printed, rng)
        for tensor, printed in zip(entering(problem), digits, strict=True)
    ]
    return replace(problem, inputs=inputs, initial_state=tuple(states) or None)


def _moved(tensor: Tensor, printed: PrintedDigits, rng: np.random.Generator) -> Tensor:
    """Return numbers that would have been printed as those of a tensor."""
    values = tensor.data.astype(np.float64)
    rest = rng.uniform(-0.5, 0.5, values.shape) * printed.unit(values)
    return Tensor.of(tensor.name, values + rest, tensor.dtype)


def _expected(problem: Problem, absolute: float) -> Expected:
    """Return the expected outputs; in float32 they may be `absolute` off."""
    expected = expect(problem)
    if problem.threshold_type != "float32" or not absolute:
        return expected
    floor = absolute / expected.dtype.threshold
    return replace(expected, sigmas=tuple(np.maximum(sigma, floor) for sigma in expected.sigmas))


def nearest_call(
    call: Call,
    port_problem: PortProblem,
    candidates: Sequence[Sequence[Match]],
    absolute: float,
) -> Located | None:
    """Return a call that differs with the tensors that are its outputs.

    None where the nearest are far off and no known fault explains them: they may be anything, and
    what nobody knows is blamed on no layer.

    Raises:
        AmbiguousError: no known fault explains a tensor, and none is clearly the nearest.
    """
    nearest = [matches[0] for matches in candidates]
    first = candidates[0]
    is_nearest = (
        len(candidates) > 1 or len(first) == 1 or first[0].distance * CLEARLY < first[1].distance
    )
    if is_nearest and max(match.distance for match in nearest) <= NEAR:
        return located_call(port_problem, nearest, absolute)
    # Of several outputs only the nearest tensors are tried together.
    tried = [nearest] if len(candidates) > 1 else [[match] for match in first[:SEARCHED]]
    for matches in tried:
        located = explained(located_call(port_problem, matches, absolute))
        if located is not None:
            return located
    if not is_nearest:
        raise AmbiguousError(call, first)
    return None


def explained(located: Located) -> Located | None:
    """Return a call with the explanation of its outputs, None where no known fault gives them."""
    try:
        explanation = diagnose(located.problem).explanation
    except RequestError:  # the search does not fit in memory: nothing is known of this tensor
        return None
    cause = explanation.cause
    if cause is None or not cause.explained or not cause.certain:
        return None
    return replace(located, result=replace(located.result, explanation=explanation))


def taken(array: Tensor, match: Match | None) -> tuple[Tensor, PrintedDigits | None]:
    """Return what a call is computed from in a port, and its digits where it is not known exactly.

    The model's own array is taken where the port's is that one as it was printed: the port has
    computed with more digits than these.
    """
    if match is None:
        return array, None
    tensor = Tensor.of(array.name, match.data, array.dtype)
    printed = None if np.array_equal(tensor.data, array.data) else printed_digits([tensor])
    if printed is not None and printed.is_printed_from(tensor.data, array.data):
        return array, None
    return tensor, printed
