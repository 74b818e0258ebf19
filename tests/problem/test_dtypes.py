"""Dtype policies in the reference: what is rounded, and to what."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    KINDS,
    SEQUENCES,
    STATE,
    assert_all_same,
    outputs_of,
    problem_of,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.problem.dtypes import (
    COMPUTE_DTYPE,
    FLOAT_TYPES,
    arithmetic_type,
    declared_precision,
    widened,
)
from rnnparity.problem.errors import RequestError
from rnnparity.problem.tensor import Tensor

# Nearest, ties to even; the last number of each pair is what the first becomes.
ROUNDED = {
    "float16": [
        (1 + 2**-11, 1),
        (1 + 3 * 2**-11, 1 + 2**-9),
        (0.1, 0.0999755859375),
        (65519, 65504),
        (65520, np.inf),
    ],
    "bfloat16": [
        (1 + 2**-8, 1),
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-40, 1 + 2**-7),  # by way of float32 it would become the tie, and then 1
        (0.1, 0.10009765625),
        (-3.39e38, -3.3895313892515355e38),
        (3.4e38, np.inf),
        (2.0**-133, 2.0**-133),  # the smallest of all
        (2.0**-135, 0),
    ],
    "float32": [
        (1 + 2**-24, 1),
        (1 + 3 * 2**-24, 1 + 2**-22),
        (0.1, 0.10000000149011612),
        (3.5e38, np.inf),
    ],
    "float64": [(0.1, 0.1), (1e300, 1e300)],
}


def by_ml_dtypes(values, dtype):
    """A second oracle for rounding, which TensorFlow and JAX use themselves."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    with np.errstate(over="ignore"):
        return values.astype(kind).astype(np.float64)


@pytest.mark.parametrize("dtype", ROUNDED)
def test_rounding_gives_the_nearest_number_and_ties_to_even(dtype):
    given, right = np.array(ROUNDED[dtype], np.float64).T
    assert FLOAT_TYPES[dtype].round(given).astype(np.float64).tolist() == right.tolist()
    assert FLOAT_TYPES[dtype].round(-given).astype(np.float64).tolist() == (-right).tolist()


def test_float32_is_rounded_to_bfloat16_as_by_ml_dtypes():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20000, dtype=np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    values = np.concatenate([bits, ties]).view(np.float32)
    values = values[~np.isnan(values)]
    right = by_ml_dtypes(values, "bfloat16")
    assert (FLOAT_TYPES["bfloat16"].round(values).astype(np.float64) == right).all()


def test_float64_is_rounded_to_bfloat16_once_where_ml_dtypes_rounds_twice():
    """Why the rounding is ours: 1 + 2**-8 + 2**-40 lies above the tie between 1 and 1 + 2**-7."""
    value = np.array([1 + 2**-8 + 2**-40])
    assert value.astype(ml_dtypes.bfloat16) == 1
    assert FLOAT_TYPES["bfloat16"].round(value) == 1 + 2**-7


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_a_tensor_has_the_dtype_of_its_array(dtype):
    tensor = Tensor.of("h", [[0.1, 0.2]], dtype)
    assert (tensor.dtype, tensor.data.dtype) == (dtype, FLOAT_TYPES[dtype].storage)
    assert Tensor("h", np.array([1])).dtype == "int64"


def test_rounding_keeps_nan_infinity_and_shape():
    values = np.array([[np.nan, np.inf, -np.inf, -0.0]])
    for kind in FLOAT_TYPES.values():
        rounded = kind.round(values)
        assert rounded.shape == (1, 4)
        assert np.array_equal(rounded, values, equal_nan=True)
        assert np.signbit(rounded[0, 3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", COMPUTE_DTYPE)
def test_a_policy_rounds_weights_inputs_and_states(kind, policy):
    """And nothing after them: the rest is float64."""
    problem = random_problem(spec_of(kind, dtype=policy, **BOTH), 1, initial=True)

    def rounded(tensors):
        return [by_ml_dtypes(tensor.data, COMPUTE_DTYPE[policy]) for tensor in tensors]

    by_hand = problem_of(
        spec_of(kind, dtype="float64", **BOTH),
        rounded(problem.weights),
        rounded([problem.inputs])[0],
        initial=rounded(problem.initial_state),
    )
    assert_all_same(outputs_of(problem), outputs_of(by_hand), 0)
    if COMPUTE_DTYPE[policy].endswith("16"):
        exact = replace(problem, layer=replace(problem.layer, dtype="float64"))
        assert not np.array_equal(outputs_of(problem)["output"], outputs_of(exact)["output"])


def test_float64_weights_are_rounded_to_float16_once():
    """By way of float32 this weight would become a tie, and then 1."""
    W = Tensor("kernel", np.array([[1 + 2**-11 + 2**-30]]))
    problem = problem_of(
        spec_of("simple_rnn", 1, use_bias=False, activation="linear", dtype="float16"),
        [W, [[0]]],
        [[[1]]],
    )
    assert outputs_of(problem)["output"].tolist() == [[1 + 2**-10]]


@pytest.mark.parametrize("kind", KINDS)
def test_policy_of_bidirectional_rounds_inputs_and_initial_states(kind):
    """Weights are the halves' business; the merged output's rounding is noise."""
    problem = random_problem(two_ways(spec_of(kind, **BOTH)), 2, initial=True)
    outer = replace(problem, layer=replace(problem.layer, dtype="mixed_float16"))
    inputs, *states = (
        replace(tensor, data=tensor.data.astype(np.float16).astype(np.float32))
        for tensor in (problem.inputs, *problem.initial_state)
    )
    rounded = replace(problem, inputs=inputs, initial_state=tuple(states))
    assert_all_same(outputs_of(outer), outputs_of(rounded), 0)
    assert outputs_of(outer)["output"][0, 0, 0] != outputs_of(problem)["output"][0, 0, 0]


def test_policy_of_the_halves_rounds_weights_in_a_float32_bidirectional():
    problem = random_problem(two_ways(spec_of("lstm", dtype="mixed_float16", **STATE)), 3)
    inner = replace(problem, layer=replace(problem.layer, dtype="float32"))
    assert_all_same(outputs_of(inner), outputs_of(problem), 0)
    weights = tuple(
        replace(t, data=t.data.astype(np.float16).astype(np.float32)) for t in problem.weights
    )
    inputs = replace(problem.inputs, data=problem.inputs.data.astype(np.float16).astype(np.float32))
    plain = random_problem(two_ways(spec_of("lstm", **STATE)), 3)
    assert_all_same(
        outputs_of(replace(plain, weights=weights, inputs=inputs)), outputs_of(problem), 0
    )


def test_nothing_is_rounded_between_the_layers_of_a_stack():
    """What one layer gives the next is exact up to noise, also where the second computes in 16
    bits."""
    layers = [
        spec_of("lstm", dtype="float64", **SEQUENCES),
        spec_of("simple_rnn", 3, dtype="mixed_bfloat16"),
    ]
    problem = random_problem(stack_of(*layers), 4)
    hidden = outputs_of(problem_of(layers[0], problem.weights[:3], problem.inputs.data))["output"]
    W, U, b = (by_ml_dtypes(tensor.data, "bfloat16") for tensor in problem.weights[3:])
    h = np.zeros((3, 3))
    for x in hidden.swapaxes(0, 1):
        h = np.tanh(x @ W + h @ U + b)
    np.testing.assert_allclose(outputs_of(problem)["output"], h, rtol=0, atol=1e-14)


def test_bfloat16_is_widened_and_nothing_else():
    for dtype in FLOAT_TYPES.values():
        expected = np.float32 if dtype.name == "bfloat16" else dtype.storage
        assert widened(np.ones(2, dtype.storage)).dtype == expected


@pytest.mark.parametrize("text", ["float32", "16", "2**16", "2**-3", "2**-24", "2^-8", "FLOAT16"])
def test_a_precision_that_cannot_be_declared_is_refused(text):
    with pytest.raises(RequestError, match=r"precision: got .*, expected float16, bfloat16, or"):
        declared_precision(text)


def test_a_declared_precision_counts_where_it_is_coarser_than_the_own_type():
    fixed = declared_precision("2**-12")
    assert arithmetic_type("float32", fixed) is fixed
    assert arithmetic_type("bfloat16", fixed).name == "bfloat16"
    assert arithmetic_type("float32", None).name == "float32"


def test_storing_a_number_moves_it_by_a_rounding_and_a_small_one_to_zero():
    values = np.array([0.0, -2.0, 2.0**-16])
    float16, fixed = declared_precision("float16"), declared_precision("2**-8")
    assert float16.storage_error(values).tolist() == [0, 2.0**-10, 2.0**-16]
    assert fixed.storage_error(values).tolist() == [0, 2.0**-7 + 2.0**-8, 2.0**-24 + 2.0**-8]
