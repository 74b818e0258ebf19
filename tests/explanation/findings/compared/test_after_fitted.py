"""Numbers with which the output was scaled, shifted, clipped or normalized are read off."""

import numpy as np
import pytest
from _support.random_problems import BOTH, SEQUENCES, random_problem, spec_of
from validation.off_list.cells import run
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import AfterLayer, FindingType

NUMBERS = np.random.default_rng(7).uniform(0.5, 2, (2, 5)).astype(np.float32)


def found(edit, **options):
    problem = random_problem(spec_of("lstm", 5, **options), 0, (4, 7, 4))
    output, *states = run(problem)
    explanation = diagnose(
        with_arrays(problem, [edit(output), *states]), thorough=False
    ).explanation
    return [f for f in explanation.findings if f.type is FindingType.AFTER_LAYER and f.certain]


def normalized(y, epsilon):
    return (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + epsilon)


@pytest.mark.parametrize("options", [BOTH, SEQUENCES, {}])
@pytest.mark.parametrize(
    ("edit", "name", "value"),
    [
        (lambda y: 2 * y - 1, AfterLayer.SCALED_AND_SHIFTED, 2),
        (lambda y: y + NUMBERS[0], AfterLayer.UNITS_SHIFTED, None),
        (lambda y: y * NUMBERS[0] - NUMBERS[1], AfterLayer.UNITS_SCALED_AND_SHIFTED, None),
        (lambda y: np.clip(y, -0.1, 0.1), AfterLayer.CLIPPED, 0.1),
        (lambda y: normalized(y, 1e-2), AfterLayer.NORMALIZED_EPSILON, 1e-2),
        (lambda y: normalized(y, 1e-12), AfterLayer.NORMALIZED, 0),
        (lambda y: normalized(y, 1e-3), AfterLayer.NORMALIZED_KERAS, 1e-3),
        (
            lambda y: normalized(y, 1e-3) * NUMBERS[0] + NUMBERS[1],
            AfterLayer.NORMALIZED_AND_SCALED,
            1e-3,
        ),
    ],
)
def test_numbers_are_read_off(edit, name, value, options):
    (finding,) = found(edit, **options)
    assert finding.name == name
    assert finding.value == (None if value is None else pytest.approx(value, rel=1e-4))


def test_shift_is_read_off():
    (finding,) = found(lambda y: 2 * y - 1)
    assert finding.shift == pytest.approx(-1, rel=1e-5)


@pytest.mark.parametrize("edit", [lambda y: 1.37 * y, lambda y: y - 0.21, lambda y: y**3])
def test_one_factor_or_one_shift_is_left_to_the_list(edit):
    assert not found(edit, **SEQUENCES)


def test_two_values_of_a_unit_are_no_evidence_of_two_numbers():
    """Whatever two rows are, some factor and some shift of each unit give them."""
    problem = random_problem(spec_of("gru", 5), 0, (2, 7, 4))
    (output,) = run(problem)
    explanation = diagnose(with_arrays(problem, [np.sin(9 * output)]), thorough=False).explanation
    assert not [f for f in explanation.findings if f.type is FindingType.AFTER_LAYER and f.certain]


def test_units_that_do_not_vary_are_not_called_scaled():
    assert found(lambda y: 0 * y + NUMBERS[0], **SEQUENCES) == []
