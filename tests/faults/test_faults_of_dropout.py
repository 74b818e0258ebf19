"""Faults of dropout compute the mistakes that they name: equations by hand, with wrong masks."""

from dataclasses import replace

import numpy as np
import pytest
from _support.fault_tools import fault, outputs_by_location, outputs_with
from _support.random_problems import (
    EXACT,
    KINDS,
    SEQUENCES,
    SHAPE,
    assert_same,
    random_problem,
    spec_of,
    two_ways,
    with_dropout,
)

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.faults import FAULTS, mutate
from rnnparity.faults.dropout import DROPOUT_FAULTS
from rnnparity.problem.explanations import WHOLE
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def problem_of(kind, shared=False, **config):
    spec = spec_of(kind, **EXACT, **SEQUENCES, **config)
    return with_dropout(random_problem(spec, 3, SHAPE, initial=True), seed=5, shared=shared)


def masks_of(problem):
    """Return the masks of the inputs (G, B, D) and of the recurrent product (G, B, H)."""
    gates = len(problem.layer.cell.gates)
    return [np.broadcast_to(m.data, (gates, *m.shape[1:])) for m in problem.dropout_masks]


def by_hand(problem, kind, m_x, m_h, keep=lambda h: h, after=None, state=lambda h: h):
    """Return the sequence of outputs with these masks.

    `keep` is applied to h' in the GRU's z*h', `state` to the new h, `after` (G, B, H) multiplies the
    recurrent products.
    """
    gates = len(problem.layer.cell.gates)
    W, U, b = ([*np.split(w.data, gates, axis=-1)] for w in problem.weights)
    h, *c = (tensor.data for tensor in problem.initial_state)
    after = np.ones_like(m_h) if after is None else after
    outputs = []
    for t in range(problem.inputs.shape[1]):
        x = problem.inputs.data[:, t]

        def of_x(k, x=x):
            bias = b[k][0] if kind == "gru" else b[k]
            return (x * m_x[k]) @ W[k] + bias

        def of_h(k, h):
            return ((h * m_h[k]) @ U[k]) * after[k]

        if kind == "simple_rnn":
            h = np.tanh(of_x(0) + of_h(0, h))
        elif kind == "lstm":
            z_i, z_f, z_c, z_o = (of_x(k) + of_h(k, h) for k in range(4))
            c = [sigmoid(z_f) * c[0] + sigmoid(z_i) * np.tanh(z_c)]
            h = sigmoid(z_o) * np.tanh(c[0])
        else:
            b_h = [b[k][1] if kind == "gru" else 0.0 for k in range(3)]
            z, r = (sigmoid(of_x(k) + of_h(k, h) + b_h[k]) for k in (0, 1))
            candidate = r * (of_h(2, h) + b_h[2]) if kind == "gru" else of_h(2, r * h)
            h = z * keep(h) + (1 - z) * np.tanh(of_x(2) + candidate)
        h = state(h)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def ones(mask):
    return np.ones_like(mask)


def only_first(mask):
    return np.stack([mask[0], *[ones(mask[0])] * (len(mask) - 1)])


def inverted(mask):
    return np.where(mask > 0, 0, mask.max())


EDITS = {
    "dropout-missing: inputs": lambda m_x, m_h: (ones(m_x), m_h),
    "dropout-missing: recurrent": lambda m_x, m_h: (m_x, ones(m_h)),
    "dropout-missing: inputs and recurrent": lambda m_x, m_h: (ones(m_x), ones(m_h)),
    "dropout-scale: inputs, missing": lambda m_x, m_h: (1.0 * (m_x > 0), m_h),
    "dropout-scale: recurrent, missing": lambda m_x, m_h: (m_x, 1.0 * (m_h > 0)),
    "dropout-scale: inputs, twice": lambda m_x, m_h: (m_x * m_x, m_h),
    "dropout-scale: recurrent, twice": lambda m_x, m_h: (m_x, m_h * m_h),
    "dropout-inverted: inputs": lambda m_x, m_h: (inverted(m_x), m_h),
    "dropout-inverted: recurrent": lambda m_x, m_h: (m_x, inverted(m_h)),
}
OF_GATES = {
    "dropout-one-mask: inputs, the first gate's": lambda m_x, m_h: (m_x[[0] * len(m_x)], m_h),
    "dropout-one-mask: inputs, the last gate's": lambda m_x, m_h: (m_x[[-1] * len(m_x)], m_h),
    "dropout-one-mask: recurrent, the first gate's": lambda m_x, m_h: (m_x, m_h[[0] * len(m_h)]),
    "dropout-one-mask: recurrent, the last gate's": lambda m_x, m_h: (m_x, m_h[[-1] * len(m_h)]),
}
SWAPPED = {
    "LSTM, i and f": [1, 0, 2, 3],
    "LSTM, i and c": [2, 1, 0, 3],
    "LSTM, i and o": [3, 1, 2, 0],
    "LSTM, f and c": [0, 2, 1, 3],
    "LSTM, f and o": [0, 3, 2, 1],
    "LSTM, c and o": [0, 1, 3, 2],
    "GRU, z and r": [1, 0, 2],
    "GRU, z and h": [2, 1, 0],
    "GRU, r and h": [0, 2, 1],
}
GATED = [kind for kind in KINDS if kind != "simple_rnn"]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("kind", KINDS)
def test_masks_that_are_missing_or_of_another_size(kind, name, shared):
    problem = problem_of(kind, shared)
    expected = by_hand(problem, kind, *EDITS[name](*masks_of(problem)))
    assert_same(outputs_with(problem, name)["output"], expected)


@pytest.mark.parametrize("name", OF_GATES)
@pytest.mark.parametrize("kind", GATED)
def test_one_mask_for_all_gates(kind, name):
    problem = problem_of(kind)
    expected = by_hand(problem, kind, *OF_GATES[name](*masks_of(problem)))
    assert_same(outputs_with(problem, name)["output"], expected)
    assert mutate(problem_of(kind, shared=True), fault(name)) == []


@pytest.mark.parametrize("kind", GATED)
def test_a_mask_for_all_gates_in_the_first_only(kind):
    problem = problem_of(kind, shared=True)
    m_x, m_h = masks_of(problem)
    inputs = outputs_with(problem, "dropout-one-gate: inputs")["output"]
    assert_same(inputs, by_hand(problem, kind, only_first(m_x), m_h))
    recurrent = outputs_with(problem, "dropout-one-gate: recurrent")["output"]
    assert_same(recurrent, by_hand(problem, kind, m_x, only_first(m_h)))
    assert mutate(problem_of(kind), fault("dropout-one-gate: inputs")) == []


@pytest.mark.parametrize("gates", SWAPPED)
@pytest.mark.parametrize("kind", GATED)
def test_masks_of_two_gates_exchanged(kind, gates):
    problem = problem_of(kind)
    names = [f"dropout-gates-swapped: {gates}, {what}" for what in ("inputs", "recurrent")]
    if gates.split(",")[0] != problem.layer.class_name:
        assert [mutate(problem, fault(name)) for name in names] == [[], []]
        return
    m_x, m_h = masks_of(problem)
    order = SWAPPED[gates]
    expected = [by_hand(problem, kind, m_x[order], m_h), by_hand(problem, kind, m_x, m_h[order])]
    for name, right in zip(names, expected, strict=True):
        assert_same(outputs_with(problem, name)["output"], right)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_of_the_result_or_of_the_state_itself(kind, shared):
    problem = problem_of(kind, shared)
    m_x, m_h = masks_of(problem)
    after = outputs_with(problem, "dropout-misplaced: recurrent, after the product")["output"]
    assert_same(after, by_hand(problem, kind, m_x, ones(m_h), after=m_h))
    state = outputs_with(problem, "dropout-misplaced: recurrent, the state itself")["output"]
    assert_same(state, by_hand(problem, kind, m_x, m_h, state=lambda h: h * m_h[0]))


@pytest.mark.parametrize("kind", ["gru", "gru_before"])
def test_dropout_of_the_state_that_a_gru_keeps(kind):
    problem = problem_of(kind)
    m_x, m_h = masks_of(problem)
    for gate, index in (("z", 0), ("h", 2)):
        actual = outputs_with(problem, f"dropout-misplaced: GRU, z*h', mask of {gate}")["output"]
        expected = by_hand(problem, kind, m_x, m_h, keep=lambda h, m=m_h[index]: h * m)
        assert_same(actual, expected, 1e-13)
    shared = problem_of(kind, shared=True)
    assert len(mutate(shared, fault("dropout-misplaced: GRU, z*h', mask of z"))) == 1
    assert mutate(shared, fault("dropout-misplaced: GRU, z*h', mask of h")) == []


@pytest.mark.parametrize("what", ["inputs", "recurrent"])
def test_masks_of_the_other_half(what):
    problem = random_problem(two_ways(spec_of("lstm", **EXACT, **SEQUENCES)), 3, SHAPE)
    problem = with_dropout(problem, seed=5)
    masks = {tensor.name: tensor for tensor in problem.dropout_masks}
    forward, backward = f"forward/{what}", f"backward/{what}"

    exchanged = {forward: backward, backward: forward}
    for variant, source in (("exchanged", exchanged), ("one for both", {backward: forward})):
        found = outputs_by_location(problem, fault(f"dropout-halves-swapped: {what}, {variant}"))
        wrong = tuple(replace(t, data=masks[source.get(n, n)].data) for n, t in masks.items())
        (expected,) = compute(replace(problem, dropout_masks=wrong))
        assert_same(found[WHOLE]["output"], expected.data)


def test_faults_of_dropout_need_dropout():
    case = catalogue()["lstm-spread-sequences-state-mask_interior"]
    assert [f for f in DROPOUT_FAULTS if not f.needs_dropout or mutate(case, f)] == []
    half = with_dropout(random_problem(spec_of("lstm")), "inputs")
    names = {m.fault.variant for f in DROPOUT_FAULTS for m in mutate(half, f)}
    assert names
    assert not any("recurrent" in name or "GRU" in name for name in names)


def named_causes(case, fault):
    """Return the causes that are named for every mutant of a case."""
    for mutant in mutate(case, fault):
        outputs = [
            Tensor.of(t.name, t.data, s.dtype)
            for t, s in zip(mutant.outputs, case.output_slots(), strict=True)
        ]
        cause = diagnose(case.with_outputs(tuple(outputs))).explanation.cause
        assert cause is not None
        yield mutant, [(found.cause, found.variant) for found in cause.faults]


NAMED = [
    ("dropout-both-gru-forward", "dropout-misplaced", "GRU, z*h', mask of z"),
    ("dropout-recurrent-lstm-concat", "dropout-gates-swapped", "LSTM, c and o, recurrent"),
    ("dropout-both-simple_rnn-sum", "dropout-halves-swapped", "inputs, exchanged"),
]


@pytest.mark.parametrize(("case", "cause", "variant"), NAMED)
def test_the_cause_is_named(case, cause, variant):
    (fault,) = [f for f in DROPOUT_FAULTS if (f.cause, f.variant) == (cause, variant)]
    found = list(named_causes(catalogue()[case], fault))
    assert found
    assert all(names == [(cause, variant)] for _, names in found)


@pytest.mark.slow
@pytest.mark.parametrize("fault", DROPOUT_FAULTS, ids=lambda f: f"{f.cause}: {f.variant}")
def test_every_cause_is_named_in_a_case(fault):
    assert fault in FAULTS
    cases = [case for case in catalogue().values() if case.dropout_masks is not None]
    found = [pair for case in cases for pair in named_causes(case, fault)]
    assert found
    for mutant, names in found:
        assert (fault.cause, fault.variant) in names, mutant.placed
