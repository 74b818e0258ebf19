"""The faults of the backward pass compared with gradients worked out by hand, and as mutants."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    problem_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
    with_dropout,
)

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.faults import (
    BACKWARD_FAULTS,
    FAULTS,
    backward_mutants,
    gradient_coverage,
    placements,
)
from rnnparity.faults.backward_flow import truncated_every
from rnnparity.faults.backward_run import FaultyBackwardUnroller
from rnnparity.problem.explanations import EVERY_HALF, FaultId
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute, trace
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.arithmetic import TapedArithmetic

# Among these every fault applies, and each is detected.
CASES = (
    "simple_rnn-spread-sequences-state-initial",
    "lstm-spread-sequences-state-initial",
    "gru-spread-sequences-state-initial",
    "gru_before-spread-sequences-state-initial",
    "bi_lstm-spread-concat-sequences-state-initial",
    "lstm-spread-sequences-state-mask_interior",
    "activation-gelu-gru-values",
    "activation-hard_sigmoid-gru-gates",
    "edge-kink-selu-simple_rnn",
    "sources-001-textbook",
    "dropout-both-gru_before-forward",
    "dropout-both-lstm-sum",
)
X, W, U, BIAS = np.array([0.7, -1.1, 0.4, 0.9]), 0.6, 0.8, 0.2


def case(name):
    return with_cotangents(catalogue()[name])


def fault_of(cause, variant):
    (fault,) = [f for f in BACKWARD_FAULTS if (f.cause, f.variant) == (cause, variant)]
    return fault


def arrays_of(tensors):
    return {tensor.name: tensor.data for tensor in tensors}


def faulty(problem, cause, variant, location=None):
    """The gradients with the fault at a location; that of the whole, of all halves or of one."""
    fault = fault_of(cause, variant)
    location = location if location is not None else placements(problem, fault)[-1].location
    found = {m.placed[0].location: m for m in backward_mutants(problem, [fault])}
    return arrays_of(found[location].outputs) if location in found else None


def chain(steps=4, mask=None, sequences=False, activation="linear"):
    """One unit and one row, whose gradients are sums of products; the cotangents are 1."""
    options = {"activation": activation, "return_sequences": sequences}
    spec = spec_of("simple_rnn", 1, **EXACT, **options)
    weights = [[[W]], [[U]], [BIAS]]
    mask = None if mask is None else np.array([[letter == "1" for letter in mask]])
    problem = problem_of(spec, weights, X[None, :steps, None], mask=mask, initial=[[[0.3]]])
    ones = np.ones((1, steps, 1) if sequences else (1, 1))
    return replace(problem, cotangents=(Tensor("output", ones),))


def test_selu_at_its_kink_has_the_slope_of_the_negative_side():
    spec = spec_of("simple_rnn", 1, **EXACT, activation="selu")
    zeros = np.zeros((1, 1, 1))
    problem = problem_of(spec, [[[W]], [[U]], [0.0]], zeros, initial=[[[0.0]]])
    problem = replace(problem, cotangents=(Tensor("output", np.ones((1, 1))),))
    (right, *_), wrong = compute_gradients(problem), faulty(problem, "derivative-at-kink", "selu")
    assert right.data.item() == pytest.approx(W * 1.0507009873554805)
    assert wrong["inputs"].item() == pytest.approx(W * 1.0507009873554805 * 1.6732632423543772)
    assert faulty(chain(activation="elu"), "derivative-at-kink", "selu") is None


@pytest.mark.parametrize(
    ("variant", "kernel", "initial"),
    [
        ("every step", X[3], 0),
        ("every 2 steps", X[3] + U * X[2], 0),
        ("every 3 steps", X[3], 0),
    ],
)
def test_truncated_chain(variant, kernel, initial):
    gradients = faulty(chain(), "gradient-truncated", variant)
    assert gradients["kernel"].item() == pytest.approx(kernel)
    assert gradients["initial_state/h"].item() == initial


def test_truncated_chain_keeps_what_its_first_part_gets():
    """Of a sequence every step has a cotangent."""
    gradients = faulty(chain(3, sequences=True), "gradient-truncated", "every step")
    assert gradients["kernel"].item() == pytest.approx(X[:3].sum())
    assert gradients["initial_state/h"].item() == pytest.approx(U)


def test_truncation_as_long_as_the_sequence_does_not_apply():
    assert faulty(chain(3), "gradient-truncated", "every 3 steps") is None
    fault = truncated_every(2)
    assert next(backward_mutants(chain(3), [fault])).faults == (
        FaultId(fault.cause, fault.variant, ""),
    )


@pytest.mark.parametrize(
    ("variant", "kernel"),
    [
        ("as if used", X[3] + U * (X[2] + U * (X[1] + U * X[0]))),
        ("stops", X[3] + U * X[2]),
        ("past used steps", X[3] + U * (X[2] + (U + 1) * X[0])),
    ],
)
def test_chain_with_a_masked_step(variant, kernel):
    problem = chain(4, "1011")
    right = arrays_of(compute_gradients(problem))
    assert right["kernel"].item() == pytest.approx(X[3] + U * (X[2] + U * X[0]))
    assert faulty(problem, "masked-gradient", variant)["kernel"].item() == pytest.approx(kernel)


def test_output_repeated_at_a_masked_step():
    gradients = faulty(chain(2, "10", sequences=True), "masked-gradient", "repeated output")
    assert gradients["kernel"].item() == pytest.approx(X[0])


@pytest.mark.parametrize(
    ("cause", "slope"),
    [
        ("derivative-missing", np.ones_like),
        ("derivative-at-output", lambda x: 1 - np.tanh(np.tanh(x)) ** 2),
    ],
)
def test_slope_of_one_step(cause, slope):
    problem = chain(1, activation="tanh")
    x = W * X[0] + BIAS + U * 0.3
    assert faulty(problem, cause, "activation")["bias"].item() == pytest.approx(slope(x))


def test_slope_of_the_other_activation():
    spec = spec_of("gru", 2, activation="tanh", recurrent_activation="softsign", **BOTH)
    problem = with_cotangents(random_problem(spec, 0, (1, 1, 1), initial=True))
    (step,) = trace(problem)
    right = arrays_of(compute_gradients(problem))["bias"][0, 4:]
    wrong = faulty(problem, "derivative-of-other-activation", "activation")["bias"][0, 4:]
    g = step.gates["g"][0]
    np.testing.assert_allclose(wrong / right, (1 + abs(np.arctanh(g))) ** -2 / (1 - g * g))


@pytest.mark.parametrize(
    ("name", "ratio"), [("hard_sigmoid", 1.2), ("hard_sigmoid_keras2", 1 / 1.2)]
)
def test_slope_of_the_other_form(name, ratio):
    spec = spec_of("lstm", 2, recurrent_activation=name, **BOTH)
    problem = with_cotangents(random_problem(spec, 0, (1, 1, 1), initial=True))
    right = arrays_of(compute_gradients(problem))["kernel"][0]
    wrong = faulty(problem, "derivative-of-other-form", "recurrent activation")["kernel"][0]
    np.testing.assert_allclose(wrong / right, np.repeat([ratio, 1, ratio], [4, 2, 2]), rtol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "gru_before"])
def test_paths_of_a_gru(kind):
    problem = with_cotangents(random_problem(spec_of(kind, 3, **BOTH), 0, (2, 1, 2), initial=True))
    (step,) = trace(problem)
    name = "initial_state/h"
    right = arrays_of(compute_gradients(problem))
    total = problem.cotangents[0].data[:, 0] + problem.cotangents[1].data
    direct = faulty(problem, "gradient-path-missing", "GRU, projection")
    projected = faulty(problem, "gradient-path-missing", "GRU, z*h'")
    np.testing.assert_allclose(direct[name], total * step.gates["z"], rtol=1e-12)
    np.testing.assert_allclose(direct[name] + projected[name], right[name], rtol=1e-12)
    np.testing.assert_allclose(direct["recurrent_kernel"], right["recurrent_kernel"], rtol=1e-12)


@pytest.mark.parametrize(("class_name", "gates"), [("LSTM", "ifo"), ("GRU", "zr")])
def test_nothing_flows_through_one_gate(class_name, gates):
    for gate in gates:
        problem = with_cotangents(
            random_problem(spec_of(class_name.lower(), 2, **BOTH), 0, (2, 1, 3))
        )
        index = problem.layer.cell.gates.index(gate)
        right = arrays_of(compute_gradients(problem))["kernel"].copy()
        right[:, 2 * index : 2 * index + 2] = 0
        wrong = faulty(problem, "gradient-through-gate-missing", f"{class_name}, gate {gate}")
        np.testing.assert_allclose(wrong["kernel"], right, atol=1e-15)


def test_derivative_missing_in_one_place_of_an_lstm():
    problem = with_cotangents(
        random_problem(spec_of("lstm", 2, **BOTH), 0, (1, 1, 2), initial=True)
    )
    (step,) = trace(problem)
    right = arrays_of(compute_gradients(problem))["bias"]
    g = step.gates["g"][0]
    wrong = faulty(problem, "derivative-missing", "LSTM, candidate")["bias"]
    np.testing.assert_allclose(wrong[4:6], right[4:6] / (1 - g * g), rtol=1e-9)
    np.testing.assert_allclose(wrong[:4], right[:4])
    wrong = faulty(problem, "derivative-missing", "LSTM, output")["bias"]
    np.testing.assert_allclose(wrong[6:], right[6:])
    assert (wrong[:6] != right[:6]).all()


def test_paths_of_an_lstm_between_steps():
    """The gradient of the initial c of two steps without recurrent kernels is a product of f."""
    problem = with_cotangents(
        random_problem(spec_of("lstm", 2, **BOTH), 0, (1, 2, 2), initial=True)
    )
    weights = [
        replace(t, data=0 * t.data) if t.name == "recurrent_kernel" else t for t in problem.weights
    ]
    problem = replace(problem, weights=tuple(weights))
    right = arrays_of(compute_gradients(problem))
    through_c = faulty(problem, "gradient-truncated", "LSTM, through c only")
    np.testing.assert_allclose(through_c["initial_state/c"], right["initial_state/c"])
    assert (through_c["recurrent_kernel"] != 0).all()
    through_h = faulty(problem, "gradient-truncated", "LSTM, through h only")["initial_state/c"]
    first = replace(problem.cotangents[0], data=problem.cotangents[0].data * [[[1], [0]]])
    zeros = [replace(tensor, data=0 * tensor.data) for tensor in problem.cotangents[1:]]
    of_first = arrays_of(compute_gradients(replace(problem, cotangents=(first, *zeros))))
    np.testing.assert_allclose(through_h, of_first["initial_state/c"])


def rows_of(order):
    return lambda gradients, _: {"bias": gradients["bias"][order]}


def swapped(name, *order):
    return lambda gradients, _: {
        name: np.concatenate([np.split(gradients[name], len(order), -1)[n] for n in order], -1)
    }


def times(factor, *names):
    return lambda gradients, _: {
        n: factor * a for n, a in gradients.items() if n in names or not names
    }


def transposed(gradients, _):
    blocks = np.split(gradients["recurrent_kernel"], 4, -1)
    return {"recurrent_kernel": np.concatenate([block.T for block in blocks], -1)}


def norm_limited(gradients, names):
    return {n: gradients[n] / max(1, np.linalg.norm(gradients[n])) for n in names}


def norm_of_all_limited(gradients, names):
    norm = np.linalg.norm(np.concatenate([gradients[name].ravel() for name in names]))
    assert norm > 1
    return {name: gradients[name] / norm for name in names}


@pytest.mark.parametrize(
    ("kind", "cause", "variant", "edit"),
    [
        ("lstm", "gradient-missing", "bias", times(0, "bias")),
        (
            "lstm",
            "gradient-missing",
            "initial states",
            times(0, "initial_state/h", "initial_state/c"),
        ),
        ("lstm", "gradient-missing", "inputs", times(0, "inputs")),
        ("lstm", "gradient-missing", "half", times(0)),
        ("lstm", "gradient-doubled", "recurrent kernel", times(2, "recurrent_kernel")),
        ("lstm", "gradient-doubled", "all", times(2)),
        ("lstm", "gradient-negated", "all", times(-1)),
        ("gru", "gradient-bias-rows", "GRU, swapped", rows_of([1, 0])),
        ("gru", "gradient-bias-rows", "GRU, first in both", rows_of([0, 0])),
        ("gru", "gradient-bias-rows", "GRU, second in both", rows_of([1, 1])),
        ("gru", "gradient-gates-swapped", "GRU, z and r, kernel", swapped("kernel", 1, 0, 2)),
        ("lstm", "gradient-gates-swapped", "LSTM, f and o, bias", swapped("bias", 0, 3, 2, 1)),
        ("lstm", "gradient-transposed", "recurrent kernel", transposed),
        ("lstm", "gradient-averaged", "over the rows", times(1 / 3)),
        (
            "gru",
            "gradient-averaged",
            "weights, over the rows",
            times(1 / 3, "kernel", "recurrent_kernel", "bias"),
        ),
        (
            "gru",
            "gradient-averaged",
            "weights, over rows and steps",
            times(1 / 18, "kernel", "recurrent_kernel", "bias"),
        ),
        (
            "gru",
            "gradient-clipped",
            "values, to 1",
            lambda g, _: {n: np.clip(a, -1, 1) for n, a in g.items()},
        ),
        ("gru", "gradient-clipped", "norms", norm_limited),
        ("lstm", "gradient-clipped", "norm of all weights", norm_of_all_limited),
        (
            "lstm",
            "gradient-states-swapped",
            "LSTM",
            lambda g, _: {f"initial_state/{a}": g[f"initial_state/{b}"] for a, b in ("hc", "ch")},
        ),
    ],
)
def test_edited_gradients(kind, cause, variant, edit):
    problem = with_cotangents(random_problem(spec_of(kind, 4, **BOTH), 0, (3, 6, 5), initial=True))
    cotangents = tuple(replace(c, data=4 * c.data) for c in problem.cotangents)
    problem = replace(problem, cotangents=cotangents)
    gradients = arrays_of(compute_gradients(problem))
    expected = {**gradients, **edit(gradients, [tensor.name for tensor in problem.weights])}
    computed = faulty(problem, cause, variant)
    assert list(computed) == list(gradients)
    for name, array in expected.items():
        np.testing.assert_allclose(computed[name], array, rtol=1e-12)


def test_unreversed_inputs_of_one_half():
    problem = with_cotangents(random_problem(two_ways(spec_of("gru", 3, **BOTH)), 0))
    parts = [
        faulty(problem, "gradient-missing", "inputs", location)["inputs"]
        for location in ("backward/", "forward/")
    ]
    computed = faulty(problem, "gradient-not-reversed", "inputs", "backward/")
    np.testing.assert_allclose(computed["inputs"], parts[0] + parts[1][:, ::-1], rtol=1e-12)
    assert faulty(problem, "gradient-not-reversed", "inputs", "forward/") is None
    assert faulty(problem, "gradient-not-reversed", "inputs", EVERY_HALF) is None


@pytest.mark.parametrize(
    ("variant", "kept"),
    [
        ("states", "output"),
        ("outputs", "hc"),
        ("state c", ("output", "h")),
        ("all steps but the last", ""),
    ],
)
def test_dropped_cotangents(variant, kept):
    problem = with_cotangents(random_problem(spec_of("lstm", 3, **BOTH), 0))
    last = np.arange(6)[:, None] == 5
    cotangents = tuple(
        replace(c, data=c.data * (c.name in kept))
        if kept
        else replace(c, data=np.where(last, c.data, 0) if c.data.ndim == 3 else c.data)
        for c in problem.cotangents
    )
    expected = arrays_of(compute_gradients(replace(problem, cotangents=cotangents)))
    for name, array in faulty(problem, "cotangent-dropped", variant).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-12)


def test_only_cotangents_of_outputs_are_not_left_out():
    assert faulty(chain(2), "cotangent-dropped", "outputs") is None
    assert faulty(chain(2), "cotangent-dropped", "states") is None


def test_outputs_that_are_zero_at_masked_steps_are_not_repeated():
    spec = spec_of("gru", 3, zero_output_for_mask=True, **BOTH)
    problem = with_cotangents(random_problem(spec, 0, (1, 3, 2), mask=("101",)))
    assert faulty(problem, "masked-gradient", "repeated output") is None
    assert faulty(problem, "masked-gradient", "stops") is not None


def test_faults_of_masks_need_one():
    problem = with_cotangents(random_problem(spec_of("gru", 3, **BOTH), 0))
    assert faulty(problem, "masked-gradient", "stops") is None


def test_fault_in_every_half_or_in_one_layer_of_a_stack():
    problem = with_cotangents(
        random_problem(stack_of(spec_of("gru", 3, return_sequences=True), spec_of("gru", 3)), 0)
    )
    right = arrays_of(compute_gradients(problem))
    one = faulty(problem, "gradient-doubled", "bias", "1/")
    both = faulty(problem, "gradient-doubled", "bias", EVERY_HALF)
    for name, array in right.items():
        assert np.array_equal(one[name], (1 + (name == "1/bias")) * array)
        assert np.array_equal(both[name], (1 + name.endswith("bias")) * array)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", ["simple_rnn", "lstm", "gru_before"])
def test_gradients_past_the_mask_of_dropout(kind, shared):
    """One step from given states: what flows back has the factor of the mask or has it not."""
    spec = spec_of(kind, 3, **EXACT, return_state=True)
    problem = with_dropout(random_problem(spec, 0, (2, 1, 4), initial=True), shared=shared)
    problem = with_cotangents(problem)
    right = arrays_of(compute_gradients(problem))
    masks = {mask.name: mask.data for mask in problem.dropout_masks}
    for what, kernel in (("inputs", "kernel"), ("recurrent", "recurrent_kernel")):
        past = faulty(problem, "dropout-gradient", f"{what}, past the mask")
        other = faulty(problem, "dropout-gradient", f"{what}, {kernel.replace('_', ' ')}")
        changed = "inputs" if what == "inputs" else "initial_state/h"
        assert {n for n in right if not np.array_equal(right[n], other[n])} == {kernel}
        differing = {n for n in right if not np.allclose(right[n], past[n], rtol=1e-12)}
        # The GRU drops out r*h', through which the gate has a gradient, too.
        through_gate = kind == "gru_before" and what == "recurrent"
        assert differing == (set(right) if through_gate else {changed})
        if shared and what == "inputs":
            np.testing.assert_allclose(past[changed][:, 0] * masks[what][0], right[changed][:, 0])


def test_gradient_of_a_kernel_before_dropout_by_hand():
    spec = spec_of("simple_rnn", 2, **EXACT, activation="linear")
    problem = with_dropout(random_problem(spec, 0, (3, 1, 4), initial=True))
    problem = with_cotangents(problem)
    x, h = problem.inputs.data[:, 0], problem.initial_state[0].data
    m_x = problem.dropout_masks[0].data[0]
    (g,) = (tensor.data for tensor in problem.cotangents)
    right = arrays_of(compute_gradients(problem))
    W, U = (tensor.data for tensor in problem.weights[:2])
    np.testing.assert_allclose(right["kernel"], (x * m_x).T @ g)
    for name, array, by_hand in (
        ("inputs, kernel", "kernel", x.T @ g),
        ("recurrent, recurrent kernel", "recurrent_kernel", h.T @ g),
        ("inputs, past the mask", "inputs", (g @ W.T)[:, None]),
        ("recurrent, past the mask", "initial_state/h", g @ U.T),
    ):
        found = faulty(problem, "dropout-gradient", name)
        np.testing.assert_allclose(found[array], by_hand)
        assert not np.allclose(right[array], by_hand)
        assert all(np.array_equal(found[n], right[n]) for n in right if n != array)


def test_faults_of_dropout_need_its_masks():
    found = faulty(case(CASES[1]), "dropout-gradient", "inputs, past the mask")
    assert found is None
    half = with_dropout(random_problem(spec_of("gru", 3)), "inputs")
    assert faulty(with_cotangents(half), "dropout-gradient", "recurrent, past the mask") is None


def test_names_are_unique_and_apart_from_the_other_list():
    names = [(fault.cause, fault.variant) for fault in BACKWARD_FAULTS]
    assert len(set(names)) == len(names) >= 25
    assert not {fault.cause for fault in BACKWARD_FAULTS} & {fault.cause for fault in FAULTS}
    for fault in BACKWARD_FAULTS:
        assert fault.description.endswith(".")
        assert fault.fix.endswith(".")


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_right(name):
    problem = case(name)
    expected = compute(problem)
    for fault in BACKWARD_FAULTS:
        for placed in placements(problem, fault):
            outputs = FaultyBackwardUnroller(problem, TapedArithmetic(), placed).run()
            for output, tensor in zip(outputs, expected, strict=True):
                np.testing.assert_allclose(output.value[0], tensor.data, rtol=0, atol=1e-15)


def test_every_fault_is_detected_by_a_case():
    detected = set()
    for name in CASES:
        coverage = gradient_coverage(case(name))
        detected |= {(fault.cause, fault.variant) for fault in coverage.detected}
    assert detected == {(fault.cause, fault.variant) for fault in BACKWARD_FAULTS}


def test_what_the_inputs_cannot_show_is_undetected():
    """A sequence of two steps, of which only the first has a cotangent, needs no path between."""
    problem = chain(2, sequences=True)
    problem = replace(problem, cotangents=(Tensor("output", np.array([[[1.0], [0.0]]])),))
    (fault,) = [f for f in BACKWARD_FAULTS if f.variant == "every step"]
    coverage = gradient_coverage(problem, faults=[fault])
    assert coverage.undetected == (FaultId("gradient-truncated", "every step", ""),)
    assert not coverage.detected
