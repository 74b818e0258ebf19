"""The faults of the layer as a whole: what is returned, axes, scales, precision; and where faults
strike."""

from dataclasses import replace

import numpy as np
import pytest
from _support.fault_tools import (
    assert_arrays,
    both_ways,
    every_kind,
    fault,
    fed,
    half_alone,
    held,
    layer_of,
    places,
    under,
    used,
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

from rnnparity.faults import FAULTS, PlacedFault, inject, is_detected, mutants, mutate, run_all
from rnnparity.faults.weights import WEIGHT_FAULTS
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.reference.tolerance import expect

# --- what is returned, axes, scales
# -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["return_sequences", "return_state"])
@pytest.mark.parametrize("value", [True, False])
def test_other_flags(name, value):
    single = layer_of("lstm", **{name: not value})
    ways = both_ways("gru", mask=None, **{name: not value})
    stack = random_problem(
        stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm", **{name: not value})), 6, SHAPE
    )
    flags = {name: value}
    last = replace(stack.layer.layers[1], **flags)
    for problem, layer in [
        (single, replace(single.layer, **flags)),
        (
            ways,
            replace(
                ways.layer,
                **{w: replace(getattr(ways.layer, w), **flags) for w in ("forward", "backward")},
            ),
        ),
        (stack, replace(stack.layer, layers=(stack.layer.layers[0], last))),
    ]:
        given = under(problem, f"return-flags: {name} {value}")
        assert_all_same(given, outputs_of(replace(problem, layer=layer)))
        assert not places(problem, fault(f"return-flags: {name} {not value}"))


def test_axes_read_and_given_in_another_order():
    problem = both_ways("lstm", None, **BOTH)
    (B, T, D), numbers = SHAPE, problem.inputs.data.ravel()
    features_first, time_first = np.empty(SHAPE), np.empty(SHAPE)
    for b, t, d in np.ndindex(*SHAPE):
        features_first[b, t, d] = numbers[(b * D + d) * T + t]
        time_first[b, t, d] = numbers[(t * B + b) * D + d]
    for which, inputs in {
        "time and features": features_first,
        "batch and time": time_first,
    }.items():
        assert_all_same(under(problem, f"axis-swapped: {which}"), outputs_of(fed(problem, inputs)))
    right = outputs_of(problem)
    expected = {
        name: y.swapaxes(0, 1) if name.endswith("output") else y for name, y in right.items()
    }
    assert_all_same(under(problem, "axis-swapped: outputs time first"), expected)
    assert not places(both_ways("lstm"), fault("axis-swapped: outputs time first"))


@pytest.mark.parametrize("flags", [BOTH, STATE], ids=["sequences", "last"])
def test_outputs_scaled_shifted_and_dropped(flags):
    problem = layer_of("gru", **{"return_sequences": False, **flags})
    right, inputs, y = (
        outputs_of(problem),
        problem.inputs.data.copy(),
        outputs_of(problem)["output"].copy(),
    )
    for b, t, d in np.ndindex(*inputs.shape):
        inputs[b, t, d] *= 0 if (b + d) % 2 else 2
    for index in np.ndindex(*y.shape):
        y[index] *= 0 if sum(index) % 2 else 2
    assert_all_same(
        under(problem, "dropout-active: inputs, rate 0.5"), outputs_of(fed(problem, inputs))
    )
    for name, output in {
        "dropout-active: outputs, rate 0.5": y,
        "unit-scale: outputs times 0.5": right["output"] / 2,
        "unit-scale: outputs shifted by 0.1": right["output"] + 0.1,
    }.items():
        assert_all_same(under(problem, name), right | {"output": output})


@pytest.mark.parametrize(
    ("shape", "which"), [((4, 4, 3), "batch and time"), ((5, 3, 3), "time and features")]
)
def test_axes_of_equal_length_are_exchanged_unseen(shape, which):
    problem = random_problem(spec_of("gru", **EXACT), 0, shape)
    axes = (1, 0, 2) if which == "batch and time" else (0, 2, 1)
    expected = outputs_of(fed(problem, problem.inputs.data.transpose(axes)))
    assert_all_same(under(problem, f"axis-swapped: {which}"), expected)


def test_a_bidirectional_with_sequences_gives_zeros_under_a_mask():
    """As Keras hands zero_output_for_mask on to both halves."""
    problem = both_ways("gru", return_state=True)
    expected = outputs_of(both_ways("gru", **BOTH))
    assert_all_same(under(problem, "return-flags: return_sequences True"), expected)


def test_weights_are_exchanged_between_layers_alike_alone():
    for biased in ((True, False), (False, True)):
        one, other = (spec_of("gru", 3, use_bias=use, **SEQUENCES) for use in biased)
        assert (
            mutate(random_problem(stack_of(one, other), 0, SHAPE), fault("layer-order: 0 and 1"))
            == []
        )


# --- precision
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["float16", "bfloat16", "TF32"])
def test_fewer_bits_by_hand(name):
    """Without a bias; a float16 that is no denormal has as many bits as TF32. The last state is not
    rounded there."""
    problem = random_problem(spec_of("simple_rnn", use_bias=False, **SEQUENCES), 7, SHAPE)
    kept = FLOAT_TYPES["float16" if name == "TF32" else name].round
    x, W, U = (kept(t.data).astype(float) for t in (problem.inputs, *problem.weights))
    h, outputs = np.zeros((SHAPE[0], 4)), []
    for t in range(SHAPE[1]):
        h = np.tanh(x[:, t] @ W + kept(h).astype(float) @ U)
        outputs.append(h if name == "TF32" else kept(h).astype(float))
    assert_same(under(problem, f"low-precision: {name}")["output"], np.stack(outputs, axis=1), 1e-7)


@every_kind
def test_fewer_bits_are_near_but_no_noise(kind):
    problem = random_problem(spec_of(kind, **BOTH), 8, SHAPE, mask=MASK)
    right, worst = expect(problem), {}
    for name in ("bfloat16", "float16", "TF32"):
        (mutant,) = mutate(problem, fault(f"low-precision: {name}"))
        assert is_detected(mutant, right)
        worst[name] = max(
            np.abs(a.data - b.data).max()
            for a, b in zip(mutant.outputs, right.outputs, strict=True)
        )
    assert 1e-5 < worst["TF32"] < 5e-3
    assert 1e-5 < worst["float16"] < 5e-3
    assert 4 * worst["float16"] < worst["bfloat16"] < 5e-2


def test_a_layer_of_few_bits_has_only_fewer_to_lose():
    fitting = {}
    for policy in ("float64", "float32", "float16", "mixed_bfloat16"):
        made = mutants(random_problem(spec_of("gru", dtype=policy), 0, SHAPE))
        fitting[policy] = {m.fault.variant for m in made if m.fault.cause == "low-precision"}
    few = {"TF32", "float16", "bfloat16"}
    assert fitting == {
        "float64": few | {"float32"}, "float32": few, "float16": {"bfloat16"}, "mixed_bfloat16": set(),
    }  # fmt: skip


# --- where and together
# -----------------------------------------------------------------------------------------------

SEVERAL = {
    "two ways": both_ways("lstm", **BOTH),
    "stack": random_problem(
        stack_of(spec_of("gru", 3, **EXACT, **SEQUENCES), spec_of("gru", 3, **EXACT, go_backwards=True, **BOTH)),
        9, SHAPE, mask=MASK,
    ),
}  # fmt: skip
several = pytest.mark.parametrize("problem", SEVERAL.values(), ids=SEVERAL)


def run_together(problem, *placed):
    (batch,) = run_all([inject(problem, placed)])
    return {tensor.name: tensor.data for tensor in batch.mutant(0).outputs}


@several
def test_one_of_many_variants_is_the_same_alone(problem):
    many, weights = (
        {mutant.name: mutant for mutant in mutants(problem)},
        {fault.cause for fault in WEIGHT_FAULTS},
    )
    alone = [mutant for one in FAULTS if one.cause in weights for mutant in mutate(problem, one)]
    assert len(alone) > 30
    for mutant in alone:
        assert_arrays(
            {t.name: t.data for t in mutant.outputs}, [t.data for t in many[mutant.name].outputs]
        )


@several
def test_every_half_is_each_half_at_once(problem):
    struck = 0
    for one in FAULTS:
        made = places(problem, one)
        if "every half" in made:
            each = [PlacedFault(one, place) for place in made if place != "every half"]
            assert_all_same(run_together(problem, *each), made["every half"])
            struck += 1
    assert struck > 30


@pytest.mark.parametrize("prefix", ["0/", "1/", "forward/", "backward/"])
def test_a_fault_in_one_half_is_that_of_the_half_alone(prefix):
    problem = SEVERAL["stack" if prefix in ("0/", "1/") else "two ways"]
    x, proven = problem.inputs.data, 0

    def run(one, half, inputs):
        alone = half_alone(problem, half, inputs)
        return places(alone, one)[""] if half == prefix else outputs_of(alone)

    for one in FAULTS:
        struck = places(problem, one).get(prefix)
        if struck is None or one.variant in ("from half to half", "read and returned forward"):
            continue  # faults between two halves
        if prefix in ("0/", "1/"):
            expected = run(one, "1/", run(one, "0/", x)["output"]).values()
        else:
            (y, *states), (y_rev, *others) = (
                run(one, "forward/", x).values(),
                run(one, "backward/", x).values(),
            )
            expected = [np.concatenate([y, y_rev[:, ::-1]], axis=-1), *states, *others]
        assert_arrays(struck, expected)
        proven += 1
    assert proven > 50


def test_two_faults_at_once():
    """Gates that see the cell state, and no bias."""
    problem = layer_of("lstm", mask=None, return_state=False)
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
        assert_same(run_together(problem, *placed)["output"], np.stack(outputs, axis=1))
    whole = PlacedFault(fault("initial-state-ignored: zeros instead"), "whole")
    shifted = PlacedFault(fault("unit-scale: outputs shifted by 0.1"), "")
    right = outputs_of(replace(problem, initial_state=None))["output"]
    assert_same(run_together(problem, whole, shifted)["output"], right + 0.1)


def test_a_fault_of_masked_steps_strikes_after_another():
    problem = layer_of("gru")
    bare_layer = replace(problem.layer, use_bias=False)
    bare = outputs_of(replace(problem, layer=bare_layer, weights=problem.weights[:2], mask=None))
    expected = bare | {"output": 2 * held(bare["output"], used(problem))}
    names = ("bias-missing: all of it", "unit-scale: outputs times 2", "masked-state: leaks")
    assert_all_same(
        run_together(problem, *(PlacedFault(fault(name), "") for name in names)), expected
    )
