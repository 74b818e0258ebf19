"""Outputs that show each finding of `rnnparity explain`, for docs/explain.md and its test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import FindingType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import Unroller, compute, trace
from rnnparity.reference.activations import ACTIVATIONS
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.cells import OtherActivations
from rnnparity.report.text.findings import finding_text

LSTM, GRU = "lstm-spread-sequences", "gru-spread-sequences"
GRU_LAST = "gru-spread-last"
BIDIRECTIONAL = "bi_lstm-spread-concat-sequences"
MASKED = "gru-spread-sequences-mask_left-initial"


def problems() -> dict[FindingType, Problem]:
    """Return problems whose outputs show each finding that an explanation without a subject has."""
    return {
        FindingType.STEP_FOLLOWS: _wrong_step(),
        FindingType.ROWS_PERMUTED: _edited(LSTM, lambda y: y[::-1]),
        FindingType.STEPS_PERMUTED: _edited(LSTM, lambda y: y[:, ::-1]),
        FindingType.UNITS_PERMUTED: _edited(LSTM, lambda y: np.roll(y, 1, axis=-1)),
        FindingType.TIME_SHIFTED: _edited(LSTM, lambda y: np.roll(y, 1, axis=1)),
        FindingType.STEPS_MISSING: _edited(LSTM, lambda y: y[:, :3]),
        FindingType.ROWS_MISSING: _edited(LSTM, lambda y: y[0]),
        FindingType.AXES_EXCHANGED: _edited(LSTM, lambda y: y.transpose(0, 2, 1)),
        FindingType.FINITE_AGREES: _edited(LSTM, _without_end),
        FindingType.ZERO: _edited(GRU, lambda y: y * np.array([1, 0])[:, None, None]),
        FindingType.RESTARTS_EVERY_STEP: _restarted(),
        FindingType.MASKED_STEPS_ONLY: _frozen(),
        FindingType.ONE_DIRECTION_ONLY: _edited(
            BIDIRECTIONAL, lambda y: y + y**2 * np.repeat([0.0, 0.01], y.shape[-1] // 2)
        ),
        FindingType.BLOCK: _with_weights("recurrent_kernel", 2, lambda U: -U),
        FindingType.QUANTIZED: _edited(LSTM, lambda y: np.round(y / 0.005) * 0.005),
        FindingType.PRINTED_DIGITS: _edited(LSTM, lambda y: np.round(y, 4)),
        FindingType.COARSE_STORAGE: _edited(LSTM, lambda y: y.astype(np.float16)),
        FindingType.OTHER_QUANTITY: _cell_state(),
        FindingType.EFFECTIVE_WEIGHTS: _with_weights("kernel", 0, _permuted_rows),
        FindingType.INITIAL_STATE: _shifted_start(),
        FindingType.INPUTS: _with_inputs(lambda x: x[:, ::-1]),
        FindingType.MASK: _mask_of_one_row(),
        FindingType.AFTER_LAYER: _edited(LSTM, lambda y: np.maximum(y, 0)),
        FindingType.ACTIVATION: _other_activation(),
        FindingType.RECURRENCE: _earlier_state(),
    }


def sentences() -> dict[FindingType, str]:
    """Return the sentence that each example is answered with."""
    found = {}
    for type_, problem in problems().items():
        findings = diagnose(problem).explanation.findings
        found[type_] = next(finding_text(f) for f in findings if f.type is type_)
    return found


def _with_outputs(problem: Problem, arrays: list[np.ndarray]) -> Problem:
    pairs = zip(problem.output_slots(), arrays, strict=True)
    return problem.with_outputs([Tensor.of(slot.name, array) for slot, array in pairs])


def _edited(case: str, edit) -> Problem:
    """Return a case whose sequence is edited."""
    problem = catalogue()[case]
    first, *others = (tensor.data for tensor in compute(problem))
    return _with_outputs(problem, [edit(first), *others])


def _with_weights(name: str, gate: int, edit) -> Problem:
    """Return the GRU whose outputs come from an edited block of the weights."""
    problem = _more_rows(catalogue()[GRU])
    units = problem.layer.units
    columns = slice(gate * units, (gate + 1) * units)
    weights = []
    for tensor in problem.weights:
        data = tensor.data.copy()
        if tensor.name == name:
            data[..., columns] = edit(data[..., columns])
        weights.append(replace(tensor, data=data))
    outputs = compute(replace(problem, weights=tuple(weights)))
    return _with_outputs(problem, [tensor.data for tensor in outputs])


def _without_end(y: np.ndarray) -> np.ndarray:
    return np.where(np.arange(y.shape[1])[:, None] < 2, y, np.nan)


def _permuted_rows(W: np.ndarray) -> np.ndarray:
    return W[[2, 0, 1, *range(3, len(W))]]


def _more_rows(problem: Problem, rows: int = 12) -> Problem:
    """Return a problem without a mask with more rows of inputs, all of them different."""
    steps, features = problem.inputs.shape[1:]
    numbers = np.sin(np.arange(rows * steps * features)).reshape(rows, steps, features)
    return replace(problem, inputs=Tensor.of("inputs", numbers), case=None)


def _wrong_step() -> Problem:
    """Return the GRU of which one step is off; the next ones go on from there."""
    problem = catalogue()[GRU]
    outputs = compute(problem)[0].data.copy()
    outputs[:, 1] += 0.05
    rest = replace(
        problem,
        inputs=replace(problem.inputs, data=problem.inputs.data[:, 2:]),
        initial_state=(Tensor.of("h", outputs[:, 1]),),
        case=None,
    )
    outputs[:, 2:] = compute(rest)[0].data
    return _with_outputs(problem, [outputs])


def _restarted() -> Problem:
    problem = catalogue()[LSTM]
    steps = [
        compute(replace(problem, inputs=replace(problem.inputs, data=data), case=None))[0].data
        for data in np.split(problem.inputs.data, problem.inputs.shape[1], axis=1)
    ]
    return _with_outputs(problem, [np.concatenate(steps, axis=1)])


def _frozen() -> Problem:
    """Return the GRU whose masked steps return the state that is kept."""
    problem = catalogue()[MASKED]
    return _with_outputs(problem, [np.stack([s.states["h"] for s in trace(problem)], axis=1)])


def _cell_state() -> Problem:
    problem = catalogue()[LSTM]
    return _with_outputs(problem, [np.stack([s.states["c"] for s in trace(problem)], axis=1)])


def _shifted_start() -> Problem:
    problem = catalogue()[LSTM]
    shape = len(problem.inputs.data), problem.layer.units
    states = [Tensor.of(name, np.full(shape, value)) for name, value in (("h", 0), ("c", 0.1))]
    outputs = compute(replace(problem, initial_state=tuple(states), case=None))
    return _with_outputs(problem, [tensor.data for tensor in outputs])


def _with_inputs(edit) -> Problem:
    """Return the GRU of which only the last output is seen, computed from edited inputs."""
    problem = catalogue()[GRU_LAST]
    inputs = replace(problem.inputs, data=edit(problem.inputs.data))
    outputs = compute(replace(problem, inputs=inputs, case=None))
    return _with_outputs(problem, [tensor.data for tensor in outputs])


def _mask_of_one_row() -> Problem:
    """Return the GRU in which every row has the mask of row 1."""
    problem = catalogue()[MASKED]
    mask = np.broadcast_to(problem.mask[1], problem.mask.shape)
    outputs = compute(replace(problem, mask=mask, case=None))
    return _with_outputs(problem, [tensor.data for tensor in outputs])


def _earlier_state() -> Problem:
    """Return the GRU whose steps start from the h of two steps ago."""
    problem = catalogue()[GRU]
    states = [np.zeros((len(problem.inputs.data), problem.layer.units))] * 2
    for step in np.split(problem.inputs.data, problem.inputs.shape[1], axis=1):
        one = replace(
            problem,
            inputs=replace(problem.inputs, data=step),
            initial_state=(Tensor.of("h", states[-2]),),
            case=None,
        )
        states.append(compute(one)[0].data[:, 0])
    return _with_outputs(problem, [np.stack(states[2:], axis=1)])


def _other_activation() -> Problem:
    """Return an LSTM whose candidate has softsign, its output tanh."""
    problem = catalogue()[LSTM]
    unroller = Unroller(problem, PlainArithmetic())
    cell = object.__new__(OtherActivations)
    cell.__dict__.update(unroller.cells[""].__dict__, act_g=ACTIVATIONS["softsign"].value)
    unroller.cells[""] = cell
    return _with_outputs(problem, unroller.run())
