"""What was done to the output after the layer."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of, two_ways
from validation.off_list.cells import run
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import AfterLayer, FindingType


def softmax(y):
    return np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True)


def normalized(y, epsilon):
    return (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + epsilon)


DONE = {
    AfterLayer.TANH: np.tanh,
    AfterLayer.RELU: lambda y: np.maximum(y, 0),
    AfterLayer.SIGMOID: lambda y: 1 / (1 + np.exp(-y)),
    AfterLayer.SOFTMAX: softmax,
    AfterLayer.NORMALIZED: lambda y: normalized(y, 1e-5),
    AfterLayer.NORMALIZED_KERAS: lambda y: normalized(y, 1e-3),
    AfterLayer.UNIT_LENGTH: lambda y: y / np.linalg.norm(y, axis=-1, keepdims=True),
    AfterLayer.CUMULATED: lambda y: np.cumsum(y, axis=1),
}
POOLED = {
    AfterLayer.MEAN: lambda y: y.mean(axis=1),
    AfterLayer.MAXIMUM: lambda y: y.max(axis=1),
    AfterLayer.SUM: lambda y: y.sum(axis=1),
}


def found(problem, arrays):
    explanation = diagnose(with_arrays(problem, arrays)).explanation
    assert explanation.accounted
    return [(f.name, f.certain) for f in explanation.findings if f.type is FindingType.AFTER_LAYER]


@pytest.mark.parametrize("name", DONE)
@pytest.mark.parametrize(
    "spec", [spec_of("lstm", 5, **BOTH), two_ways(spec_of("gru", 4, **SEQUENCES))]
)
def test_what_was_done_to_the_sequence_is_found(spec, name):
    problem = random_problem(spec, 0, (3, 7, 4))
    output, *states = run(problem)
    assert found(problem, [DONE[name](output), *states]) == [(name, True)]


def test_over_one_unit_nothing_is_normalized():
    """Signs are all that is left of one unit: other outputs of 1 and -1 have them by chance."""
    problem = random_problem(spec_of("lstm", 1, **SEQUENCES), 0, (2, 6, 4))
    (output,) = run(problem)
    explanation = diagnose(with_arrays(problem, [np.sign(output)])).explanation
    assert not [f for f in explanation.findings if f.type is FindingType.AFTER_LAYER]


def test_inputs_that_are_added_are_found():
    problem = random_problem(spec_of("gru", 4, **SEQUENCES), 0, (3, 7, 4))
    (output,) = run(problem)
    assert found(problem, [output + problem.inputs.data]) == [(AfterLayer.INPUTS_ADDED, True)]


@pytest.mark.parametrize("name", POOLED)
def test_sequence_that_is_pooled_instead_of_cut_is_found(name):
    problem = random_problem(spec_of("lstm", 5), 1, (3, 7, 4))
    (sequence,) = run(replace(problem, layer=replace(problem.layer, return_sequences=True)))
    assert found(problem, [POOLED[name](sequence)]) == [(name, True)]


def test_mean_leaves_masked_steps_out_or_not():
    mask = ["1111111", "1110000", "1100000", "0000000"]
    problem = random_problem(spec_of("lstm", 5), 1, (4, 7, 4), mask=mask)
    (sequence,) = run(replace(problem, layer=replace(problem.layer, return_sequences=True)))
    used = problem.mask[..., None]
    mean = (sequence * used).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    assert found(problem, [mean]) == [(AfterLayer.MEAN_OF_UNMASKED, True)]
    assert found(problem, [sequence.mean(axis=1)]) == [(AfterLayer.MEAN, True)]


def test_other_numbers_were_not_done_to_the_output():
    problem = random_problem(spec_of("lstm", 5), 1, (3, 7, 4))
    (output,) = run(problem)
    explanation = diagnose(with_arrays(problem, [output**3 + 0.1])).explanation
    assert not [f for f in explanation.findings if f.type is FindingType.AFTER_LAYER]
