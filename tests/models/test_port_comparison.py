"""Calls of a model are found in a port by value, and one fault is reported for one layer."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import (
    LSTM,
    K,
    call_of,
    dense,
    outputs_of,
    ported_model,
    recorded_model,
    run_model,
)
from _support.random_problems import random_problem, spec_of, two_ways

from rnnparity.explanation import causes
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.findings.compared.after_layer import FUNCTIONS
from rnnparity.models import port_calls
from rnnparity.models.calls import PortCall, PortResult, Recording
from rnnparity.models.model_verdicts import judge_calls
from rnnparity.models.port_calls import AmbiguousError
from rnnparity.models.port_comparison import NO_INPUTS, NOT_FOUND, NOT_RECOGNIZED, compare_port
from rnnparity.models.ports.port import Port, named_port
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import CaseResult
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.model import difference_lines
from rnnparity.report.text.port import APPLIED, port_headline, port_json, port_lines, port_remarks

SWAPPED = ("gate-order", "LSTM fico in all weights")
BIAS = ("bias-row-dropped", "GRU, the state's bias")
AGREES, DIVERGES, UNSUPPORTED = Verdict.AGREES, Verdict.DIVERGES, Verdict.UNSUPPORTED


def verdicts(result):
    return [call.result.verdict for call in result.calls]


def test_tensors_are_found_by_value_whatever_their_names_and_axes():
    result = compare_port("port", recorded_model(), ported_model())
    assert verdicts(result) == [AGREES, AGREES]
    assert [call.tensor for call in result.calls] == ["lstm", "gru"]
    assert [output.differs for output in result.outputs] == [False]
    assert (result.first_difference, result.status) == (None, 0)


def test_fault_of_the_first_layer_is_no_fault_of_the_second():
    result = compare_port("port", recorded_model(), ported_model({"first": SWAPPED}))
    assert verdicts(result) == [DIVERGES, AGREES]
    assert result.first_difference.call.id == "first"
    assert result.explanation.cause.names == ("gate-order",)
    model = replace(judge_calls(recorded_model().calls), port=result)
    assert model.first_failing is None
    assert model.first_difference is result.first_difference
    assert model.explanation is result.explanation
    assert result.calls[0].tensor == "lstm"
    assert (result.changed_inputs, result.status) == (None, 1)
    assert result.outputs[0].follows


def test_fault_of_the_second_layer_is_explained():
    result = compare_port("port", recorded_model(), ported_model({"second": BIAS}))
    assert verdicts(result) == [AGREES, DIVERGES]
    assert result.explanation.cause.names == (BIAS[0],)


def test_two_faults_are_two_differences():
    port = ported_model({"first": SWAPPED, "second": BIAS})
    result = compare_port("port", recorded_model(), port)
    assert verdicts(result) == [DIVERGES, DIVERGES]
    assert [call.tensor for call in result.calls] == ["lstm", "gru"]
    assert [call.result.cause.names for call in result.calls] == [("gate-order",), (BIAS[0],)]
    assert all(call.result.explanation for call in result.calls)


def test_cause_of_two_layers_is_explained_once():
    first, second = (
        replace(random_problem(LSTM, seed, (3, 7, 4)), id=name)
        for seed, name in ((1, "first"), (2, "second"))
    )
    calls = tuple(call_of(problem, outputs_of(problem)) for problem in (first, second))
    arrays = {f"{p.id}/output": outputs_of(p, SWAPPED)[0].data for p in (first, second)}
    arrays["second/inputs"] = second.inputs.data
    result = compare_port("file", Recording(calls, (), ()), named_port("file.npz", arrays))
    assert [call.result.cause.names for call in result.calls] == [("gate-order",)] * 2
    assert [call.result.explanation is None for call in result.calls] == [False, True]
    printed = [line.text for line in difference_lines(result.calls)]
    assert printed[-1] == "also differs: second: gate-order: LSTM fico in all weights"
    assert [call["cause"] for call in port_json(result)["calls"]] == ["gate-order"] * 2


def test_explanation_that_has_found_a_tensor_is_not_searched_twice(monkeypatch):
    problems = []

    def counted(problem):
        problems.append(problem)
        return diagnose(problem)

    monkeypatch.setattr(port_calls, "diagnose", counted)
    monkeypatch.setattr(causes, "diagnose", counted)
    first = recorded_model().calls[0]
    outputs = outputs_of(first.problem, SWAPPED)[0].data
    tensors = [("x", first.problem.inputs.data), ("lstm", outputs), ("near", 1.5 * outputs)]
    port = Port(tuple(Tensor(name, data.astype("float32")) for name, data in tensors))
    (call,) = compare_port("port", Recording((first,), (), ()), port).calls
    assert (call.tensor, call.result.cause.names) == ("lstm", ("gate-order",))
    assert call.result.explanation is not None
    assert sum(problem.outputs[0].data is call.problem.outputs[0].data for problem in problems) == 1


def test_head_that_differs_is_found_where_all_recurrent_layers_agree():
    result = compare_port("port", recorded_model(), ported_model(head_seed=5))
    assert verdicts(result) == [AGREES, AGREES]
    (output,) = result.outputs
    assert output.differs
    assert not output.follows
    assert output.largest > 0.1 > output.tolerance
    assert (result.first_difference, result.status) == (None, 1)


def test_final_output_of_another_size_is_refused():
    port = ported_model()
    other = Port(port.tensors, (Tensor("final", np.zeros((3, 9), "float32")),))
    with pytest.raises(RequestError, match=r"final output 0: got \(3, 9\), expected \(3, 2\)"):
        compare_port("port", recorded_model(), other)


def unlisted():
    """Recording and port of one layer whose output is that of no fault; two tensors may be it."""
    spec = {"class_name": "SimpleRNN", "config": {"units": 3}}
    first = replace(random_problem(spec, 1, (2, 3, 2)), id="first")
    outputs = outputs_of(first)
    recording = Recording((call_of(first, outputs),), (Tensor("x", first.inputs.data),), ())
    rng = np.random.default_rng(1)
    arrays = {name: rng.standard_normal(outputs[0].shape).astype("float32") for name in "ab"}
    x = Tensor("x", first.inputs.data)
    return recording, Port((x, *(Tensor(name, array) for name, array in arrays.items())))


def test_ambiguous_tensor_is_refused_until_it_is_named():
    recording, port = unlisted()
    with pytest.raises(
        AmbiguousError, match=r"first: several .*: [ab], [ab]; name it: --map first="
    ):
        compare_port("port", recording, port)
    for name in "ab":
        result = compare_port("port", recording, port, {"first": name})
        assert [call.tensor for call in result.calls] == [name]
        assert verdicts(result) == [DIVERGES]


def test_unknown_names_in_a_mapping_are_refused():
    recording, port = unlisted()
    with pytest.raises(RequestError, match="--map third: no such layer; expected first"):
        compare_port("port", recording, port, {"third": "a"})
    with pytest.raises(
        RequestError, match="--map first=c: the port has no tensor of this name, or"
    ):
        compare_port("port", recording, port, {"first": "c"})


def test_decoder_gets_the_states_of_the_port_s_encoder():
    encoder_spec = {"class_name": "LSTM", "config": {"units": 3, "return_state": True}}
    decoder_spec = {"class_name": "LSTM", "config": {"units": 3, "return_sequences": True}}
    encoder = random_problem(encoder_spec, 1, (2, 5, 4))
    decoder = random_problem(decoder_spec, 2, (2, 6, 4))

    def run(fault=None):
        outputs = outputs_of(encoder, fault)
        states = tuple(Tensor(name, outputs[i].data) for i, name in ((1, "h"), (2, "c")))
        problem = replace(decoder, initial_state=states, id="decoder")
        return outputs, problem, outputs_of(problem)

    outputs, problem, decoded = run()
    calls = (call_of(replace(encoder, id="encoder"), outputs), call_of(problem, decoded))
    inputs = tuple(Tensor(str(i), p.inputs.data) for i, p in enumerate((encoder, decoder)))
    recording = Recording(calls, inputs, ())
    outputs, _, decoded = run(SWAPPED)
    tensors = [Tensor("h", outputs[1].data), Tensor("c", outputs[2].data), decoded[0]]
    result = compare_port("port", recording, Port((*inputs, *tensors)))
    assert verdicts(result) == [DIVERGES, AGREES]
    assert result.explanation.cause.names == ("gate-order",)


def named(faults=None, *names):
    _, first_outputs, second, second_outputs, final = run_model(faults)
    arrays = {
        "first/output": first_outputs[0].data,
        "encoder/second": second_outputs[0].data,
        "encoder/second/inputs": second.inputs.data,
        "output": final,
    }
    return named_port("file.npz", {name: arrays[name] for name in names or arrays})


def test_arrays_are_found_by_the_names_of_layers():
    assert verdicts(compare_port("file", recorded_model(), named())) == [AGREES, AGREES]
    result = compare_port("file", recorded_model(), named({"first": SWAPPED}))
    assert verdicts(result) == [DIVERGES, AGREES]
    assert result.outputs[0].follows


def test_arrays_with_other_names_are_mapped():
    port = named()
    tensors = tuple(replace(t, name=t.name.replace("first/output", "y")) for t in port.tensors)
    renamed = replace(port, tensors=tensors)
    assert verdicts(compare_port("file", recorded_model(), renamed)) == [UNSUPPORTED, AGREES]
    for key in ("first", "first/output"):
        result = compare_port("file", recorded_model(), renamed, {key: "y"})
        assert verdicts(result) == [AGREES, AGREES]
        assert result.calls[0].tensor == "y"
    # A name that is mapped counts before the layer's own.
    result = compare_port("file", recorded_model(), port, {"first": "encoder/second/inputs"})
    assert verdicts(result)[0] is DIVERGES
    with pytest.raises(RequestError, match="--map first=z: the port has no array of this name"):
        compare_port("file", recorded_model(), port, {"first": "z"})


def test_layer_after_a_difference_needs_its_own_inputs():
    port = named({"first": SWAPPED}, "first/output", "encoder/second")
    result = compare_port("file", recorded_model(), port)
    assert verdicts(result) == [DIVERGES, UNSUPPORTED]
    assert result.calls[1].result.reason == NO_INPUTS


def test_layer_that_is_missing_is_not_compared():
    result = compare_port("file", recorded_model(), named(None, "encoder/second"))
    assert verdicts(result) == [UNSUPPORTED, AGREES]
    reason = result.calls[0].result.reason
    assert reason == f"{NOT_FOUND}, first/output; it has encoder/second"
    assert result.status == 0


def test_states_by_name_are_compared():
    first, (output,), *_ = run_model()
    recording = Recording((call_of(first, (output,)),), (), ())
    last = output.data[:, -1]
    c = np.zeros_like(last)
    port = named_port("f", {"first/output": output.data, "first/h": last, "first/c": c})
    result = compare_port("f", recording, port)
    assert verdicts(result) == [DIVERGES]
    assert {d.output for d in result.calls[0].result.differences} == {"c"}


def test_final_output_alone_is_a_comparison():
    result = compare_port("file", recorded_model(), named(None, "output"))
    assert verdicts(result) == [UNSUPPORTED, UNSUPPORTED]
    assert result.status == 0
    none = "none of 2 calls of recurrent layers was compared"
    assert port_headline(result) == f"{none}, the final output agrees"
    other = Port(outputs=(Tensor("output", recorded_model().outputs[0].data + 1),))
    differs = compare_port("file", recorded_model(), replace(other, by_name=True))
    assert port_headline(differs) == f"{none}, the final output differs"
    assert compare_port("file", recorded_model(), Port(by_name=True)).status == 2


def test_layers_of_equal_sizes_are_told_apart():
    extra = [("late", np.random.default_rng(3).standard_normal((3, 7, K)))]
    result = compare_port("port", recorded_model(), ported_model({"first": SWAPPED}, extra=extra))
    assert verdicts(result) == [DIVERGES, AGREES]


def test_axes_are_not_reordered_to_make_a_fault_look_small():
    spec = {"class_name": "Bidirectional", "config": {"layer": LSTM}}
    problem = replace(random_problem(spec, 1, (3, 7, 4)), id="both")
    recording = Recording((call_of(problem, outputs_of(problem)),), (), ())
    swapped = outputs_of(problem, ("directions-swapped", "outputs"))[0]
    for port in (Port((swapped,)), named_port("f", {"both/output": swapped.data})):
        result = compare_port("port", recording, port)
        assert result.explanation.cause.names == ("directions-swapped",)


def test_layer_that_a_healthy_port_does_not_show_is_not_compared():
    port = ported_model()
    hidden = tuple(tensor for tensor in port.tensors if not tensor.name.startswith("lstm"))
    assert any(tensor.data.size == 3 * 7 * 6 for tensor in hidden)
    result = compare_port("port", recorded_model(), Port(hidden, port.outputs))
    assert verdicts(result) == [UNSUPPORTED, AGREES]
    assert result.calls[0].result.reason == NOT_RECOGNIZED
    assert result.status == 0


def test_outputs_of_a_port_beyond_those_of_the_model_are_ignored():
    port = ported_model()
    states = Tensor("h", np.zeros((3, 2), "float32"))
    result = compare_port("port", recorded_model(), Port(port.tensors, (states, *port.outputs)))
    assert [(output.name, output.differs) for output in result.outputs] == [("final", False)]


def port_without(port, *names):
    """A port that does not show the tensors of these names."""
    return Port(tuple(t for t in port.tensors if not t.name.startswith(names)), port.outputs)


def test_wrong_layer_between_two_recurrent_ones_is_a_difference():
    problem, outputs, second, _, _ = run_model()
    hidden = dense(outputs[0].data, K, 77)
    sequence = outputs_of(replace(second, inputs=Tensor("inputs", hidden)))[0].data
    arrays = {"x": problem.inputs.data, "lstm": outputs[0].data, "dense": hidden, "gru": sequence}
    arrays["final"] = dense(sequence, 2, 3)
    tensors = tuple(Tensor(name, data.astype("float32")) for name, data in arrays.items())
    result = compare_port("port", recorded_model(), Port(tensors, tensors[-1:]))
    assert verdicts(result) == [AGREES, AGREES]
    assert result.changed_inputs.call.id == "encoder/second"
    assert result.status == 1
    assert "a layer before it that is not recurrent differs" in port_headline(result)
    assert result.outputs[0].follows
    (remark,) = port_remarks(result, result.calls[1])
    assert remark.startswith("its inputs in the port are not those of the model")
    assert not list(port_remarks(result, result.calls[0]))
    assert [call["inputs_differ"] for call in port_json(result)["calls"]] == [False, True]


def test_layer_after_other_inputs_needs_its_own_inputs():
    """Computed from the model's inputs it would be blamed for what happened before."""
    first, _, second, _, _ = run_model()
    other = Tensor("inputs", np.tanh(first.inputs.data))
    outputs = outputs_of(replace(first, inputs=other))
    hidden = Tensor("inputs", dense(outputs[0].data, K, 2))
    arrays = {
        "first/inputs": other.data,
        "first/output": outputs[0].data,
        "encoder/second/output": outputs_of(replace(second, inputs=hidden))[0].data,
    }
    result = compare_port("file", recorded_model(), named_port("file.npz", arrays))
    assert verdicts(result) == [AGREES, UNSUPPORTED]
    assert result.calls[1].result.reason == NO_INPUTS
    assert result.changed_inputs is result.calls[0]
    assert result.status == 1


@pytest.mark.parametrize("head_seed", [3, 5])
def test_recurrent_layer_that_differs_unseen_is_a_suspect(head_seed):
    port = port_without(ported_model({"first": SWAPPED}, head_seed), "lstm", "noise")
    result = compare_port("port", recorded_model(), port)
    assert verdicts(result) == [UNSUPPORTED, AGREES]
    assert (result.first_difference, result.status) == (None, 1)
    assert "first, or a layer that is not recurrent, differs before it" in port_headline(result)


@pytest.mark.parametrize("verdict", [DIVERGES, Verdict.INCONCLUSIVE])
def test_other_inputs_may_come_from_a_call_before(verdict):
    first, second = recorded_model().calls
    before = PortCall(first, CaseResult("first", verdict))
    after = PortCall(second, CaseResult("second", AGREES), inputs_differ=True)
    assert PortResult((before, after)).changed_inputs is None
    assert PortResult((after,)).changed_inputs is after


@pytest.mark.parametrize(
    ("error", "expected", "names"),
    [(0.01, DIVERGES, "forward"), (3.0, UNSUPPORTED, "")],
    ids=["near", "far"],
)
def test_several_outputs_are_the_nearest_tensors_unless_they_are_far_off(error, expected, names):
    """A tensor that is hardly farther is no reason to ask: only one pair is the nearest."""
    spec = two_ways(spec_of("gru", 3), merge_mode=None)
    problem = replace(random_problem(spec, 1, (3, 7, 4)), id="both")
    outputs = outputs_of(problem)
    rng = np.random.default_rng(2)
    off = [error * rng.standard_normal(tensor.shape) for tensor in outputs]
    arrays = {
        "forward": outputs[0].data + off[0],
        "hardly_farther": outputs[0].data + 1.5 * off[0],
        "backward": outputs[1].data + off[1],
    }
    tensors = tuple(Tensor(name, data.astype("float32")) for name, data in arrays.items())
    recording = Recording((call_of(problem, outputs),), (problem.inputs,), ())
    (call,) = compare_port("port", recording, Port(tensors, ())).calls
    assert (call.result.verdict, call.tensor) == (expected, names)


def test_tensor_far_off_that_no_fault_explains_is_no_layer_s_output():
    port = port_without(ported_model(head_seed=5), "lstm")
    result = compare_port("port", recorded_model(), port)
    assert verdicts(result) == [UNSUPPORTED, AGREES]
    assert result.calls[0].result.reason == NOT_RECOGNIZED
    assert (result.first_difference, result.changed_inputs, result.status) == (None, None, 1)
    assert "the final output differs" in port_headline(result)


def test_outputs_that_agree_to_their_printed_digits_do_not_differ():
    first, (output,), *_ = run_model()
    recording = Recording((call_of(first, (output,)),), (), ())
    (call,) = compare_port("f", recording, named_port("f", {"first": output.data.round(4)})).calls
    assert (call.result.verdict, call.result.cause) == (AGREES, None)
    printed = compare_port("f", recording, named_port("f", {"first": output.data.round(4)}))
    assert list(port_remarks(printed, call)) == ["agrees to the 4 printed decimals"]
    assert port_json(printed)["calls"][0]["printed"] == {"digits": 4, "of": "decimals"}
    (exact,) = compare_port("f", recording, named_port("f", {"first": output.data})).calls
    assert exact.printed is None
    (call,) = compare_port("f", recording, named_port("f", {"first": output.data + 1e-4})).calls
    assert call.result.verdict is DIVERGES


def test_layer_that_is_not_computed_is_explained_once_in_the_table():
    first, second = recorded_model().calls
    calls = (first, replace(second, problem=None, reason="a custom cell"))
    recording = Recording(calls, recorded_model().inputs, ())
    result = compare_port("port", recording, ported_model())
    printed = [line.text for line in port_lines("model", judge_calls(calls), result)]
    (row,) = [line for line in printed if line.startswith("encoder/second")]
    assert row.count("unsupported") == 2
    assert [line for line in printed if "a custom cell" in line] == [
        "  not computed: a custom cell"
    ]


def two_layers(fault):
    """Recording of two layers in a row, and the port's outputs of the second one, with a fault or not."""
    first = replace(random_problem(LSTM, 1, (3, 7, 4)), id="l1")
    outputs = outputs_of(first)
    second = random_problem(LSTM, 2, (3, 7, 6))
    second = replace(second, id="l2", inputs=Tensor("inputs", outputs[0].data))
    calls = call_of(first, outputs), call_of(second, outputs_of(second))
    (y,) = outputs_of(second, fault)
    return Recording(calls, (Tensor("x", first.inputs.data),), ()), y.data


def ports_without_the_first(recording, y):
    """Ports that show the second layer only: by value and by name, with its name in the former."""
    x = Tensor("x", recording.inputs[0].data)
    yield Port((x, Tensor("y", y))), {"l2": "y"}
    yield named_port("file.npz", {"l2/output": y}), None


def test_layer_after_one_that_the_port_does_not_show_is_named_by_its_cause():
    recording, y = two_layers(SWAPPED)
    for port, names in ports_without_the_first(recording, y):
        result = compare_port("port", recording, port, names)
        assert verdicts(result) == [UNSUPPORTED, DIVERGES]
        assert result.explanation.cause.names == ("gate-order",)
        assert result.changed_inputs is None
        assert result.calls[1].suspect == ""
        assert not list(port_remarks(result, result.calls[1]))


def test_layer_that_the_port_does_not_show_is_a_suspect_without_a_cause():
    recording, y = two_layers(None)
    rng = np.random.default_rng(4)
    wrong = (y + 0.01 * rng.standard_normal(y.shape)).astype("float32")
    for port, names in ports_without_the_first(recording, wrong):
        result = compare_port("port", recording, port, names)
        assert verdicts(result) == [UNSUPPORTED, DIVERGES]
        (remark,) = port_remarks(result, result.calls[1])
        assert remark.startswith("or l1 differs: the port does not show its output")
        assert port_headline(result).startswith("first difference: l1 or l2")
        assert port_json(result)["calls"][1]["suspect"] == "l1"


def test_what_a_port_does_between_two_layers_is_no_fault_of_the_second():
    recording, _ = two_layers(None)
    first, second = recording.calls
    output = first.outputs[0].data
    reversed_back = np.concatenate([output[..., :3], output[:, ::-1, 3:]], -1)
    (y,) = outputs_of(replace(second.problem, inputs=Tensor("inputs", reversed_back)))
    arrays = [
        ("x", recording.inputs[0].data),
        ("l1", output),
        ("reversed_back", reversed_back),
        ("l2", y.data),
    ]
    result = compare_port("port", recording, Port(tuple(Tensor(*pair) for pair in arrays)))
    assert verdicts(result) == [AGREES, AGREES]
    assert [call.tensor for call in result.calls] == ["l1", "l2"]
    assert result.changed_inputs.call.id == "l2"
    assert result.changed_inputs.applied is None
    assert result.status == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_between_two_layers_is_named(name):
    recording, _ = two_layers(None)
    first, second = recording.calls
    output = first.outputs[0].data
    between = FUNCTIONS[name](output.astype(float)).astype("float32")
    (y,) = outputs_of(replace(second.problem, inputs=Tensor("inputs", between)))
    arrays = [("x", recording.inputs[0].data), ("l1", output), ("f", between), ("l2", y.data)]
    result = compare_port("port", recording, Port(tuple(Tensor(*pair) for pair in arrays)))
    assert verdicts(result) == [AGREES, AGREES]
    assert [call.applied for call in result.calls] == [None, name]
    text = f"they are those of the model after {APPLIED[name]}"
    assert port_headline(result).endswith(f"but the inputs of l2 differ: {text}")
    assert any(remark.endswith(f": {text}") for remark in port_remarks(result, result.calls[1]))
    assert port_json(result)["calls"][1]["inputs_after"] == name


def test_fault_of_a_layer_is_explained_by_the_inputs_that_were_changed_before_it():
    recording, _ = two_layers(None)
    first, second = recording.calls
    output = first.outputs[0].data
    reversed_back = np.concatenate([output[..., :3], output[:, ::-1, 3:]], -1)
    (y,) = outputs_of(replace(second.problem, inputs=Tensor("inputs", reversed_back)), SWAPPED)
    arrays = [
        ("x", recording.inputs[0].data),
        ("l1", output),
        ("reversed_back", reversed_back),
        ("l2", y.data),
    ]
    result = compare_port("port", recording, Port(tuple(Tensor(*pair) for pair in arrays)))
    assert verdicts(result) == [AGREES, DIVERGES]
    assert result.calls[1].tensor == "l2"
    assert result.explanation.cause.names == ("gate-order",)
    assert result.changed_inputs.call.id == "l2"
