"""A port may have other values than Keras at masked steps, where nothing depends on them."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import call_of, dense, outputs_of
from _support.random_problems import random_problem, spec_of, two_ways

from rnnparity.models.calls import Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.port import Port
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.port import port_json, port_remarks

AGREES, DIVERGES = Verdict.AGREES, Verdict.DIVERGES
MASK = ("11100", "11111", "10000")
LAYERS = {
    "lstm": spec_of("lstm", 6, return_sequences=True),
    "backwards": spec_of("gru", 6, return_sequences=True, go_backwards=True),
    "both": two_ways(spec_of("lstm", 3, return_sequences=True), merge_mode="concat"),
}


def recorded(spec):
    """What is recorded of a layer with a mask and of the LSTM after it, and of a Dense layer."""
    first = replace(random_problem(spec, 1, (3, 5, 4), mask=MASK), id="first")
    outputs = outputs_of(first)
    second = random_problem(spec_of("lstm", 6), 2, (3, 5, 6))
    is_reversed = spec["config"].get("go_backwards", False)  # outputs in the order of processing
    mask = first.mask[:, ::-1] if is_reversed else first.mask
    second = replace(
        second, id="second", inputs=Tensor("inputs", outputs[0].data), mask=mask, initial_state=None
    )
    last = outputs_of(second)
    final = Tensor("0", dense(last[0].data, 2, 3))
    calls = call_of(first, outputs), call_of(second, last)
    return Recording(calls, (Tensor("x", first.inputs.data),), (final,))


def ported(recording, change, head_seed=3):
    """A port whose first layer returns other values, and the layer after it what it computes."""
    first, second = recording.calls
    sequence = change(first.outputs[0].data, ~second.problem.mask)
    last = outputs_of(replace(second.problem, inputs=Tensor("inputs", sequence)))[0].data
    final = Tensor("final", dense(last, 2, head_seed))
    tensors = (*recording.inputs, Tensor("a", sequence), Tensor("b", last), final)
    return Port(tensors, (final,))


def nines(sequence, masked):
    return np.where(masked[..., None], np.float32(9), sequence)


def verdicts(result):
    return [call.result.verdict for call in result.calls]


@pytest.mark.parametrize("name", LAYERS)
def test_masked_steps_may_differ_where_the_final_output_agrees(name):
    recording = recorded(LAYERS[name])
    result = compare_port("port", recording, ported(recording, nines))
    assert (verdicts(result), result.status) == ([AGREES, AGREES], 0)
    assert result.changed_inputs is None
    (remark,) = port_remarks(result, result.calls[0])
    assert remark.startswith("its masked steps are not those of Keras")
    assert result.outputs[0].relative < 1e-3  # what was found there allows no more
    assert [call["padding_differs"] for call in port_json(result)["calls"]] == [True, False]


def test_masked_steps_differ_where_the_final_output_does():
    recording = recorded(LAYERS["lstm"])
    result = compare_port("port", recording, ported(recording, nines, head_seed=5))
    assert verdicts(result)[0] is DIVERGES
    assert not result.calls[0].padding_differs


def test_other_steps_must_agree_all_the_same():
    recording = recorded(LAYERS["lstm"])

    def off(sequence, masked):
        return nines(sequence, masked) + np.float32(1e-5) * ~masked[..., None]

    result = compare_port("port", recording, ported(recording, off))
    assert [output.differs for output in result.outputs] == [False]
    assert verdicts(result)[0] is DIVERGES
    assert not result.calls[0].padding_differs


def test_other_steps_of_the_inputs_still_count():
    recording = recorded(LAYERS["lstm"])
    result = compare_port("port", recording, ported(recording, lambda y, _: y[:, ::-1].copy()))
    assert result.status == 1
