"""Faults compute the mistakes that they name, and the catalogue detects every one of them."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    MASK,
    SEQUENCES,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.faults import (
    FAULTS,
    TRAINING_FAULTS,
    EditArithmetic,
    EditHalf,
    Fault,
    PlacedFault,
    detecting_cases,
    fault_coverage,
    is_detected,
    lookup,
    mutants,
    mutate,
)
from rnnparity.problem.explanations import EVERY_HALF, FaultId
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

CONCLUSIVE = "lstm-spread-sequences-state-mask_interior"


def fault(cause, part=""):
    found = [fault for fault in FAULTS if fault.cause == cause and part in fault.variant]
    exact = [fault for fault in found if fault.variant == part]
    assert len(exact or found) == 1, f"{cause}: give the whole variant, not {part!r}"
    return (exact or found)[0]


def outputs_with(problem, cause, part=""):
    """Return the arrays of the only mutant of a problem with one half."""
    (mutant,) = mutate(problem, fault(cause, part))
    return [tensor.data for tensor in mutant.outputs]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def arrays(problem):
    return [tensor.data.astype(float) for tensor in problem.weights]


def run_by_hand(problem, step, states):
    """Return the sequence of outputs of a step that a test defines."""
    x, outputs = problem.inputs.data.astype(float), []
    for t in range(x.shape[1]):
        states = step(x[:, t], *states)
        outputs.append(states[0])
    return np.stack(outputs, axis=1)


def zeros(problem, count):
    return [np.zeros((SHAPE[0], problem.layer.units))] * count


# Equations.


def test_gate_order():
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    # The code reads the blocks as i, o, f, c: its o is Keras' f, its f Keras' c, its c Keras' o.
    i, o, f, c = np.split(problem.weights[0].data, 4, axis=1)
    kernel = replace(problem.weights[0], data=np.hstack([i, f, c, o]))
    expected = compute(replace(problem, weights=(kernel, *problem.weights[1:])))
    actual = outputs_with(problem, "gate-order", "iofc (ONNX) in the kernel")
    np.testing.assert_array_equal(actual[0], expected[0].data)


def test_update_gate_complemented():
    problem = random_problem(spec_of("gru", reset_after=False, **SEQUENCES), 0, SHAPE)
    W, U, b = arrays(problem)
    H = problem.layer.units

    def step(x, h):
        a = x @ W + b
        z, r = (sigmoid(a[:, n * H : (n + 1) * H] + h @ U[:, n * H : (n + 1) * H]) for n in (0, 1))
        g = np.tanh(a[:, 2 * H :] + (r * h) @ U[:, 2 * H :])
        return ((1 - z) * h + z * g,)

    by_hand = run_by_hand(problem, step, zeros(problem, 1))
    np.testing.assert_allclose(
        outputs_with(problem, "update-gate-complemented")[0], by_hand, rtol=1e-12
    )


def test_bias_outside_reset():
    problem = random_problem(spec_of("gru", reset_after=True, **SEQUENCES), 0, SHAPE)
    W, U, biases = arrays(problem)
    b = np.float32(biases[0] + biases[1])  # a single bias in the layer's type, as in a port
    H = problem.layer.units

    def step(x, h):
        a, u = x @ W + b, h @ U
        z, r = (sigmoid((a + u)[:, n * H : (n + 1) * H]) for n in (0, 1))
        g = np.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
        return (z * h + (1 - z) * g,)

    by_hand = run_by_hand(problem, step, zeros(problem, 1))
    np.testing.assert_allclose(outputs_with(problem, "bias-outside-reset")[0], by_hand, rtol=1e-12)


@pytest.mark.parametrize(
    "part",
    [
        *("LSTM, peephole", "clipped", "linear for the candidate", "linear for the output"),
        *("f = 1 - i", "i = 1 - f"),
    ],
)
def test_lstm_with_other_equations(part):
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    W, U, b = arrays(problem)
    peephole = 1 if part == "LSTM, peephole" else 0

    def step(x, h, c):
        z_i, z_f, z_c, z_o = np.split(x @ W + h @ U + b, 4, axis=1)
        i, f, o = (
            sigmoid(z_i + peephole * c),
            sigmoid(z_f + peephole * c),
            sigmoid(z_o + peephole * c),
        )
        f = 1 - i if part == "f = 1 - i" else f
        i = 1 - f if part == "i = 1 - f" else i
        c = f * c + i * (z_c if part.endswith("candidate") else np.tanh(z_c))
        c = np.clip(c, -0.1, 0.1) if part == "clipped" else c
        return o * (c if part.endswith("output") else np.tanh(c)), c

    causes = ("peephole-or-clip", "activation", "coupled-gates")
    (fault,) = [fault for fault in FAULTS if fault.cause in causes and part in fault.variant]
    (mutant,) = mutate(problem, fault)
    by_hand = run_by_hand(problem, step, zeros(problem, 2))
    np.testing.assert_allclose(mutant.outputs[0].data, by_hand, rtol=1e-12)


def test_output_of_the_previous_cell_state():
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    W, U, b = arrays(problem)

    def step(x, h, c):
        i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
        return sigmoid(o) * np.tanh(c), sigmoid(f) * c + sigmoid(i) * np.tanh(g)

    by_hand = run_by_hand(problem, step, zeros(problem, 2))
    actual = outputs_with(problem, "output-of-previous-cell-state")
    np.testing.assert_allclose(actual[0], by_hand, rtol=1e-12)


@pytest.mark.parametrize(
    ("variant", "kept_h", "kept_c"),
    [("rate 0.1", 0.1, 0.1), ("LSTM, h, rate 0.1", 0.1, 0), ("LSTM, c, rate 0.1", 0, 0.1)],
)
def test_zoneout_keeps_a_part_of_the_states(variant, kept_h, kept_c):
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    W, U, b = arrays(problem)

    def step(x, h, c):
        i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        return kept_h * h + (1 - kept_h) * new_h, kept_c * c + (1 - kept_c) * new_c

    by_hand = run_by_hand(problem, step, zeros(problem, 2))
    actual = outputs_with(problem, "zoneout", variant)
    np.testing.assert_allclose(actual[0], by_hand, rtol=1e-12)


def test_zoneout_of_a_layer_with_one_state():
    problem = random_problem(spec_of("simple_rnn", **SEQUENCES), 0, SHAPE)
    W, U, b = arrays(problem)

    def step(x, h):
        return (0.1 * h + 0.9 * np.tanh(x @ W + h @ U + b),)

    by_hand = run_by_hand(problem, step, zeros(problem, 1))
    np.testing.assert_allclose(outputs_with(problem, "zoneout", "rate 0.1")[0], by_hand, rtol=1e-12)
    assert mutate(problem, fault("zoneout", "LSTM, c, rate 0.1")) == []


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize(("variant", "factor"), [("from zeros", 0), ("from the last", 1)])
def test_inputs_one_step_late(go_backwards, variant, factor):
    options = {**SEQUENCES, "go_backwards": go_backwards}
    problem = random_problem(spec_of("lstm", **options), 0, SHAPE)
    x = problem.inputs.data
    late = [factor * x[:, -1:], x[:, :-1]]
    if go_backwards:  # the step before is the next one in time
        late = [x[:, 1:], factor * x[:, :1]]
    inputs = replace(problem.inputs, data=np.concatenate(late, axis=1))
    expected = compute(replace(problem, inputs=inputs))
    actual = outputs_with(problem, "inputs-shifted", variant)
    np.testing.assert_array_equal(actual[0], expected[0].data)


def test_reset_after_flipped_keeps_the_sum_of_the_biases():
    problem = random_problem(spec_of("gru", reset_after=True, **SEQUENCES), 0, SHAPE)
    W, U, b = problem.weights
    layer = replace(problem.layer, reset_after=False)
    expected = replace(problem, layer=layer, weights=(W, U, replace(b, data=b.data.sum(0))))
    actual = outputs_with(problem, "reset-after")
    np.testing.assert_array_equal(actual[0], compute(expected)[0].data)


def test_rows_are_reversed_within_their_lengths():
    """Each row computes what a batch of only that row, cut to its length, computes."""
    mask = np.array(
        [
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 1, 1, 1],
            [1, 1, 0, 0, 0, 0],
            [1, 1, 1, 1, 0, 0],
            [1, 0, 0, 0, 0, 0],
        ]
    )
    whole = random_problem(spec_of("gru", go_backwards=True), 0, SHAPE)
    problem = replace(whole, mask=mask.astype(bool)[:, ::-1])
    actual = outputs_with(problem, "reverse-over-padding")[0]
    for row, length in enumerate(mask.sum(1)):
        inputs = replace(whole.inputs, data=whole.inputs.data[row : row + 1, :length])
        np.testing.assert_allclose(
            actual[row : row + 1], compute(replace(whole, inputs=inputs))[0].data, rtol=1e-12
        )


def test_mask_is_not_reversed():
    problem = random_problem(spec_of("simple_rnn", go_backwards=True, **BOTH), 0, SHAPE, mask=MASK)
    expected = compute(replace(problem, mask=problem.mask[:, ::-1]))
    for array, tensor in zip(outputs_with(problem, "mask-not-reversed"), expected, strict=True):
        np.testing.assert_array_equal(array, tensor.data)


def test_states_are_swapped_and_outputs_scaled():
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE, initial=True)
    output, h, c = (tensor.data for tensor in compute(problem))
    for cause, part, expected in [
        ("state-order", "c before h", [output, c, h]),
        ("unit-scale", "times 2", [output * 2, h, c]),
    ]:
        actual = outputs_with(problem, cause, part)
        for array, expected_array in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(array, expected_array)
    first, second = problem.initial_state
    swapped = (replace(first, data=second.data), replace(second, data=first.data))
    expected = compute(replace(problem, initial_state=swapped))[0].data
    actual = outputs_with(problem, "initial-state-swapped", "h and c")[0]
    np.testing.assert_array_equal(actual, expected)


# Locations.


def outputs_by_location(problem, fault):
    return {m.placed[0].location: m.outputs[0].data for m in mutate(problem, fault)}


def test_fault_in_one_direction():
    problem = random_problem(two_ways(spec_of("lstm", **SEQUENCES), merge_mode="concat"), 0, SHAPE)
    correct, H = compute(problem)[0].data, problem.layer.forward.units
    outputs = outputs_by_location(problem, fault("bias-missing", "all of it"))
    assert set(outputs) == {"forward/", "backward/", EVERY_HALF}
    np.testing.assert_array_equal(outputs[EVERY_HALF][..., :H], outputs["forward/"][..., :H])
    np.testing.assert_array_equal(outputs[EVERY_HALF][..., H:], outputs["backward/"][..., H:])
    np.testing.assert_array_equal(outputs["backward/"][..., :H], correct[..., :H])
    assert (outputs["backward/"][..., H:] != correct[..., H:]).any()


def test_fault_in_the_output_of_one_direction():
    problem = random_problem(two_ways(spec_of("gru", **SEQUENCES), merge_mode="concat"), 0, SHAPE)
    correct, H = compute(problem)[0].data, problem.layer.forward.units
    y, y_rev = correct[..., :H], correct[..., H:]
    outputs = outputs_by_location(problem, fault("unit-scale", "times 2"))
    np.testing.assert_array_equal(outputs["forward/"], np.concatenate([y * 2, y_rev], axis=-1))
    np.testing.assert_array_equal(outputs["backward/"], np.concatenate([y, y_rev * 2], axis=-1))


def test_directions_are_swapped():
    problem = random_problem(two_ways(spec_of("lstm"), merge_mode="concat"), 0, SHAPE)
    count, data = len(problem.weights) // 2, [tensor.data for tensor in problem.weights]
    pairs = zip(problem.weights, data[count:] + data[:count], strict=True)
    weights = tuple(replace(tensor, data=array) for tensor, array in pairs)
    expected = compute(replace(problem, weights=weights))
    actual = outputs_with(problem, "directions-swapped", "weights")
    np.testing.assert_array_equal(actual[0], expected[0].data)


def test_fault_in_one_layer_of_a_stack():
    problem = random_problem(stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm")), 0, SHAPE)
    faults = [mutant.faults for mutant in mutate(problem, fault("bias-missing", "all of it"))]
    locations = ("0/", "1/", EVERY_HALF)
    assert faults == [(FaultId("bias-missing", "all of it", at),) for at in locations]
    assert list(outputs_by_location(problem, fault("bias-rows-swapped"))) == ["0/"]


def test_fault_that_does_not_apply_has_no_mutant():
    simple = random_problem(spec_of("simple_rnn", use_bias=False), 0, SHAPE)
    causes = {mutant.fault.cause for mutant in mutants(simple)}
    assert not causes & {
        "gate-order",
        "bias-missing",
        "reset-after",
        "mask-ignored",
        "state-order",
        "merge-mode",
    }
    assert {"recurrent-transposed", "recurrence-missing", "activation", "time-truncated"} <= causes


def test_mutants_do_not_change_the_problem():
    problem = catalogue()[CONCLUSIVE]
    before = [tensor.data.copy() for tensor in (*problem.weights, problem.inputs)]
    assert len(list(mutants(problem))) > 100
    for data, tensor in zip(before, (*problem.weights, problem.inputs), strict=True):
        np.testing.assert_array_equal(data, tensor.data)


# Detection.


def test_core_set_detects_every_fault():
    cases = detecting_cases(catalogue()[id_] for id_ in core())
    assert set(cases) == {*FAULTS, *TRAINING_FAULTS}
    assert [f"{f.cause}: {f.variant}" for f, case in cases.items() if not case] == []
    assert len(set(cases.values())) > 5


@pytest.mark.slow
def test_constant_weights_detect_few_faults():
    """This is why there are cases with spread weights."""
    constant = [case for case in catalogue().values() if case.case.initializers]
    cases = detecting_cases(constant)
    undetected = Counter(fault.cause for fault, case in cases.items() if not case)
    assert len(cases) > 150
    assert 0.4 < undetected.total() / len(cases) < 0.6
    assert undetected["gate-order"] > 50


def test_fault_that_changes_nothing_is_not_detected():
    nothing = Fault("nothing", "at all", "", "", EditHalf(lambda half: half))
    problem = catalogue()[CONCLUSIVE]
    (mutant,) = mutate(problem, nothing)
    assert not is_detected(mutant, expect(problem))
    assert nothing not in FAULTS


def detects_any(problem):
    expected = expect(problem)
    return bool(expected.inconclusive) or any(
        is_detected(mutant, expected) for mutant in mutants(problem)
    )


def test_some_cases_detect_a_fault():
    assert [case.id for case in list(catalogue().values())[::60] if not detects_any(case)] == []


@pytest.mark.slow
def test_every_case_detects_a_fault():
    assert [case.id for case in catalogue().values() if not detects_any(case)] == []


def test_case_with_spread_weights_detects_all_faults_that_apply():
    coverage = fault_coverage(catalogue()[CONCLUSIVE])
    assert len(coverage.detected) > 100
    assert coverage.undetected == ()


def test_coverage_of_constant_weights_names_what_is_undetected():
    coverage = fault_coverage(catalogue()["lstm-constant-sequences-state"])
    assert FaultId("features-reversed", "kernel", "") in coverage.undetected
    assert FaultId("bias-missing", "all of it", "") in coverage.detected


# The list.


def test_cause_and_variant_identify_a_fault():
    names = [(fault.cause, fault.variant) for fault in FAULTS]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(lookup(fault.cause, fault.variant) is fault for fault in FAULTS)
    with pytest.raises(KeyError):
        lookup("bias-missing", "no such variant")


def test_description_and_fix_are_sentences():
    for fault in FAULTS:
        for sentence in filter(None, (fault.description, fault.fix, fault.in_file)):
            assert sentence.endswith("."), fault
            assert "  " not in sentence, fault
            assert not re.search(r"\b(turned|anew|told|said|alone|mend)\b", sentence), fault


TEXTS = {
    "plain": (spec_of("lstm", **BOTH), ["Bidirectional", "half", "is set."]),
    "backwards": (spec_of("lstm", go_backwards=True, **BOTH), ["Bidirectional", "half", "is set."]),
    "zeros": (spec_of("gru", zero_output_for_mask=True, **SEQUENCES), ["Bidirectional", "not set"]),
    "reset after": (spec_of("gru", **BOTH), ["reset_after=False", "Bidirectional", "units of f"]),
    "reset before": (spec_of("gru", reset_after=False, **BOTH), ["reset_after=True", "both rows"]),
    "simple": (
        spec_of("simple_rnn", **BOTH),
        ["gate ", "gates", "candidate", "recurrent_activation"],
    ),
    "hard": (spec_of("lstm", recurrent_activation="hard_sigmoid"), ["Use sigmoid", "default is"]),
    "two ways": (
        two_ways(spec_of("lstm", **SEQUENCES)),
        ["is not set", "a layer with go_backwards"],
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_agree_with_the_config_of_the_layer(name):
    """A fault's sentences name neither an option that the layer does not have nor one it has."""
    spec, wrong = TEXTS[name]
    problem = random_problem(spec, 0, SHAPE, mask=MASK, initial=True)
    for mutant in mutants(problem):
        (placed,) = mutant.placed
        for text in (placed.fault.description, placed.fix(problem)):
            assert [words for words in wrong if words in text] == [], placed
            assert text.endswith("."), placed


def fix_of(spec, cause, variant, prefix):
    problem = random_problem(spec, 0, SHAPE, mask=MASK)
    (fault,) = [f for f in FAULTS if (f.cause, f.variant) == (cause, variant)]
    return PlacedFault(fault, prefix).fix(problem)


def test_fix_of_outputs_in_reverse_order_is_an_instruction():
    both = two_ways(spec_of("lstm", 3))
    fix = fix_of(both, "reverse-output-order", "reversed", "backward/")
    assert fix.startswith("Reverse the outputs of the backward layer in time before")
    plain = fix_of(spec_of("lstm", 3, go_backwards=True), "reverse-output-order", "reversed", "")
    assert plain.startswith("Return the outputs in processing order")


def test_fix_names_what_the_layer_has():
    spec = spec_of("lstm", recurrent_activation="relu")
    fix = fix_of(spec, "recurrent-activation", "hard_sigmoid", "")
    assert fix.startswith("Use relu, the layer's recurrent_activation.")
    both = two_ways(spec_of("gru", **SEQUENCES))
    assert "Bidirectional" in fix_of(both, "masked-output", "held", "backward/")
    plain = spec_of("gru", zero_output_for_mask=True, **SEQUENCES)
    assert "Bidirectional" not in fix_of(plain, "masked-output", "held", "")


def test_arithmetic_names_the_policy_that_computes_like_it():
    edits = {
        fault.variant: fault.edit for fault in FAULTS if isinstance(fault.edit, EditArithmetic)
    }
    assert {variant: edit.dtype for variant, edit in edits.items()} == {
        "TF32": "", "float16": "float16", "bfloat16": "bfloat16", "float32": "float32",
    }  # fmt: skip
