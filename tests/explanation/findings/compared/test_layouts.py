"""Axes that are taken for each other in memory, halves among them."""

import numpy as np
import pytest
from _support.explanations import placed, with_faults
from _support.random_problems import SEQUENCES, random_problem, spec_of, two_ways
from validation.mistakes.memory import memory_mistakes
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import FindingType, accounts_for_values
from rnnparity.reference import compute
from rnnparity.report.text.findings import finding_text


def axes_of(problem, arrays):
    explanation = diagnose(with_arrays(problem, arrays), thorough=False).explanation
    found = [f for f in explanation.findings if accounts_for_values(f)]
    assert {finding.type for finding in found} <= {FindingType.AXES_EXCHANGED}
    return found


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ((0, 1, 3, 2), "the units of the two halves alternate"),
        ((1, 2, 0, 3), "(steps, halves, batch, units)"),
        ((2, 0, 1, 3), "(halves, batch, steps, units)"),
    ],
)
def test_order_of_the_halves_is_named(order, sentence):
    problem = random_problem(two_ways(spec_of("gru", 4, **SEQUENCES)), 0, (3, 7, 5))
    output = compute(problem)[0].data
    moved = output.reshape(3, 7, 2, 4).transpose(order).reshape(output.shape)
    (finding,) = axes_of(problem, [moved])
    assert finding.numbers == order
    assert sentence in finding_text(finding)


@pytest.mark.parametrize(
    ("variant", "name"),
    [("held", "previous-output"), ("the frozen state", "kept-state"), ("computed", "new-state")],
)
def test_order_of_the_halves_is_named_beside_what_masked_steps_return(variant, name):
    mask = ("1111111", "1101100", "0011111")
    spec = two_ways(spec_of("gru", 4, **SEQUENCES))
    problem = random_problem(spec, 0, (3, 7, 5), mask=mask, initial=True)
    fault = placed(f"masked-output: {variant}", "every half")
    output = with_faults(problem, fault).outputs[0].data
    alternating = output.reshape(3, 7, 2, 4).swapaxes(2, 3).reshape(output.shape)
    explanation = diagnose(with_arrays(problem, [alternating]), thorough=False).explanation
    axes, steps = (f for f in explanation.findings if accounts_for_values(f))
    assert (axes.type, axes.numbers) == (FindingType.AXES_EXCHANGED, (0, 1, 3, 2))
    assert (steps.type, steps.name) == (FindingType.MASKED_STEPS_ONLY, name)
    assert explanation.accounted


def test_last_output_in_memory_of_the_halves_is_named():
    problem = random_problem(two_ways(spec_of("gru", 4)), 0, (3, 7, 5))
    output = compute(problem)[0].data
    moved = output.reshape(3, 2, 4).transpose(1, 0, 2).reshape(3, 8)
    (finding,) = axes_of(problem, [moved])
    assert "(halves, batch, units)" in finding_text(finding)


@pytest.mark.parametrize(
    "name", ["inputs and output reshaped to time first", "recurs over the batch"]
)
def test_time_that_is_taken_for_the_first_axis_is_named(name):
    (mistake,) = [each for each in memory_mistakes() if each.name == name]
    problem, implementation = mistake.draw(4)
    (finding,) = axes_of(problem, implementation(problem))
    assert mistake.is_stated_by(finding)


def test_halves_of_different_units_are_not_mixed_up():
    spec = {
        "class_name": "Bidirectional",
        "config": {
            "layer": spec_of("gru", 4, **SEQUENCES),
            "backward_layer": spec_of("gru", 2, **SEQUENCES, go_backwards=True),
        },
    }
    problem = random_problem(spec, 0, (3, 7, 5))
    output = compute(problem)[0].data
    assert not axes_of(problem, [np.sin(3 * output)])
