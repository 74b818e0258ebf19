"""Diagnoses: the injected fault is the cause that is named, and no cause where no fault fits."""

import random
from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import (
    CASE,
    CONSTANT,
    cause_name,
    explanation_of,
    listed,
    lstm,
    placed,
    with_expected,
    with_faults,
    with_output,
    with_reference,
    with_tensors,
)
from _support.random_problems import BOTH, SEQUENCES, SHAPE, random_problem, spec_of, two_ways

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.fault_search import nearest
from rnnparity.explanation.search import Fit
from rnnparity.faults import Mutant, mutants, mutate
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.problem.explanations import Cause, FaultId, Mismatch
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.reference import compute
from rnnparity.report.text.messages import faults_name
from rnnparity.verdict.judge import judge


@pytest.mark.parametrize(
    "case",
    [
        CASE,
        "gru-spread-sequences-state-mask_interior-initial",
        "simple_rnn-spread-last",
        "bi_gru-spread-concat-sequences-mask_row",
        "lstm-spread-last",
    ],
)
def test_injected_fault_is_the_cause_or_equally_consistent(case):
    """A dozen random mutants of each case; one that cannot be detected is listed as such."""
    problem = catalogue()[case]
    candidates = list(mutants(problem))
    for mutant in random.Random(case).sample(candidates, min(12, len(candidates))):
        diagnosis = diagnose(with_tensors(problem, mutant.outputs))
        explanation = diagnosis.explanation
        if explanation.verdict is Verdict.AGREES:
            assert mutant.faults[0] in explanation.blind_to
            continue
        cause = explanation.cause
        assert cause.explained, mutant.faults
        assert mutant.faults in (cause.faults, *cause.also_fits)
        assert [fit.faults for fit in diagnosis.fits] == [cause.faults, *cause.also_fits]
        assert explanation.sigma_with_cause <= 10 < explanation.sigma
        # A reading of the shapes needs no candidates.
        assert explanation.candidates > len(cause.also_fits) or not explanation.candidates


def test_expected_outputs_agree():
    for case in list(catalogue())[::150]:
        explanation = explanation_of(with_expected(catalogue()[case]))
        assert explanation.verdict is not Verdict.DIVERGES
        assert (explanation.cause, explanation.differences) == (None, ())


def test_outputs_of_no_fault_are_unexplained_and_located():
    problem = with_expected(catalogue()[CASE])
    wrong = problem.outputs[0].data.copy()
    wrong[1, 2:, 0] += 0.01
    diagnosis = diagnose(with_output(problem, wrong))
    explanation = diagnosis.explanation
    assert (explanation.verdict, explanation.cause) == (Verdict.DIVERGES, Cause())
    assert (diagnosis.fits, explanation.descriptions) == ((), ())
    assert explanation.first == Mismatch("output", row=1, unit=0, step=2)
    assert explanation.candidates > 100
    assert explanation.sigma_with_cause is None


def test_mean_of_two_faults_is_unexplained():
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE)
    (first,) = mutate(problem, listed("gate-order: LSTM iofc (ONNX) in all weights"))
    (second,) = mutate(problem, listed("bias-doubled: all of it"))
    mean = [
        Tensor(a.name, (a.data + b.data) / 2)
        for a, b in zip(first.outputs, second.outputs, strict=True)
    ]
    assert explanation_of(with_tensors(problem, mean)).cause == Cause()


def test_undetectable_faults_are_listed():
    """With constant weights reversed features are the same features."""
    problem = catalogue()[CONSTANT]
    (mutant,) = mutate(problem, listed("recurrence-missing: recurrent kernel"))
    explanation = explanation_of(with_tensors(problem, mutant.outputs))
    assert mutant.faults in (explanation.cause.faults, *explanation.cause.also_fits)
    assert FaultId("features-reversed", "kernel", "") in explanation.blind_to


def test_cause_has_the_description_of_its_fault():
    name = "gate-order: LSTM iofc (ONNX) in all weights"
    problem = catalogue()[CASE]
    (mutant,) = mutate(problem, listed(name))
    (description,) = explanation_of(with_tensors(problem, mutant.outputs)).descriptions
    fault = listed(name)
    assert (description.description, description.fix) == (fault.description, fault.fix)
    assert description.seen_in == fault.seen_in


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            lambda o: [Tensor("output", np.full_like(o[0].data, np.nan)), *o[1:]],
            Finding(FindingType.NOT_FINITE, "output", (0, 0, 0)),
        ),
        (
            lambda o: [Tensor("output", np.zeros_like(o[0].data)), *o[1:]],
            Finding(FindingType.ZERO, "output", sigma=0.0),
        ),
    ],
)
def test_values_without_information_are_a_finding(change, finding):
    problem = with_expected(catalogue()[CASE])
    explanation = explanation_of(problem.with_outputs(change(list(problem.outputs))))
    assert (explanation.verdict, explanation.cause) == (Verdict.DIVERGES, Cause())
    assert finding in explanation.findings


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (0.0, Finding(FindingType.ZERO, "output", sigma=0.0)),
        (0.5, Finding(FindingType.CONSTANT, "output", value=0.5)),
    ],
)
def test_constant_outputs_have_no_cause(value, finding):
    problem = with_reference(lstm())
    outputs = [replace(t, data=np.full_like(t.data, value)) for t in problem.outputs]
    explanation = explanation_of(problem.with_outputs(outputs))
    assert explanation.cause == Cause()
    assert finding in explanation.findings
    assert explanation.accounted == (value == 0)


def test_outputs_that_a_fault_makes_zero_name_it_with_low_confidence():
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, SHAPE, initial=True)
    kernel, recurrent, bias = problem.weights
    weights = (kernel, recurrent, replace(bias, data=np.zeros_like(bias.data)))
    inputs = replace(problem.inputs, data=np.zeros_like(problem.inputs.data))
    problem = with_reference(replace(problem, weights=weights, inputs=inputs))
    silent = with_output(problem, np.zeros_like(problem.outputs[0].data))
    cause = explanation_of(silent).cause
    assert [fault.cause for fault in cause.faults] == ["initial-state-ignored"]
    assert not cause.certain


def test_another_initial_h_makes_no_second_step_wrong():
    # The c of the first step is not seen, as its o is not the expected one.
    problem = random_problem(spec_of("lstm", return_sequences=True), 0, SHAPE, initial=True)
    h, *others = problem.initial_state
    shifted = replace(problem, initial_state=(Tensor(h.name, h.data + np.float32(0.1)), *others))
    explanation = diagnose(problem.with_outputs(compute(shifted))).explanation
    assert [f.type for f in explanation.findings] == [FindingType.INITIAL_STATE]


def test_of_equal_fits_the_cause_with_fewer_variants_comes_first():
    order, missing = (
        Mutant((placed(f"{name} recurrent kernel"),), ())
        for name in ("gate-order: LSTM ifoc in the", "recurrence-missing:")
    )
    nearer = Fit(order, 1.0, 10.0, -9.0)
    assert [fit.mutant for fit in nearest([nearer, Fit(missing, 1.0, 12.0, -9.0)])] == [
        missing,
        order,
    ]
    assert [fit.mutant for fit in nearest([nearer, Fit(missing, 2.0, 22.0, -9.0)])] == [
        order,
        missing,
    ]


def test_an_output_that_should_be_constant_is_no_finding():
    problem = random_problem(two_ways(spec_of("gru", **SEQUENCES), merge_mode=None), 0, SHAPE)
    silent = [
        replace(tensor, data=tensor.data * (not tensor.name.startswith("backward")))
        for tensor in problem.weights
    ]
    problem = with_reference(replace(problem, weights=tuple(silent)))
    forward, backward = problem.outputs
    assert not backward.data.any()
    wrong = problem.with_outputs([replace(forward, data=forward.data[::-1] * 1.5), backward])
    explanation = explanation_of(wrong)
    assert explanation.verdict is Verdict.DIVERGES
    assert "backward_output" not in {finding.name for finding in explanation.findings}


def test_values_that_are_not_finite_are_located_and_not_searched():
    problem = with_reference(lstm())
    wrong = problem.outputs[0].data.copy()
    wrong[2, 1, 3] = np.inf
    explanation = explanation_of(with_output(problem, wrong))
    assert explanation.cause == Cause()
    assert Finding(FindingType.NOT_FINITE, "output", (2, 1, 3)) in explanation.findings
    assert explanation.candidates < 500


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda o: o[:1], "return-flags: return_state False"),
        (
            lambda o: [Tensor("output", o[0].data[:, -1]), *o[1:]],
            "return-flags: return_sequences False",
        ),
        (
            lambda o: [Tensor("output", o[0].data[:, -1])],
            "return-flags: return_sequences False + return-flags: return_state False",
        ),
        (
            lambda o: [Tensor("output", o[0].data.swapaxes(0, 1)), *o[1:]],
            "axis-swapped: outputs time first",
        ),
    ],
)
def test_wrong_shapes_are_explained_by_flags_and_axes(change, fault):
    problem = with_expected(random_problem(spec_of("gru", **BOTH), 0, SHAPE))
    diagnosis = diagnose(problem.with_outputs(change(list(problem.outputs))))
    assert diagnosis.explanation.verdict is Verdict.DIVERGES
    assert faults_name(diagnosis.fits[0].faults) == fault
    assert diagnosis.explanation.sigma_with_cause < 5


def test_sequence_instead_of_the_last_output_is_explained():
    problem = random_problem(spec_of("gru"), 0, SHAPE)
    sequences = random_problem(spec_of("gru", **SEQUENCES), 0, SHAPE)
    name = cause_name(problem.with_outputs(golden_outputs(sequences)))
    assert name == "return-flags: return_sequences True"


def test_shape_that_no_flag_gives_is_a_difference():
    problem = random_problem(spec_of("gru"), 0, SHAPE)
    explanation = explanation_of(problem.with_outputs([Tensor("output", np.zeros((7, 2)))]))
    assert (explanation.verdict, explanation.cause) == (Verdict.DIVERGES, Cause())
    (difference,) = explanation.differences
    assert difference.type is DifferenceType.SHAPE
    assert (difference.actual, difference.expected) == ((7, 2), (5, 4))


def test_wrong_dtype_is_a_difference():
    problem = with_reference(lstm())
    first, *others = problem.outputs
    integers = replace(first, data=first.data.astype(int))
    explanation = explanation_of(problem.with_outputs([integers, *others]))
    assert explanation.verdict is Verdict.DIVERGES
    dtypes = [d.actual for d in explanation.differences if d.type is DifferenceType.DTYPE]
    assert dtypes == ["int64"]


@pytest.mark.parametrize("scale", [1.0, 1e-5], ids=["conclusive", "inconclusive"])
@pytest.mark.parametrize("shift", [0.0, 0.01], ids=["values agree", "values differ"])
def test_a_wrong_dtype_has_the_verdict_and_differences_of_a_check(scale, shift):
    problem = lstm()
    weights = [replace(t, data=t.data * np.float32(scale)) for t in problem.weights]
    problem = with_reference(replace(problem, weights=tuple(weights)))
    outputs = [replace(t, data=t.data.astype(np.float64) + shift) for t in problem.outputs]
    explanation = explanation_of(problem.with_outputs(outputs))
    checked = judge(problem, Answer(tuple(outputs)))
    assert explanation.verdict is checked.verdict is Verdict.DIVERGES
    assert explanation.differences == checked.differences
    assert explanation.differences[0].type is DifferenceType.DTYPE
    assert (explanation.cause is None) == (shift == 0)


def test_wrong_names_with_expected_values_diverge():
    problem = with_reference(lstm())
    first, *others = problem.outputs
    explanation = explanation_of(problem.with_outputs([replace(first, name="y"), *others]))
    assert (explanation.verdict, explanation.cause) == (Verdict.DIVERGES, Cause())
    assert explanation.findings == (Finding(FindingType.OTHER_ORDER_AGREES),)


def test_problem_without_outputs_is_refused():
    with pytest.raises(RequestError, match="has no outputs to explain"):
        diagnose(catalogue()[CASE])


def test_one_constant_state_hides_no_cause():
    """States that end at zero, beside an output that carries enough information."""
    mask = ["111110"] * SHAPE[0]
    problem = random_problem(spec_of("simple_rnn", **BOTH), 0, SHAPE, mask=mask)

    problem = with_faults(problem, placed("masked-state: reset to zeros"))
    assert not problem.outputs[1].data.any()
    assert explanation_of(problem).cause.names == ("masked-state",)


def test_flag_is_named_where_a_finding_accounts_for_the_values():
    """A sequence instead of the last output, stored in float16; its axes B and T are equally long."""
    problem = random_problem(spec_of("lstm"), 0, (6, 6, 3))
    sequence = with_reference(random_problem(spec_of("lstm", **SEQUENCES), 0, (6, 6, 3))).outputs[0]
    stored = Tensor.of("output", sequence.data.astype(np.float16), "float32")
    diagnosis = diagnose(problem.with_outputs([stored]))
    assert faults_name(diagnosis.fits[0].faults) == "return-flags: return_sequences True"
    found = {finding.type for finding in diagnosis.explanation.findings}
    assert FindingType.COARSE_STORAGE in found


def test_values_other_than_zero_before_the_first_step_are_compared_without_overflow():
    """The expected zeros have no noise; an error counted in it has a square beyond float64."""
    problem = with_expected(catalogue()["lstm-spread-sequences-mask_left"])
    (expected,) = problem.outputs
    error = 1e-3 * np.random.default_rng(0).standard_normal(expected.shape)
    explanation = explanation_of(with_output(problem, np.float32(expected.data + error)))
    assert explanation.verdict is Verdict.DIVERGES
    assert not explanation.cause.explained
