"""The faults: each computes the mistake it names, strikes where it says, and is seen by a case of
the catalogue."""

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
from rnnparity.faults import (
    FAULTS,
    EditHalf,
    Fault,
    detecting_cases,
    fault_coverage,
    is_detected,
    mutants,
    mutate,
)
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

CONCLUSIVE = "lstm-spread-sequences-state-mask_interior"


def fault(cause, which=""):
    (found,) = [f for f in FAULTS if f.cause == cause and which in f.variant]
    return found


def outputs_under(problem, cause, which=""):
    """The arrays of the one mutant of a problem with one half."""
    (mutant,) = mutate(problem, fault(cause, which))
    return [tensor.data for tensor in mutant.outputs]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def arrays(problem):
    return [tensor.data.astype(float) for tensor in problem.weights]


def run_by_hand(problem, step, states):
    """The sequence of outputs of a step written out in a test."""
    x, outputs = problem.inputs.data.astype(float), []
    for t in range(x.shape[1]):
        states = step(x[:, t], *states)
        outputs.append(states[0])
    return np.stack(outputs, axis=1)


def zeros(problem, count):
    return [np.zeros((SHAPE[0], problem.layer.units))] * count


# ----------------------------------------------------------------------------------- each is the
# mistake it names


def test_gate_order():
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    # The code takes the blocks for i, o, f, c: its i is Keras' i, its o Keras' f, its f Keras' c,
    # its c Keras' o.
    i, o, f, c = np.split(problem.weights[0].data, 4, axis=1)
    wrong = replace(problem.weights[0], data=np.hstack([i, f, c, o]))
    right = compute(replace(problem, weights=(wrong, *problem.weights[1:])))
    np.testing.assert_array_equal(
        outputs_under(problem, "gate-order", "iofc (ONNX) in the kernel")[0], right[0].data
    )


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
        outputs_under(problem, "update-gate-complemented")[0], by_hand, rtol=1e-12
    )


def test_bias_outside_reset():
    problem = random_problem(spec_of("gru", reset_after=True, **SEQUENCES), 0, SHAPE)
    W, U, biases = arrays(problem)
    b = np.float32(biases[0] + biases[1])  # one bias of the layer's own type, as a port has it
    H = problem.layer.units

    def step(x, h):
        a, u = x @ W + b, h @ U
        z, r = (sigmoid((a + u)[:, n * H : (n + 1) * H]) for n in (0, 1))
        g = np.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
        return (z * h + (1 - z) * g,)

    by_hand = run_by_hand(problem, step, zeros(problem, 1))
    np.testing.assert_allclose(outputs_under(problem, "bias-outside-reset")[0], by_hand, rtol=1e-12)


@pytest.mark.parametrize(
    "which",
    ["LSTM, peephole", "clipped", "linear for the candidate", "linear for the output", "f = 1 - i"],
)
def test_other_equations_of_the_lstm(which):
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    W, U, b = arrays(problem)
    see = 1 if which == "LSTM, peephole" else 0

    def step(x, h, c):
        z_i, z_f, z_c, z_o = np.split(x @ W + h @ U + b, 4, axis=1)
        i, f, o = sigmoid(z_i + see * c), sigmoid(z_f + see * c), sigmoid(z_o + see * c)
        f = 1 - i if which == "f = 1 - i" else f
        c = f * c + i * (z_c if which.endswith("candidate") else np.tanh(z_c))
        c = np.clip(c, -0.1, 0.1) if which == "clipped" else c
        return o * (c if which.endswith("output") else np.tanh(c)), c

    (found,) = [
        f
        for f in FAULTS
        if f.cause in ("peephole-or-clip", "activation", "coupled-gates") and which in f.variant
    ]
    (mutant,) = mutate(problem, found)
    by_hand = run_by_hand(problem, step, zeros(problem, 2))
    np.testing.assert_allclose(mutant.outputs[0].data, by_hand, rtol=1e-12)


def test_reset_after_flipped_keeps_the_sum_of_the_biases():
    problem = random_problem(spec_of("gru", reset_after=True, **SEQUENCES), 0, SHAPE)
    W, U, b = problem.weights
    layer = replace(problem.layer, reset_after=False)
    other = replace(problem, layer=layer, weights=(W, U, replace(b, data=b.data.sum(0))))
    np.testing.assert_array_equal(outputs_under(problem, "reset-after")[0], compute(other)[0].data)


def test_rows_turned_by_their_own_length():
    """Each row alone, cut to its length, read backwards; what follows keeps its place in the
    processing order."""
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
    given = outputs_under(problem, "reverse-over-padding")[0]
    for row, length in enumerate(mask.sum(1)):
        inputs = replace(whole.inputs, data=whole.inputs.data[row : row + 1, :length])
        np.testing.assert_allclose(
            given[row : row + 1], compute(replace(whole, inputs=inputs))[0].data, rtol=1e-12
        )


def test_the_mask_that_is_not_turned():
    problem = random_problem(spec_of("simple_rnn", go_backwards=True, **BOTH), 0, SHAPE, mask=MASK)
    turned = compute(replace(problem, mask=problem.mask[:, ::-1]))
    for one, other in zip(outputs_under(problem, "mask-not-reversed"), turned, strict=True):
        np.testing.assert_array_equal(one, other.data)


def test_states_and_scales():
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE, initial=True)
    output, h, c = (tensor.data for tensor in compute(problem))
    for cause, which, right in [
        ("state-order", "c before h", [output, c, h]),
        ("unit-scale", "times 2", [output * 2, h, c]),
    ]:
        for one, other in zip(outputs_under(problem, cause, which), right, strict=True):
            np.testing.assert_array_equal(one, other)
    first, second = problem.initial_state
    swapped = (replace(first, data=second.data), replace(second, data=first.data))
    right = compute(replace(problem, initial_state=swapped))[0].data
    np.testing.assert_array_equal(
        outputs_under(problem, "initial-state-swapped", "h and c")[0], right
    )


# ------------------------------------------------------------------------------------------------
# where they strike


def test_one_direction_of_two():
    problem = random_problem(two_ways(spec_of("lstm", **SEQUENCES), merge_mode="concat"), 0, SHAPE)
    right, H = compute(problem)[0].data, problem.layer.forward.units
    places = {
        mutant.placed[0].location: mutant.outputs[0].data
        for mutant in mutate(problem, fault("bias-missing"))
    }
    assert set(places) == {"forward/", "backward/", "every half"}
    np.testing.assert_array_equal(places["every half"][..., :H], places["forward/"][..., :H])
    np.testing.assert_array_equal(places["every half"][..., H:], places["backward/"][..., H:])
    np.testing.assert_array_equal(places["backward/"][..., :H], right[..., :H])
    assert (places["backward/"][..., H:] != right[..., H:]).any()


def test_the_output_of_one_direction():
    problem = random_problem(two_ways(spec_of("gru", **SEQUENCES), merge_mode="concat"), 0, SHAPE)
    right, H = compute(problem)[0].data, problem.layer.forward.units
    made = mutate(problem, fault("unit-scale", "times 2"))
    places = {mutant.placed[0].location: mutant.outputs[0].data for mutant in made}
    np.testing.assert_array_equal(
        places["forward/"], np.concatenate([right[..., :H] * 2, right[..., H:]], axis=-1)
    )
    np.testing.assert_array_equal(
        places["backward/"], np.concatenate([right[..., :H], right[..., H:] * 2], axis=-1)
    )


def test_two_directions_exchanged():
    problem = random_problem(two_ways(spec_of("lstm"), merge_mode="concat"), 0, SHAPE)
    count, data = len(problem.weights) // 2, [tensor.data for tensor in problem.weights]
    exchanged = zip(problem.weights, data[count:] + data[:count], strict=True)
    other = compute(
        replace(problem, weights=tuple(replace(tensor, data=array) for tensor, array in exchanged))
    )
    np.testing.assert_array_equal(
        outputs_under(problem, "directions-swapped", "weights")[0], other[0].data
    )


def test_one_layer_of_a_stack():
    problem = random_problem(stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm")), 0, SHAPE)
    names = [mutant.name for mutant in mutate(problem, fault("bias-missing"))]
    assert names == [f"bias-missing: all of it ({place})" for place in ("0", "1", "every half")]
    assert [
        mutant.placed[0].location for mutant in mutate(problem, fault("bias-rows-swapped"))
    ] == ["0/"]


def test_what_does_not_fit_is_none():
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


def test_a_mutant_leaves_the_problem_alone():
    problem = catalogue()[CONCLUSIVE]
    before = [tensor.data.copy() for tensor in (*problem.weights, problem.inputs)]
    assert len(list(mutants(problem))) > 100
    for kept, tensor in zip(before, (*problem.weights, problem.inputs), strict=True):
        np.testing.assert_array_equal(kept, tensor.data)


# ------------------------------------------------------------------------------------------------------
# being seen


def test_every_fault_is_seen_by_a_named_case():
    found = detecting_cases(catalogue().values())
    assert set(found) == set(FAULTS)
    assert [f"{f.cause}: {f.variant}" for f, case in found.items() if not case] == []
    assert len(set(found.values())) > 5


def test_constant_weights_hide_most():
    """Which is why there are others. The figures are the README's."""
    found = detecting_cases(case for case in catalogue().values() if case.case.initializers)
    assert (sum(map(bool, found.values())), len(found)) == (102, 200)
    hidden = Counter(f.cause for f, case in found.items() if not case)
    assert hidden["gate-order"] > 50


def test_a_fault_that_changes_nothing_is_not_seen():
    """The test of the tests above."""
    nothing = Fault("nothing", "at all", "", "", EditHalf(lambda half: half))
    problem = catalogue()[CONCLUSIVE]
    (mutant,) = mutate(problem, nothing)
    assert not is_detected(mutant, expect(problem))
    assert nothing not in FAULTS


def can_show_any(problem):
    expected = expect(problem)
    return bool(expected.inconclusive) or any(
        is_detected(mutant, expected) for mutant in mutants(problem)
    )


def test_a_case_can_show_at_least_one():
    assert [case.id for case in list(catalogue().values())[::20] if not can_show_any(case)] == []


@pytest.mark.slow
def test_every_case_can_show_at_least_one():
    assert [case.id for case in catalogue().values() if not can_show_any(case)] == []


def test_a_spread_case_shows_all_that_fit_it():
    seen = fault_coverage(catalogue()[CONCLUSIVE])
    assert (len(seen.detected) > 100, seen.undetected) == (True, ())


def test_each_says_what_and_how_to_mend_it():
    names = [f"{f.cause}: {f.variant}" for f in FAULTS]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for f in FAULTS:
        assert f.description.endswith("."), f
        assert f.fix.endswith("."), f
