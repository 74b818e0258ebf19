"""Experiments name the change in an engine that can be asked."""

from dataclasses import replace

import numpy as np
import pytest
from _support.engines import Engine, problem_of

from rnnparity.explanation.estimate import Estimate
from rnnparity.explanation.experiments.changes import _changed
from rnnparity.explanation.experiments.experiment import experiment
from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.explanations import ExperimentEnd
from rnnparity.problem.findings import BlockChange, FindingType, WeightBlock, undetermined
from rnnparity.problem.problem import Tensor
from rnnparity.report.text.explanation import lines
from rnnparity.report.text.findings import finding_text
from rnnparity.session.ask import explain_subject

CALLS = 200
LAYERS = [
    ("SimpleRNN", {}),
    ("LSTM", {}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
]


def changed(index, change, gate=0, units=5):
    """A change of one gate's block in one array."""

    def arrays(weights):
        weights = [array.copy() for array in weights]
        block = weights[index][..., gate * units : (gate + 1) * units]
        block[...] = change(block.copy())
        return weights

    return arrays


def found(problem, engine):
    """The findings of an experiment that keeps its promises."""
    result = experiment(problem, engine)
    assert result.calls == engine.calls <= CALLS
    assert (result.end is None) == bool(result.findings)
    assert all(finding.certain for finding in result.findings)
    return result.findings


def blocks(findings):
    assert {finding.type for finding in findings} <= {FindingType.EFFECTIVE_WEIGHTS}
    return [(finding.block, finding.change, finding.source) for finding in findings]


@pytest.mark.parametrize(("class_name", "options"), LAYERS)
@pytest.mark.parametrize("sequences", [True, False])
def test_healthy_engine_has_no_finding(class_name, options, sequences):
    problem = problem_of(class_name, return_sequences=sequences, **options)
    result = experiment(problem, Engine())
    assert (result.findings, result.end) == ((), ExperimentEnd.AGREES)


@pytest.mark.parametrize(("class_name", "options"), LAYERS)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda block: 0 * block, BlockChange.MISSING),
        (lambda block: -block, BlockChange.NEGATED),
        (lambda block: block.T, BlockChange.TRANSPOSED),
        (lambda block: 1.7 * block, BlockChange.SCALED),
        (lambda block: block[[1, 0, 2, 4, 3]], BlockChange.PERMUTED),
        (lambda block: np.cos(9 * block), BlockChange.OTHER),
    ],
)
def test_changed_block_is_named(class_name, options, change, expected):
    problem = problem_of(class_name, return_sequences=True, **options)
    (finding,) = found(problem, Engine(arrays=changed(1, change)))
    gate = problem.layer.cell.gates[0]
    assert blocks([finding]) == [(WeightBlock("recurrent_kernel", gate), expected, None)]
    if expected is BlockChange.SCALED:
        assert finding.value == pytest.approx(1.7, rel=1e-4)
    if expected is BlockChange.PERMUTED:
        assert finding.numbers == (1, 0, 2, 4, 3)


@pytest.mark.parametrize("class_name", ["LSTM", "GRU"])
def test_several_gates_that_are_changed_are_named_each(class_name):
    def arrays(weights):
        first = changed(1, lambda block: -block, gate=0)
        second = changed(1, lambda block: np.cos(9 * block), gate=1)
        third = changed(0, lambda block: 0 * block, gate=2)
        return third(second(first(weights)))

    problem = problem_of(class_name, return_sequences=True)
    gates = problem.layer.cell.gates
    assert set(blocks(found(problem, Engine(arrays=arrays)))) == {
        (WeightBlock("recurrent_kernel", gates[0]), BlockChange.NEGATED, None),
        (WeightBlock("recurrent_kernel", gates[1]), BlockChange.OTHER, None),
        (WeightBlock("kernel", gates[2]), BlockChange.MISSING, None),
    }


@pytest.mark.parametrize("class_name", ["LSTM", "GRU"])
def test_other_gate_order_is_named(class_name):
    problem = problem_of(class_name)
    rolled = Engine(arrays=lambda weights: [np.roll(array, 5, axis=-1) for array in weights])
    gates = problem.layer.cell.gates
    before = dict(zip(gates, gates[-1:] + gates, strict=False))
    for block, change, source in blocks(found(problem, rolled)):
        assert change is BlockChange.REPLACED
        assert source == replace(block, gate=before[block.gate])


def test_block_from_another_array_is_named():
    def exchanged(weights):
        kernel, recurrent_kernel, bias = (array.copy() for array in weights)
        kernel[:, :4], recurrent_kernel[:, 8:12] = weights[1][:, 8:12], weights[0][:, :4]
        return [kernel, recurrent_kernel, bias]

    problem = problem_of("LSTM", features=4, units=4, return_sequences=True)
    first, second = WeightBlock("kernel", "i"), WeightBlock("recurrent_kernel", "c")
    assert blocks(found(problem, Engine(arrays=exchanged))) == [
        (first, BlockChange.EXCHANGED, second)
    ]


def test_row_of_a_bias_of_which_only_the_sum_counts_is_named():
    def without(weights):
        weights[2] = weights[2].copy()
        weights[2][1, :5] = 0
        return weights

    problem = problem_of("GRU", return_sequences=True)
    assert blocks(found(problem, Engine(arrays=without))) == [
        (WeightBlock("bias", "z", 1), BlockChange.MISSING, None)
    ]


@pytest.mark.parametrize(
    ("class_name", "gate", "name"),
    [
        ("SimpleRNN", "h", "softsign"),
        ("LSTM", "o", "tanh"),
        ("LSTM", "output", "linear"),
        ("GRU", "r", "hard_sigmoid"),
        ("GRU", "h", "relu"),
    ],
)
def test_other_activation_is_named(class_name, gate, name):
    problem = problem_of(class_name, return_sequences=True)
    (finding,) = found(problem, Engine(functions={gate: name}))
    assert (finding.type, finding.name) == (FindingType.ACTIVATION, name)
    assert (finding.block.gate if finding.block else "output") == gate


def test_activation_and_block_are_both_named():
    engine = Engine(arrays=changed(0, lambda block: 0.5 * block), functions={"h": "elu"})
    findings = found(problem_of("SimpleRNN"), engine)
    assert [finding.type for finding in findings] == [
        FindingType.ACTIVATION,
        FindingType.EFFECTIVE_WEIGHTS,
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: [s[0] + 1, s[1]], ("h", BlockChange.SHIFTED, 1, None)),
        (lambda s: [s[0] + 0.5, s[1] + 0.5], ("", BlockChange.SHIFTED, 0.5, None)),
        (lambda s: s[::-1], ("h", BlockChange.EXCHANGED, None, WeightBlock("c", ""))),
        (lambda s: [s[1], s[1]], ("h", BlockChange.REPLACED, None, WeightBlock("c", ""))),
        (lambda s: [0 * s[0], s[1]], ("h", BlockChange.MISSING, None, None)),
        (lambda s: [0 * s[0], 0 * s[1]], ("", BlockChange.MISSING, None, None)),
        (lambda s: [s[0], 0.5 * s[1]], ("c", BlockChange.SCALED, 0.5, None)),
        (lambda s: [s[0], s[1] + np.arange(5)], ("c", BlockChange.OTHER, None, None)),
    ],
)
def test_initial_states_are_named(change, expected):
    (finding,) = found(problem_of("LSTM", return_sequences=True), Engine(states=change))
    assert finding.type is FindingType.INITIAL_STATE
    assert (finding.name, finding.change, finding.value, finding.source) == expected


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("LSTM", "c"),
        ("LSTM", "the candidate"),
        ("GRU", "the candidate"),
        ("SimpleRNN", "h before the step"),
    ],
)
def test_other_quantity_is_named(class_name, name):
    (finding,) = found(problem_of(class_name, return_sequences=True), Engine(returned=name))
    assert (finding.type, finding.name) == (FindingType.OTHER_QUANTITY, name)


def refuse_states(problem):
    if problem.initial_state is not None:
        raise Unsupported("no initial states")


@pytest.mark.parametrize(("class_name", "options"), LAYERS)
def test_engine_that_refuses_states_is_identified(class_name, options):
    problem = problem_of(class_name, return_sequences=True, **options)
    engine = Engine(arrays=changed(1, lambda block: block.T), accepts=refuse_states)
    (finding,) = found(problem, engine)
    assert (finding.block.weights, finding.change) == ("recurrent_kernel", BlockChange.TRANSPOSED)


def test_scaled_biases_are_identified_without_states():
    # The reset gate, which is seen in the second step only, takes more iterations than others.
    problem = problem_of("GRU", return_sequences=True)

    def arrays(weights):
        return [*weights[:2], 1.5 * weights[2]]

    findings = found(problem, Engine(arrays=arrays, accepts=refuse_states))
    assert {finding.change for finding in findings} == {BlockChange.SCALED}
    assert {finding.block.weights for finding in findings} == {"bias"}


def test_engine_that_refuses_everything_is_reported():
    def refuse(problem):
        raise Unsupported("nothing")

    result = experiment(problem_of("LSTM"), Engine(accepts=refuse))
    assert (result.findings, result.end) == ((), ExperimentEnd.REFUSED)


def test_engine_with_weights_of_its_own_is_identified():
    problem = problem_of("LSTM", return_sequences=True)
    weights = [tensor.data for tensor in problem.weights]
    assert experiment(problem, Engine(arrays=lambda _: weights)).end is ExperimentEnd.AGREES
    used = changed(1, lambda block: block.T, gate=1)(weights)
    assert blocks(found(problem, Engine(arrays=lambda _: used))) == [
        (WeightBlock("recurrent_kernel", "f"), BlockChange.TRANSPOSED, None)
    ]


def test_large_layer_is_asked_about_as_a_small_one():
    problem = problem_of("GRU", features=40, units=64, return_sequences=True)
    negated = Engine(arrays=lambda weights: [weights[0], -weights[1], weights[2]])
    assert blocks(found(problem, negated)) == [
        (WeightBlock("recurrent_kernel", ""), BlockChange.NEGATED, None)
    ]

    def refuse_others(asked):
        if asked.layer != problem.layer:
            raise Unsupported("another size")

    negated.accepts = refuse_others
    result = experiment(problem, negated)
    assert (result.findings, result.end) == ((), ExperimentEnd.TOO_LARGE)


@pytest.mark.parametrize("class_name", ["SimpleRNN", "LSTM", "GRU"])
def test_float16_engine_is_identified(class_name):
    problem = problem_of(class_name, return_sequences=True, dtype="float16")
    assert experiment(problem, Engine(dtype=np.float16)).end is ExperimentEnd.AGREES
    engine = Engine(arrays=changed(1, lambda block: block.T), dtype=np.float16)
    (finding,) = found(problem, engine)
    assert (finding.block.weights, finding.change) == ("recurrent_kernel", BlockChange.TRANSPOSED)


def in_float16(**changes):
    """An engine that computes in float16, and returns its numbers in float32."""
    engine = Engine(dtype=np.float16, **changes)

    def ask(problem):
        (output,) = engine(problem).outputs
        ask.calls = engine.calls
        return Answer((Tensor.of(output.name, output.data, "float32"),))

    return ask


@pytest.mark.parametrize(("class_name", "options"), LAYERS)
def test_float16_engine_of_a_float32_layer_is_identified(class_name, options):
    """All its answers are float16 numbers: the layer is identified within the noise of that type."""
    problem = problem_of(class_name, return_sequences=True, **options)
    assert experiment(problem, in_float16()).end is ExperimentEnd.AGREES
    (finding,) = found(problem, in_float16(arrays=changed(1, lambda block: 1.7 * block)))
    gate = problem.layer.cell.gates[0]
    assert blocks([finding]) == [(WeightBlock("recurrent_kernel", gate), BlockChange.SCALED, None)]


def test_explanation_has_the_findings_and_the_number_of_calls():
    engine = Engine(arrays=changed(1, lambda block: np.cos(9 * block)))
    problem = problem_of("LSTM")
    explanation = explain_subject(problem, lambda asked: engine(asked).outputs[0].data).explanation
    (finding,) = [f for f in explanation.findings if f.type is FindingType.EFFECTIVE_WEIGHTS]
    assert finding.block == WeightBlock("recurrent_kernel", "i")
    assert explanation.probes == engine.calls - 1
    assert f"the subject was asked {engine.calls - 1} further problems" in text(explanation)


def text(explanation):
    return "\n".join(line.text for line in lines(explanation))


def test_number_without_effect_is_not_claimed_to_be_anything():
    block, given = WeightBlock("kernel", "h"), np.ones((2, 3))
    error = np.where(np.arange(3) == 1, np.inf, 1e-6) * np.ones((2, 3))
    (unknown,) = _changed(block, Estimate(given, error), {block: given})
    assert unknown == undetermined(block)
    assert finding_text(unknown).startswith("whether kernel, gate h differs cannot be determined")
    (finding,) = _changed(block, Estimate(2 * given, error), {block: given})
    assert finding.change is BlockChange.OTHER  # not doubled: some numbers may be anything
    (finding,) = _changed(block, Estimate(2 * given, 1e-6 * given), {block: given})
    assert finding.change is BlockChange.DOUBLED
