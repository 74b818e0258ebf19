"""Whether findings state what was changed, and nothing else with certainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.explanations import Explanation
from rnnparity.problem.findings import (
    LOCATIONS,
    PATTERNS,
    BlockChange,
    Finding,
    FindingType,
    OtherInputs,
    WeightBlock,
    is_undetermined,
)
from rnnparity.problem.layers import Bidirectional
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import distances
from validation.mistakes.truth import recurs
from validation.off_list.cells import run
from validation.off_list.changes import (
    Change,
    ChangedImplementation,
    Kind,
    changed_block,
    with_block,
)


class Outcome(StrEnum):
    """How an explanation compares with a change."""

    NAMED = "named"
    BESIDE = "named beside another"
    CAUSE = "a listed cause with the same outputs"
    LOCATED = "located only"
    NOTHING = "not found"
    WRONG = "wrong with certainty"
    UNDETECTED = "not detectable"


# The types of a finding that states a change of each kind.
ACCEPTED: Mapping[Kind, tuple[FindingType, ...]] = {
    Kind.EXCHANGED: (FindingType.BLOCK, FindingType.EFFECTIVE_WEIGHTS),
    Kind.BLOCK: (FindingType.BLOCK, FindingType.EFFECTIVE_WEIGHTS),
    Kind.AT_STEPS: (FindingType.BLOCK,),
    Kind.INITIAL_STATE: (FindingType.INITIAL_STATE,),
    Kind.ACTIVATION: (FindingType.ACTIVATION,),
    Kind.RETURNED: (FindingType.OTHER_QUANTITY,),
    Kind.RESTARTS: (FindingType.RESTARTS_EVERY_STEP,),
    Kind.MASKED: (FindingType.MASKED_STEPS_ONLY,),
    Kind.ROWS: (FindingType.ROWS_PERMUTED,),
    Kind.REPEATED: (FindingType.ROWS_PERMUTED,),
    Kind.ZERO: (FindingType.ZERO,),
    Kind.SHIFTED: (FindingType.TIME_SHIFTED,),
    Kind.PART: (FindingType.STEPS_MISSING,),
    Kind.TIME_FIRST: (FindingType.OTHER_ORDER_AGREES, FindingType.AXES_EXCHANGED),
    Kind.DIRECTION: (
        FindingType.ONE_DIRECTION_ONLY,
        FindingType.HALF_AGREES,
        FindingType.EFFECTIVE_WEIGHTS,
    ),
    Kind.GRID: (FindingType.QUANTIZED,),
    Kind.RAW: (FindingType.QUANTIZED,),
    Kind.DIGITS: (FindingType.PRINTED_DIGITS,),
}
# The order of axes in which time is the first.
TIME_FIRST = (1, 0, 2)
# The kinds whose finding must have the half, name or numbers of the change.
IN_A_HALF = {Kind.INITIAL_STATE, Kind.ACTIVATION, Kind.RETURNED, Kind.RESTARTS, Kind.MASKED}
WITH_NAME = {Kind.ACTIVATION, Kind.RETURNED, Kind.MASKED, Kind.ZERO, Kind.DIRECTION, Kind.DIGITS}
WITH_NUMBERS = {Kind.ROWS, Kind.REPEATED, Kind.ZERO, Kind.SHIFTED, Kind.PART, Kind.RAW, Kind.DIGITS}
# What locates a difference, but does not account for it.
WHERE = LOCATIONS | {
    FindingType.STEP_FOLLOWS,
    FindingType.ONE_DIRECTION_ONLY,
    FindingType.MASKED_STEPS_ONLY,
}
# A factor or a grid's step may be this far off, and a scale that is read off a hundred steps.
RELATIVE, RELATIVE_SCALE = 0.02, 0.1


def names(explanation: Explanation, change: Change) -> bool:
    """Return whether a finding states what was changed, where, and how."""
    return any(states(finding, change) for finding in explanation.findings)


def states(finding: Finding, change: Change) -> bool:
    """Return whether a finding states a change: its type, half, block, numbers and value."""
    finding, fact, kind = with_full_names(finding), change.finding, change.kind
    if finding.type not in ACCEPTED[kind]:
        return False
    if kind in (Kind.BLOCK, Kind.EXCHANGED, Kind.AT_STEPS):
        return _states_block(finding, change)
    if kind is Kind.DIRECTION and finding.type is FindingType.EFFECTIVE_WEIGHTS:
        return finding.half == fact.half and finding.change is BlockChange.OTHER
    if finding.type is FindingType.AXES_EXCHANGED:
        return finding.numbers == TIME_FIRST and not finding.name
    if finding.type is FindingType.HALF_AGREES:
        return {finding.name, fact.name} == {"forward", "backward"}
    return (
        (kind not in IN_A_HALF or finding.half == fact.half)
        and (kind not in WITH_NAME or finding.name == fact.name)
        and (kind not in WITH_NUMBERS or finding.numbers == fact.numbers)
        and (kind is not Kind.GRID or _near(finding.value, fact.value))
        and (kind is not Kind.RAW or _near(finding.value, fact.value, RELATIVE_SCALE))
        and (kind is not Kind.ACTIVATION or _gate(finding) == _gate(fact))
        and (kind is not Kind.INITIAL_STATE or _states_initial(finding, fact))
    )


def with_full_names(finding: Finding) -> Finding:
    """Return a finding whose blocks have the prefix of their half, which is its half as well."""
    block, source = (_with_prefix(part, finding.half) for part in (finding.block, finding.source))
    if block is not None and "/" in block.weights:
        finding = replace(finding, half=block.weights.rpartition("/")[0] + "/")
    return replace(finding, block=block, source=source)


def _with_prefix(block: WeightBlock | None, prefix: str) -> WeightBlock | None:
    if block is None or block.weights.startswith(prefix):
        return block
    return replace(block, weights=prefix + block.weights)


def _states_initial(finding: Finding, fact: Finding) -> bool:
    """Return whether a finding states how an initial state differs; exchanging has two sides."""
    if finding.change is not fact.change:
        return False
    if fact.change is BlockChange.EXCHANGED:
        return {finding.name, _last(finding.source)} == {fact.name, _last(fact.source)}
    same = finding.name == fact.name and finding.source == fact.source
    return same and (fact.value is None or _near(finding.value, fact.value))


def _last(block: WeightBlock | None) -> str:
    return "" if block is None else block.weights.rpartition("/")[2]


def _gate(finding: Finding) -> str:
    return finding.block.gate if finding.block else ""


def _states_block(finding: Finding, change: Change) -> bool:
    """Return whether a finding is about a changed block, with the change where it has one."""
    fact, block = change.finding, finding.block
    if block is None or finding.half != fact.half:
        return False
    pairs = [(fact.block, fact.source)]
    if change.kind is Kind.EXCHANGED:
        pairs.append((fact.source, fact.block))
    is_fit = finding.type is FindingType.EFFECTIVE_WEIGHTS
    for target, source in pairs:
        if target != block and not (is_fit and _indistinguishable(target, block)):
            continue
        if finding.change is BlockChange.OTHER:
            return is_fit or fact.change is BlockChange.OTHER
        if finding.change is not fact.change or finding.source != source:
            return False
        if finding.numbers != fact.numbers:
            return False
        return fact.value is None or _near(finding.value, fact.value)
    return False


def _indistinguishable(block: WeightBlock | None, other: WeightBlock) -> bool:
    """Return whether only the sum of two rows of a bias has an effect: in gates z and r."""
    if block is None or block.gate not in ("z", "r"):
        return False
    return replace(block, row=None) == replace(other, row=None)


def _near(value: float | None, expected: float | None, relative: float = RELATIVE) -> bool:
    if value is None or expected is None:
        return False
    return abs(value - expected) <= relative * abs(expected)


# What has the effect that a finding states.
EFFECTS: Mapping[FindingType, Kind] = {
    FindingType.BLOCK: Kind.BLOCK,
    FindingType.EFFECTIVE_WEIGHTS: Kind.BLOCK,
    FindingType.INITIAL_STATE: Kind.INITIAL_STATE,
    FindingType.ACTIVATION: Kind.ACTIVATION,
    FindingType.OTHER_QUANTITY: Kind.RETURNED,
    FindingType.RESTARTS_EVERY_STEP: Kind.RESTARTS,
    FindingType.ROWS_PERMUTED: Kind.ROWS,
    FindingType.ZERO: Kind.ZERO,
    FindingType.TIME_SHIFTED: Kind.SHIFTED,
}


# The axis whose order a finding states.
REORDERED = {FindingType.STEPS_PERMUTED: 1, FindingType.UNITS_PERMUTED: -1}


def is_true(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether a claim gives the actual outputs: the cells are run with what it states."""
    finding = with_full_names(finding)
    if finding.type in OF_OUTPUTS:
        return OF_OUTPUTS[finding.type](finding, problem, actual)
    if finding.type is FindingType.ZERO and not finding.numbers:
        return _is_zero(finding, problem, actual)
    if finding.type is FindingType.TIME_SHIFTED and finding.half and finding.numbers == (1,):
        # A half that is late, in the order of processing, returns the state before the step.
        finding = Finding(FindingType.OTHER_QUANTITY, "h before the step", half=finding.half)
    kind = _effect(finding)
    if kind is None:
        return False
    try:
        outputs = ChangedImplementation(Change(kind, finding))(problem)
    except (ValueError, IndexError, KeyError):  # no such block or state, or not of that shape
        return False
    if kind is Kind.SHIFTED:
        outputs = _where_shifted(problem, finding, actual, outputs)
    return not differ(problem, actual, outputs)


def _is_zero(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether an output is zero everywhere, or the units of one half in it."""
    outputs = dict(zip((slot.name for slot in problem.output_slots()), actual, strict=True))
    if finding.name not in outputs:
        return False
    values, layer = outputs[finding.name], problem.layer
    both = isinstance(layer, Bidirectional) and layer.merge_mode == "concat"
    if both and finding.name == "output" and finding.half:
        count = layer.forward.units
        values = values[..., :count] if finding.half == "forward/" else values[..., count:]
    return not values.any()


def are_true(findings: Sequence[Finding], problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether changes of several blocks give the actual outputs together."""
    given = problem
    for finding in map(with_full_names, findings):
        if _effect(finding) is not Kind.BLOCK or finding.block is None:
            return False
        problem = with_block(problem, finding.block, changed_block(given, finding))
    return not differ(given, actual, run(problem))


def _effect(finding: Finding) -> Kind | None:
    """Return the kind of change that has the effect that a finding states."""
    kind = EFFECTS.get(finding.type)
    if kind is not Kind.BLOCK:
        return kind
    if finding.block is None:  # none was found, or all of them
        return None
    if finding.change is BlockChange.OTHER:
        return None
    if finding.numbers and finding.change is not BlockChange.PERMUTED:
        return Kind.AT_STEPS
    return Kind.EXCHANGED if finding.change is BlockChange.EXCHANGED else Kind.BLOCK


def _reordered(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether one of the outputs has its steps or units in the order of a finding."""
    axis = REORDERED[finding.type]
    for array, output in zip(actual, run(problem), strict=True):
        if axis < array.ndim and array.shape[axis] == len(finding.numbers):
            expected = np.take(output, finding.numbers, axis)
            if np.abs(array - expected).max() <= 1e-5 * np.abs(output).max():
                return True
    return False


def _from_other_inputs(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether the cells give the actual outputs for the inputs that a finding states."""
    given = problem.inputs.data.astype(np.float64)
    number, features = finding.value or 0.0, list(finding.numbers)
    numbers = np.arange(given.shape[-1])
    inputs = {
        OtherInputs.SCALED: given * number,
        OtherInputs.SHIFTED: given + number,
        OtherInputs.STEPS_REVERSED: given[:, ::-1],
        OtherInputs.FEATURE_ZERO: given * ~np.isin(numbers, features),
        OtherInputs.FEATURES_PERMUTED: given[..., features or numbers],
    }.get(OtherInputs(finding.name))
    if inputs is None:
        return False
    other = replace(problem, inputs=Tensor.of("inputs", inputs, "float64"))
    return not differ(problem, actual, run(other))


def _recurs(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether a port that passes states on as a finding states gives the actual outputs."""
    return not differ(problem, actual, recurs(finding, problem))


def _stored(finding: Finding, problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether all outputs are correct, and numbers of the type of a finding."""
    dtype = FLOAT_TYPES[finding.name]
    for array, computed in zip(actual, run(problem), strict=True):
        # Time may be the first axis, which the cause states.
        output = computed if array.shape == computed.shape else computed.swapaxes(0, 1)
        near = np.abs(array - output) <= 1.1 * dtype.u * np.abs(output) + 1e-7
        if not (near & (dtype.round(array).astype(float) == array)).all():
            return False
    return True


def _where_shifted(
    problem: Problem, finding: Finding, actual: Sequence[Array], shifted: Sequence[Array]
) -> list[Array]:
    """Return the actual outputs with the steps that a finding is about shifted."""
    outputs = [array.copy() for array in actual]
    for slot, output, array in zip(problem.output_slots(), outputs, shifted, strict=True):
        if slot.name == finding.name:
            (steps,) = finding.numbers
            there = slice(steps, None) if steps > 0 else slice(None, steps)
            output[:, there] = array[:, there]
    return outputs


def differ(problem: Problem, actual: Sequence[Array], outputs: Sequence[Array]) -> bool:
    """Return whether two sets of outputs differ by more than the noise of the problem."""
    expected = expect(problem)
    shapes = [array.shape for array in actual]
    if shapes != [array.shape for array in outputs]:
        return True
    if shapes != [sigma.shape for sigma in expected.sigmas]:
        pairs = zip(actual, outputs, strict=True)
        return not all(np.allclose(array, values, rtol=1e-5) for array, values in pairs)
    largest = [
        float(distances(Tensor("", array), output, sigma, expected.dtype.threshold).max())
        for array, output, sigma in zip(actual, outputs, expected.sigmas, strict=True)
    ]
    return max(largest) > expected.dtype.threshold


def judge(
    explanation: Explanation, change: Change, problem: Problem, actual: Sequence[Array]
) -> Outcome:
    """Compare the findings, and the cause if there is one, with a change."""
    claims = [
        finding
        for finding in explanation.findings
        if finding.type not in PATTERNS and not is_undetermined(finding)
    ]
    certain = [f for f in claims if f.certain and f.type not in WHERE]
    named = names(explanation, change)
    wrong = [f for f in certain if not (states(f, change) or is_true(f, problem, actual))]
    if wrong and not are_true(wrong, problem, actual):
        return Outcome.WRONG
    if named:
        others = [f for f in claims if f.type not in WHERE and not states(f, change)]
        return Outcome.BESIDE if others else Outcome.NAMED
    if wrong or any(is_true(finding, problem, actual) for finding in claims):
        return Outcome.BESIDE
    if explanation.cause is not None and explanation.cause.explained:
        return Outcome.CAUSE
    if not differ(problem, actual, run(problem)):
        return Outcome.UNDETECTED
    located = any(finding.type in WHERE for finding in explanation.findings)
    return Outcome.LOCATED if located else Outcome.NOTHING


# How claims are checked that no change of the cells has the effect of.
OF_OUTPUTS: Mapping[FindingType, Callable[[Finding, Problem, Sequence[Array]], bool]] = {
    FindingType.COARSE_STORAGE: _stored,
    FindingType.STEPS_PERMUTED: _reordered,
    FindingType.UNITS_PERMUTED: _reordered,
    FindingType.INPUTS: _from_other_inputs,
    FindingType.RECURRENCE: _recurs,
}
