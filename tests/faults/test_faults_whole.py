"""Faults of the whole layer: flags, axes, scales, precision; and where faults are injected."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from _support.fault_tools import (
    assert_arrays,
    bidirectional,
    every_cell,
    fault,
    outputs_by_location,
    outputs_with,
    processed_mask,
    repeat_masked,
    single_half,
    single_layer,
    with_inputs,
)
from _support.random_problems import (
    BOTH,
    EXACT,
    MASK,
    SEQUENCES,
    SHAPE,
    STATE,
    assert_all_same,
    assert_same,
    outputs_of,
    random_problem,
    spec_of,
    stack_of,
)

from rnnparity.faults import (
    FAULTS,
    PlacedFault,
    candidates,
    inject,
    is_detected,
    mutants,
    mutate,
    run_all,
)
from rnnparity.faults.unroller import FaultyUnroller
from rnnparity.faults.weights import WEIGHT_FAULTS
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.explanations import EVERY_HALF, WHOLE
from rnnparity.reference import Unroller
from rnnparity.reference.tolerance import expect

# Flags, axes, scales.


@pytest.mark.parametrize("name", ["return_sequences", "return_state"])
@pytest.mark.parametrize("value", [True, False])
def test_flags_have_the_other_value(name, value):
    single = single_layer("lstm", **{name: not value})
    both = bidirectional("gru", mask=None, **{name: not value})
    stack = random_problem(
        stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm", **{name: not value})), 6, SHAPE
    )
    flags = {name: value}
    last = replace(stack.layer.layers[1], **flags)
    forward = replace(both.layer.forward, **flags)
    backward = replace(both.layer.backward, **flags)
    for problem, layer in [
        (single, replace(single.layer, **flags)),
        (both, replace(both.layer, forward=forward, backward=backward)),
        (stack, replace(stack.layer, layers=(stack.layer.layers[0], last))),
    ]:
        actual = outputs_with(problem, f"return-flags: {name} {value}")
        assert_all_same(actual, outputs_of(replace(problem, layer=layer)))
        assert not outputs_by_location(problem, fault(f"return-flags: {name} {not value}"))


def test_axes_of_inputs_or_outputs_are_in_another_order():
    problem = bidirectional("lstm", None, **BOTH)
    (B, T, D), numbers = SHAPE, problem.inputs.data.ravel()
    features_first, time_first = np.empty(SHAPE), np.empty(SHAPE)
    for b, t, d in np.ndindex(*SHAPE):
        features_first[b, t, d] = numbers[(b * D + d) * T + t]
        time_first[b, t, d] = numbers[(t * B + b) * D + d]
    for variant, inputs in {
        "time and features": features_first,
        "batch and time": time_first,
    }.items():
        expected = outputs_of(with_inputs(problem, inputs))
        assert_all_same(outputs_with(problem, f"axis-swapped: {variant}"), expected)
    expected = {
        name: y.swapaxes(0, 1) if name.endswith("output") else y
        for name, y in outputs_of(problem).items()
    }
    assert_all_same(outputs_with(problem, "axis-swapped: outputs time first"), expected)
    assert not outputs_by_location(bidirectional("lstm"), fault("axis-swapped: outputs time first"))


@pytest.mark.parametrize("flags", [BOTH, STATE], ids=["sequences", "last"])
def test_outputs_are_scaled_shifted_or_dropped(flags):
    problem = single_layer("gru", **{"return_sequences": False, **flags})
    correct, inputs = outputs_of(problem), problem.inputs.data.copy()
    y = correct["output"].copy()
    for b, t, d in np.ndindex(*inputs.shape):
        inputs[b, t, d] *= 0 if (b + d) % 2 else 2
    for index in np.ndindex(*y.shape):
        y[index] *= 0 if sum(index) % 2 else 2
    expected = outputs_of(with_inputs(problem, inputs))
    assert_all_same(outputs_with(problem, "dropout-active: inputs, rate 0.5"), expected)
    for name, output in {
        "dropout-active: outputs, rate 0.5": y,
        "unit-scale: outputs times 0.5": correct["output"] / 2,
        "unit-scale: outputs shifted by 0.1": correct["output"] + 0.1,
    }.items():
        assert_all_same(outputs_with(problem, name), correct | {"output": output})


@pytest.mark.parametrize(
    ("shape", "variant"), [((4, 4, 3), "batch and time"), ((5, 3, 3), "time and features")]
)
def test_axes_of_equal_length_are_transposed(shape, variant):
    problem = random_problem(spec_of("gru", **EXACT), 0, shape)
    axes = (1, 0, 2) if variant == "batch and time" else (0, 2, 1)
    expected = outputs_of(with_inputs(problem, problem.inputs.data.transpose(axes)))
    assert_all_same(outputs_with(problem, f"axis-swapped: {variant}"), expected)


def test_bidirectional_with_sequences_returns_zeros_at_masked_steps():
    """Keras passes zero_output_for_mask on to both halves."""
    problem = bidirectional("gru", return_state=True)
    expected = outputs_of(bidirectional("gru", **BOTH))
    assert_all_same(outputs_with(problem, "return-flags: return_sequences True"), expected)


def test_weights_are_swapped_only_between_layers_with_the_same_weights():
    for biases in ((True, False), (False, True)):
        layers = [spec_of("gru", 3, use_bias=use_bias, **SEQUENCES) for use_bias in biases]
        problem = random_problem(stack_of(*layers), 0, SHAPE)
        assert mutate(problem, fault("layer-order: 0 and 1")) == []


# Precision.


@pytest.mark.parametrize("name", ["float16", "bfloat16", "TF32"])
def test_low_precision_rounds_weights_inputs_and_states(name):
    """A normal float16 has as many bits as TF32, which does not round the last state."""
    problem = random_problem(spec_of("simple_rnn", use_bias=False, **SEQUENCES), 7, SHAPE)
    rounded = FLOAT_TYPES["float16" if name == "TF32" else name].round
    x, W, U = (rounded(t.data).astype(float) for t in (problem.inputs, *problem.weights))
    h, outputs = np.zeros((SHAPE[0], 4)), []
    for t in range(SHAPE[1]):
        h = np.tanh(x[:, t] @ W + rounded(h).astype(float) @ U)
        outputs.append(h if name == "TF32" else rounded(h).astype(float))
    actual = outputs_with(problem, f"low-precision: {name}")["output"]
    assert_same(actual, np.stack(outputs, axis=1), 1e-7)


def test_tf32_rounds_only_what_enters_a_product():
    """The bias and z * h' keep their bits; r * h' loses them, for it is multiplied by U_h."""
    problem = random_problem(spec_of("gru", reset_after=False, **SEQUENCES), 7, SHAPE, mask=MASK)
    W, U, b = (tensor.data.astype(float) for tensor in problem.weights)
    h, outputs = np.zeros((SHAPE[0], 4)), []

    def product(first, second):
        first, second = (
            FLOAT_TYPES["float16"].round(array).astype(float) for array in (first, second)
        )
        return first @ second

    for t in range(SHAPE[1]):
        a = product(problem.inputs.data[:, t], W) + b
        z, r = np.split(1 / (1 + np.exp(-a[:, :8] - product(h, U[:, :8]))), 2, axis=1)
        new = z * h + (1 - z) * np.tanh(a[:, 8:] + product(r * h, U[:, 8:]))
        h = np.where(problem.mask[:, t, None], new, h)
        outputs.append(h)  # from zeros the kept state is the previous output
    actual = outputs_with(problem, "low-precision: TF32")["output"]
    assert_same(actual, np.stack(outputs, axis=1), 1e-7)


@every_cell
def test_low_precision_is_small_but_not_noise(cell):
    problem = random_problem(spec_of(cell, **BOTH), 8, SHAPE, mask=MASK)
    expected, worst = expect(problem), {}
    for name in ("bfloat16", "float16", "TF32"):
        (mutant,) = mutate(problem, fault(f"low-precision: {name}"))
        assert is_detected(mutant, expected)
        worst[name] = max(
            np.abs(a.data - b.data).max()
            for a, b in zip(mutant.outputs, expected.outputs, strict=True)
        )
    assert 1e-5 < worst["TF32"] < 5e-3
    assert 1e-5 < worst["float16"] < 5e-3
    assert 4 * worst["float16"] < worst["bfloat16"] < 5e-2


def test_low_precision_applies_only_to_layers_of_more_bits():
    applying = {}
    for policy in ("float64", "float32", "float16", "mixed_bfloat16"):
        faults = [m.fault for m in mutants(random_problem(spec_of("gru", dtype=policy), 0, SHAPE))]
        applying[policy] = {fault.variant for fault in faults if fault.cause == "low-precision"}
    few = {"TF32", "float16", "bfloat16"}
    assert applying == {
        "float64": few | {"float32"}, "float32": few, "float16": {"bfloat16"}, "mixed_bfloat16": set(),
    }  # fmt: skip


# Locations and combinations.

SEVERAL = {
    "bidirectional": bidirectional("lstm", **BOTH),
    "stack": random_problem(
        stack_of(spec_of("gru", 3, **EXACT, **SEQUENCES), spec_of("gru", 3, **EXACT, go_backwards=True, **BOTH)),
        9, SHAPE, mask=MASK,
    ),
}  # fmt: skip
several = pytest.mark.parametrize("problem", SEVERAL.values(), ids=SEVERAL)


def run_faults(problem, *placed):
    (batch,) = run_all([inject(problem, placed)])
    return {tensor.name: tensor.data for tensor in batch.mutant(0).outputs}


@several
def test_variant_of_a_batch_is_the_same_in_a_single_run(problem):
    batched = {mutant.faults: mutant for mutant in mutants(problem)}
    single = [mutant for fault in WEIGHT_FAULTS for mutant in mutate(problem, fault)]
    assert len(single) > 30
    for mutant in single:
        expected = [tensor.data for tensor in batched[mutant.faults].outputs]
        assert_arrays({tensor.name: tensor.data for tensor in mutant.outputs}, expected)


def runs_of(problem):
    return {
        batch.mutant(n).faults: batch.mutant(n).outputs
        for batch in run_all(candidates(problem))
        for n in range(len(batch.injections))
    }


@several
def test_half_that_no_fault_changes_has_the_same_outputs_in_its_own_run(problem, monkeypatch):
    shared = runs_of(problem)
    monkeypatch.setattr(FaultyUnroller, "_is_healthy", lambda *_: False)
    alone = runs_of(problem)
    assert shared.keys() == alone.keys()
    for faults, outputs in alone.items():
        for tensor, expected in zip(shared[faults], outputs, strict=True):
            np.testing.assert_array_equal(tensor.data, expected.data, err_msg=str(faults))


def test_half_that_no_fault_changes_runs_once(monkeypatch):
    counts = Counter()
    run_half = Unroller.run_half

    def counted(self, layer, prefix, x, mask):
        counts[prefix] += 1
        return run_half(self, layer, prefix, x, mask)

    monkeypatch.setattr(Unroller, "run_half", counted)
    problem = SEVERAL["bidirectional"]
    forward = [item for item in candidates(problem) if item.placed[0].location == "forward/"]
    assert len(list(run_all(forward))) > 20
    assert counts["forward/"] > 20
    assert counts["backward/"] == 1


@several
def test_fault_in_every_half_is_the_fault_in_each_half(problem):
    compared = 0
    for listed in FAULTS:
        by_location = outputs_by_location(problem, listed)
        in_every_half = by_location.pop(EVERY_HALF, None)
        if in_every_half is not None:
            placed = [PlacedFault(listed, location) for location in by_location]
            assert_all_same(run_faults(problem, *placed), in_every_half)
            compared += 1
    assert compared > 30


@pytest.mark.parametrize("prefix", ["0/", "1/", "forward/", "backward/"])
def test_fault_in_one_half_is_the_fault_in_a_single_layer(prefix):
    problem = SEVERAL["stack" if prefix in ("0/", "1/") else "bidirectional"]
    x, compared = problem.inputs.data, 0

    def run(fault, half, inputs):
        layer = single_half(problem, half, inputs)
        return outputs_by_location(layer, fault)[""] if half == prefix else outputs_of(layer)

    for listed in FAULTS:
        actual = outputs_by_location(problem, listed).get(prefix)
        if actual is None or listed.variant in ("from half to half", "read and returned forward"):
            continue  # faults between two halves
        if prefix in ("0/", "1/"):
            expected = run(listed, "1/", run(listed, "0/", x)["output"]).values()
        else:
            y, *states = run(listed, "forward/", x).values()
            y_rev, *backward_states = run(listed, "backward/", x).values()
            output = np.concatenate([y, y_rev[:, ::-1]], axis=-1)
            expected = [output, *states, *backward_states]
        assert_arrays(actual, expected)
        compared += 1
    assert compared > 50


def test_two_faults_together():
    """Peepholes, and no bias."""
    problem = single_layer("lstm", mask=None, return_state=False)
    W, U, _ = (tensor.data for tensor in problem.weights)
    (h, c), outputs = (state.data for state in problem.initial_state), []
    for t in range(SHAPE[1]):
        i, f, g, o = np.split(problem.inputs.data[:, t] @ W + h @ U, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-(z + c))) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        outputs.append(h)
    pair = [
        PlacedFault(fault(name), "")
        for name in ("peephole-or-clip: LSTM, peephole", "bias-missing: all of it")
    ]
    for placed in (pair, pair[::-1]):
        assert_same(run_faults(problem, *placed)["output"], np.stack(outputs, axis=1))
    ignored = PlacedFault(fault("initial-state-ignored: zeros instead"), WHOLE)
    shifted = PlacedFault(fault("unit-scale: outputs shifted by 0.1"), "")
    from_zeros = outputs_of(replace(problem, initial_state=None))["output"]
    assert_same(run_faults(problem, ignored, shifted)["output"], from_zeros + 0.1)


def test_fault_of_masked_steps_together_with_others():
    problem = single_layer("gru")
    layer, weights = replace(problem.layer, use_bias=False), problem.weights[:2]
    unmasked = outputs_of(replace(problem, layer=layer, weights=weights, mask=None))
    repeated = repeat_masked(unmasked["output"], processed_mask(problem))
    expected = unmasked | {"output": 2 * repeated}
    names = ("bias-missing: all of it", "unit-scale: outputs times 2", "masked-state: leaks")
    placed = [PlacedFault(fault(name), "") for name in names]
    assert_all_same(run_faults(problem, *placed), expected)
