"""Mistakes around a layer: all are stated where they can be seen, and the judge is not kind."""

from dataclasses import replace

import pytest

from rnnparity.problem.findings import AfterLayer, Finding, FindingType, OtherInputs, OtherMask
from validation import around_layer
from validation.around_layer import Mistake, Outcome, mistakes, run_trial


def mistake_of(name):
    (mistake,) = [each for each in mistakes() if each.name == name]
    return mistake


@pytest.mark.parametrize(
    "name",
    [
        OtherInputs.NORMALIZED,
        OtherInputs.IN_INT8,
        OtherMask.INVERTED,
        AfterLayer.RELU,
        AfterLayer.MEAN,
    ],
)
def test_mistake_is_stated(name):
    assert run_trial(mistake_of(name), 100)[0] is Outcome.STATED


def test_zeros_of_a_relu_are_evidence_each():
    """The first of them may stand for a value that is nearly zero."""
    assert run_trial(mistake_of(AfterLayer.RELU), 6000)[0] is Outcome.STATED


@pytest.mark.parametrize(
    ("finding", "outcome"),
    [
        (Finding(FindingType.INPUTS, OtherInputs.SCALED, value=1 / 255), Outcome.STATED),
        (Finding(FindingType.INPUTS, OtherInputs.NORMALIZED), Outcome.WRONG),
        (Finding(FindingType.MASK, OtherMask.INVERTED), Outcome.WRONG),
    ],
)
def test_another_mistake_is_wrong(monkeypatch, finding, outcome):
    mistake = mistake_of(OtherInputs.SCALED)
    diagnosed = around_layer.diagnose

    def diagnose(problem):
        diagnosis = diagnosed(problem)
        explanation = replace(diagnosis.explanation, findings=(finding,), cause=None)
        return replace(diagnosis, explanation=explanation)

    monkeypatch.setattr(around_layer, "diagnose", diagnose)
    assert run_trial(mistake, 101)[0] is outcome


def test_what_nothing_states_is_uncertain():
    square = Mistake(
        FindingType.AFTER_LAYER, AfterLayer.TANH, around_layer._with_output(lambda y: y**2)
    )
    assert run_trial(square, 102)[0] is Outcome.UNCERTAIN


def test_healthy_implementation_is_not_detectable():
    none = Mistake(FindingType.AFTER_LAYER, AfterLayer.TANH, around_layer._with_output(lambda y: y))
    assert run_trial(none, 100)[0] is Outcome.UNDETECTED
