"""Other inputs and other masks: what the reference computes from them is taken for theirs."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of, two_ways
from validation.off_list.cells import run
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.other_runs.other_inputs import other_input_findings
from rnnparity.explanation.findings.seen.half_problem import view_of
from rnnparity.problem.findings import FindingType, OtherInputs, OtherMask
from rnnparity.problem.problem import Tensor
from rnnparity.reference.tolerance import expect

ENDS = ["11111111", "11100000", "11111000", "11000000"]
WIDE = {
    OtherInputs.SCALED: lambda x: x / 255,
    OtherInputs.SHIFTED: lambda x: x + 0.3,
    OtherInputs.STEPS_REVERSED: lambda x: x[:, ::-1],
    OtherInputs.READ_AS_FEATURES_FIRST: lambda x: x.swapaxes(1, 2).reshape(x.shape),
    OtherInputs.READ_AS_TIME_FIRST: lambda x: x.swapaxes(0, 1).reshape(x.shape),
    OtherInputs.FEATURES_NORMALIZED: lambda x: (x - x.mean((0, 1))) / x.std((0, 1)),
    OtherInputs.SEQUENCES_NORMALIZED: lambda x: (
        (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    ),
    OtherInputs.STEPS_NORMALIZED: lambda x: (
        (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    ),
    OtherInputs.NORMALIZED: lambda x: (x - x.mean()) / x.std(),
    OtherInputs.IN_FLOAT16: lambda x: x.astype(np.float16).astype(np.float32),
    OtherInputs.IN_INT8: lambda x: np.round(x / np.abs(x).max() * 127) * np.abs(x).max() / 127,
    OtherInputs.IN_INTEGERS: np.trunc,
    OtherInputs.FEATURE_ZERO: lambda x: x * (np.arange(x.shape[-1]) != 1),
    OtherInputs.FEATURES_PERMUTED: lambda x: x[..., [1, 0, 2]],
}


def problem_of(kind="lstm", mask=None, **options):
    problem = random_problem(spec_of(kind, 5, **options), 0, (4, 8, 3), mask=mask)
    inputs = np.random.default_rng(7).normal(0, 1.5, (4, 8, 3))
    return replace(problem, inputs=Tensor.of("inputs", inputs))


def with_inputs(problem, inputs):
    return replace(problem, inputs=Tensor.of("inputs", inputs))


def stated(problem, other, type_):
    """Return what is found where the outputs of `problem` are those of `other`."""
    explanation = diagnose(with_arrays(problem, run(other))).explanation
    assert explanation.accounted
    return [(f.name, f.certain) for f in explanation.findings if f.type is type_]


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_inputs_that_were_used_are_found(kind, name):
    problem = problem_of(kind)
    other = with_inputs(problem, WIDE[name](problem.inputs.data))
    assert stated(problem, other, FindingType.INPUTS) == [(name, True)]


def test_inputs_of_both_halves_are_found():
    layer = two_ways(spec_of("gru", 5))
    problem = random_problem(layer, 0, (4, 8, 3))
    other = with_inputs(problem, problem.inputs.data * 2)
    (finding,) = (
        f
        for f in diagnose(with_arrays(problem, run(other))).explanation.findings
        if f.type is FindingType.INPUTS
    )
    assert (finding.name, finding.value) == (OtherInputs.SCALED, 2.0)


@pytest.mark.parametrize("kind", ["lstm", "gru", "simple_rnn"])
@pytest.mark.parametrize(
    ("name", "edit"),
    [
        (OtherMask.INVERTED, lambda mask: ~mask),
        (OtherMask.REVERSED, lambda mask: mask[:, ::-1]),
        (OtherMask.OF_ROW, lambda mask: np.broadcast_to(mask[2], mask.shape)),
        (OtherMask.EVERY_ROW, lambda mask: np.broadcast_to(mask.all(0), mask.shape)),
    ],
)
def test_mask_that_was_used_is_found(kind, name, edit):
    problem = problem_of(kind, mask=["10111111", "11100110", "11111000", "11001100"])
    other = replace(problem, mask=edit(problem.mask).copy())
    assert stated(problem, other, FindingType.MASK) == [(name, True)]


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_mask_that_leaves_one_step_is_not_called_a_restart(kind):
    """Of one step the last output is that of a layer that passes no state on."""
    problem = problem_of(kind, mask=["11111111", "00000111", "00001111", "00000001"])
    other = replace(problem, mask=np.broadcast_to(problem.mask[3], problem.mask.shape).copy())
    explanation = diagnose(with_arrays(problem, run(other))).explanation
    certain = {f.type for f in explanation.findings if f.certain}
    assert FindingType.RESTARTS_EVERY_STEP not in certain


def test_masking_of_zeros_that_nobody_asked_for_is_found():
    problem = problem_of("gru")
    inputs = problem.inputs.data * (np.arange(8) < np.array([8, 3, 5, 2])[:, None])[..., None]
    problem = with_inputs(problem, inputs)
    other = replace(problem, mask=inputs.any(axis=-1))
    assert stated(problem, other, FindingType.MASK) == [(OtherMask.ZERO_INPUTS, True)]


def test_other_numbers_are_no_other_inputs():
    problem = problem_of("gru", mask=ENDS, **SEQUENCES)
    wrong = [
        array + 0.05 * np.sin(np.arange(array.size)).reshape(array.shape) for array in run(problem)
    ]
    wrong = with_arrays(problem, wrong)
    evidence = Evidence(problem, wrong.outputs, expect(problem))
    assert other_input_findings(problem, view_of(evidence)) == []


def test_many_rows_take_the_memory_of_a_few_inputs():
    """All variants of the inputs at once were three hundred times as large."""
    problem = random_problem(spec_of("simple_rnn", 2), 0, (400, 20, 24))
    wrong = with_arrays(problem, [array + 0.05 for array in run(problem)])
    view = view_of(Evidence(wrong, wrong.outputs, expect(problem)))
    tracemalloc.start()
    other_input_findings(problem, view)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * problem.inputs.data.nbytes


def test_noise_of_the_inputs_that_were_used_decides():
    """Small inputs give small outputs with little noise; those of large ones do not fit in it."""
    large = problem_of("gru", use_bias=False)
    small = with_inputs(large, large.inputs.data / 255)
    arrays = [array.astype(np.float32).astype(np.float64) for array in run(large)]
    explanation = diagnose(with_arrays(small, arrays)).explanation
    assert [(f.name, f.value) for f in explanation.findings if f.type is FindingType.INPUTS] == [
        (OtherInputs.SCALED, 255.0)
    ]
