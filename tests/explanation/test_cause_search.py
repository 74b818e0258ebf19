"""The search: pairs, faults with fitted numbers, coarse arithmetic, and no cause by chance."""

from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import (
    NUMPY_FLOAT16,
    bidirectional_gru,
    cause_name,
    explanation_of,
    lstm,
    placed,
    with_faults,
    with_output,
    with_reference,
)
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
from rnnparity.explanation import pairs
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.noise import in_type
from rnnparity.problem.explanations import Cause
from rnnparity.problem.findings import FindingType
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.report.text.findings import finding_text
from rnnparity.report.text.messages import faults_name


def test_fault_in_every_half_is_one_fault():
    fault = placed("gate-order: GRU rzh (PyTorch, cuDNN) in all weights", "every half")
    cause = explanation_of(with_faults(bidirectional_gru(), fault)).cause
    assert cause == Cause((fault.id,))
    assert cause.unambiguous


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        (
            lstm(),
            [("gate-order: LSTM iofc (ONNX) in the kernel", ""), ("bias-doubled: all of it", "")],
        ),
        (
            lstm(mask=MASK),
            [("mask-ignored: every step counts", ""), ("recurrent-transposed: whole", "")],
        ),
        (lstm(initial=True), [("initial-state-swapped: h and c", ""), ("forget-bias: +1", "")]),
        (
            bidirectional_gru(),
            [("bias-rows-swapped: GRU", "forward/"), ("reset-after: flipped", "backward/")],
        ),
        (
            lstm(),
            [("peephole-or-clip: LSTM, peephole", ""), ("kernel-layout: kernel interleaved", "")],
        ),
    ],
)
def test_both_of_two_faults_are_named(problem, names):
    faults = [placed(*name) for name in names]
    explanation = explanation_of(with_faults(problem, *faults))
    cause = explanation.cause
    fits = [set(fit) for fit in (cause.faults, *cause.also_fits)]
    assert {fault.id for fault in faults} in fits
    assert set(cause.names) == {fault.fault.cause for fault in faults}
    assert len(explanation.descriptions) == 2
    assert explanation.sigma_with_cause <= 10 < explanation.sigma


def test_fault_in_all_halves_but_one_is_named_where_it_is():
    # Every half flipped, and the middle one flipped back, is the same.
    layers = [spec_of("gru", 3, reset_after=after, **SEQUENCES) for after in (True, False, True)]
    faults = [placed("reset-after: flipped", location) for location in ("0/", "2/")]
    problem = random_problem(stack_of(*layers), 0, (2, 4, 4))
    cause = explanation_of(with_faults(problem, *faults)).cause
    assert set(cause.faults) == {fault.id for fault in faults}
    assert cause.unambiguous


def test_fewer_pairs_are_tried_where_a_run_has_many_halves():
    half = two_ways(spec_of("lstm", 2, **SEQUENCES))
    counts = []
    for problem in (random_problem(half), random_problem(stack_of(half, half, half))):
        evidence = Evidence(problem, expect(problem).outputs, expect(problem))
        counts.append(pairs._affordable(evidence))
    assert counts[0] == pairs.PAIRS
    assert counts[1] < pairs.PAIRS / 1.5


def masked_two_ways(scale):
    """An LSTM in two directions with right padding, its weights scaled."""
    mask = ("111111", "111110", "111110", "111100", "111111")
    problem = random_problem(two_ways(spec_of("lstm", **SEQUENCES)), 0, SHAPE, mask=mask)
    weights = [replace(tensor, data=scale * tensor.data) for tensor in problem.weights]
    return replace(problem, weights=tuple(weights))


@pytest.mark.parametrize("scale", [0.01, 0.1, 1])
@pytest.mark.parametrize(
    "pair",
    [
        # The second of these changes only masked steps, where all expected values are equal.
        ("reverse-output-order: reversed", "masked-output: held"),
        ("masked-state: leaks", "recurrent-transposed: whole"),
        ("bias-doubled: all of it", "gate-order: LSTM icfo (TensorFlow 1) in the kernel"),
    ],
)
def test_pair_is_found_whatever_the_size_of_the_weights(pair, scale):
    problem = masked_two_ways(np.float32(scale))
    faults = [placed(name, "backward/" if "reverse" in name else "every half") for name in pair]
    cause = explanation_of(with_faults(problem, *faults)).cause
    assert set(cause.faults) == {fault.id for fault in faults}
    assert cause.certain


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (lambda y: y * 1.37, "unit-scale: outputs times 1.37"),
        (lambda y: y - 0.21, "unit-scale: outputs shifted by -0.21"),
        (
            lambda y: np.where(np.indices(y.shape).sum(0) % 3 == 0, 0, y / 0.7),
            "dropout-active: outputs, rate 0.3",
        ),
    ],
)
def test_number_of_a_fault_is_read_off_the_outputs(edit, name):
    problem = random_problem(spec_of("gru", **SEQUENCES), 0, SHAPE)
    (output,) = compute(problem)
    diagnosis = diagnose(problem.with_outputs([Tensor.of("output", edit(output.data))]))
    assert faults_name(diagnosis.fits[0].faults) == name
    assert diagnosis.explanation.cause.certain
    assert diagnosis.explanation.descriptions[0].description


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.37])
def test_scale_of_outputs_and_states_is_one_fault(factor):
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE)
    outputs = [replace(tensor, data=factor * tensor.data) for tensor in compute(problem)]
    diagnosis = diagnose(problem.with_outputs(outputs))
    assert (
        faults_name(diagnosis.fits[0].faults) == f"unit-scale: outputs and states times {factor:g}"
    )
    assert diagnosis.explanation.cause.certain


def test_number_of_missing_steps_is_found():
    problem = random_problem(spec_of("lstm"), 0, SHAPE)
    short = replace(problem, inputs=replace(problem.inputs, data=problem.inputs.data[:, 3:]))
    outputs = with_reference(short).outputs
    assert cause_name(problem.with_outputs(outputs)) == "time-truncated: first 3 steps"


def test_dropped_features_are_found():
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE)
    keep = np.random.default_rng(5).random((SHAPE[0], SHAPE[2])) < 0.75
    inputs = replace(problem.inputs, data=problem.inputs.data * keep[:, None] / 0.75)
    outputs = with_reference(replace(problem, inputs=inputs)).outputs
    assert cause_name(problem.with_outputs(outputs)) == "dropout-active: inputs, rate 0.25"


def test_number_that_fits_the_only_value_is_no_evidence():
    """One value: some factor, and some sum, always gives it."""
    problem = random_problem(spec_of("gru", 1), 0, (1, 4, 3))
    outputs = [Tensor.of("output", compute(problem)[0].data * 1.234)]
    cause = explanation_of(problem.with_outputs(outputs)).cause
    assert not cause.explained or not cause.certain


def test_last_time_step_of_both_directions_is_explained():
    """PyTorch's output[:, -1]: right for the forward half, the first step of the backward half."""
    problem = random_problem(two_ways(spec_of("gru"), merge_mode="concat"), 1, SHAPE)
    last = compute(bidirectional_gru(SEQUENCES))[0].data[:, -1]
    name = cause_name(problem.with_outputs([Tensor.of("output", last)]))
    assert name == "reverse-output-order: last time step (backward)"


def test_expected_gate_order_of_the_code_is_named():
    """Keras' i, f, c, o passed to code that reads the blocks as i, o, f, c."""
    problem = lstm()
    weights = []
    for tensor in problem.weights:
        blocks = dict(zip("iofc", np.split(tensor.data, 4, axis=-1), strict=True))
        reordered = np.concatenate([blocks[gate] for gate in "ifco"], axis=-1)
        weights.append(replace(tensor, data=reordered))
    outputs = with_reference(replace(problem, weights=tuple(weights))).outputs
    diagnosis = diagnose(problem.with_outputs(outputs))
    assert faults_name(diagnosis.fits[0].faults) == "gate-order: LSTM iofc (ONNX) in all weights"
    (description,) = diagnosis.explanation.descriptions
    assert description.fix.startswith("Reorder the blocks of all weights to i, o, f, c")


def test_ignored_mask_is_explained_where_a_row_is_fully_masked():
    """The expected values are zeros without noise there; those of the fault have noise."""
    problem = lstm(mask=MASK)
    outputs = compute(replace(problem, mask=None), np.float32)
    tensors = [Tensor.of(t.name, t.data) for t in outputs]
    assert cause_name(problem.with_outputs(tensors)) == "mask-ignored: every step counts"


# ------------------------------------------------------------------------------ coarse arithmetic


def test_computation_in_float16_is_named():
    explanation = explanation_of(replace(with_faults(lstm(), NUMPY_FLOAT16), id="port"))
    assert explanation.verdict is Verdict.DIVERGES
    assert [(f.cause, f.variant) for f in explanation.cause.faults] == [
        ("low-precision", "float16")
    ]
    assert explanation.sigma_with_cause <= 5


def test_float16_stored_as_float16_is_named():
    problem = with_faults(lstm(), NUMPY_FLOAT16)
    outputs = [replace(t, data=t.data.astype(np.float16)) for t in problem.outputs]
    assert cause_name(problem.with_outputs(outputs)) == "low-precision: float16"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_fault_in_float16_is_named_within_its_noise(dtype):
    problem = random_problem(spec_of("lstm"), 0, SHAPE)
    fault = placed("gate-order: LSTM iofc (ONNX) in all weights")
    outputs = with_faults(problem, fault, NUMPY_FLOAT16).outputs
    stored = [replace(t, data=t.data.astype(dtype)) for t in outputs]
    explanation = explanation_of(problem.with_outputs(stored))
    assert explanation.cause.faults == (fault.id,)
    assert explanation.precision == "float16"
    assert explanation.cause.certain
    # Where the numbers have more digits, something else may have made the errors as large.
    stored = [replace(t, data=t.data.astype(np.float32) * np.float32(0.99999)) for t in outputs]
    explanation = explanation_of(problem.with_outputs(stored))
    assert explanation.cause == Cause((fault.id,), certain=False)


@pytest.mark.parametrize("name", ["gate-order: GRU rzh (PyTorch, cuDNN) in all weights", ""])
def test_noise_of_float16_that_is_only_roughly_known_gives_low_confidence(name):
    problem = random_problem(spec_of("gru"), 0, SHAPE, scale=6)
    assert expect(in_type(problem, "float16")).unpredictable
    faults = [placed(name)] if name else []
    outputs = with_faults(problem, *faults, NUMPY_FLOAT16).outputs
    cause = explanation_of(problem.with_outputs(outputs)).cause
    assert faults_name(cause.faults) == (name or "low-precision: float16")
    assert not cause.certain


@pytest.mark.parametrize("size", [1e-3, 3e-5])
def test_small_systematic_difference_is_not_low_precision(size):
    """Weights that are slightly off: as small as the noise of float16, and not that noise."""
    problem = lstm()
    weights = [replace(t, data=(t.data * (1 + size)).astype(np.float32)) for t in problem.weights]
    outputs = with_reference(replace(problem, weights=tuple(weights))).outputs
    explanation = explanation_of(problem.with_outputs(outputs))
    assert explanation.cause == Cause()
    (hint,) = (f for f in explanation.findings if f.type is FindingType.WITHIN_NOISE_OF)
    expected = compute(problem)
    errors = [np.abs(a.data - e.data).max() for a, e in zip(outputs, expected, strict=True)]
    assert hint.value == pytest.approx(max(errors), rel=1e-3)
    assert finding_text(hint).startswith(
        f"correct up to {hint.value:.2g}, which is within the noise"
    )


def test_coarse_noise_is_excluded_where_most_values_agree():
    """Two values of 24 are off by a hundredth: bfloat16 would allow it, if the others were off."""
    problem = with_reference(catalogue()["lstm-spread-sequences-state-mask_interior"])
    wrong = problem.outputs[0].data.copy()
    wrong[1, 2:, 0] += 0.01
    assert explanation_of(with_output(problem, wrong)).cause == Cause()


def test_progress_is_reported_while_pairs_are_tried():
    problem = with_reference(lstm())
    calls = []
    report = lambda *numbers: calls.append(numbers)  # noqa: E731
    diagnose(with_faults(problem, placed("forget-bias: +1")), progress=report)
    assert calls == []
    data = problem.outputs[0].data
    diagnose(
        with_output(problem, data + 0.1 * np.random.default_rng(0).standard_normal(data.shape)),
        progress=report,
    )
    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4)]


@pytest.mark.parametrize("merge_mode", ["mul", "sum"])
def test_cause_is_named_where_most_expected_values_are_exact_zeros(merge_mode):
    """The median of the noise was that of products with zero, which is the smallest number's."""
    spec = two_ways(spec_of("lstm", **SEQUENCES), merge_mode=merge_mode)
    problem = random_problem(spec, 0, (2, 4, 3), mask=("0000", "0101"), initial=True)
    fault = placed("masked-output: the frozen state", "every half")
    problem = with_faults(problem, fault)
    # One rounding error.
    problem = with_output(problem, problem.outputs[0].data * np.float32(1 + 2**-23))
    cause = explanation_of(problem).cause
    assert (cause.faults, cause.certain) == ((fault.id,), True)
