"""Separating problems and probes: the subject is asked until one cause is left."""

import pytest
from _support.explanations import CONSTANT, from_port

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.explain import explain
from rnnparity.explanation.probe import PROBES, probe
from rnnparity.explanation.separate import with_separating_problem
from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.report.text.messages import faults_name


@pytest.fixture(scope="module")
def ambiguous():
    """Constant weights, for which several causes fit."""
    diagnosis = with_separating_problem(diagnose(from_port(catalogue()[CONSTANT])))
    assert diagnosis.explanation.cause.also_fits
    return diagnosis


def answer(problem):
    return Answer(from_port(problem).outputs)


def test_separating_problem_has_fewer_causes_that_fit(ambiguous):
    problem = ambiguous.separating
    assert problem.outputs is None
    diagnosis = diagnose(from_port(problem))
    assert faults_name(diagnosis.fits[0].faults) == "bias-missing"
    assert len(diagnosis.fits) < len(ambiguous.fits)


def test_single_cause_has_no_separating_problem(ambiguous):
    diagnosis = diagnose(from_port(ambiguous.separating))
    assert len(diagnosis.fits) == 1
    assert with_separating_problem(diagnosis).separating is None


def test_subject_is_asked_until_one_cause_is_left(ambiguous):
    diagnosis = explain(ambiguous.problem, answer)
    cause = diagnosis.explanation.cause
    assert [faults_name(fit.faults) for fit in diagnosis.fits] == ["bias-missing"]
    assert (cause.faults, cause.also_fits) == (diagnosis.fits[0].faults, ())
    assert cause.unambiguous
    assert diagnosis.explanation.descriptions[0].description == diagnosis.fits[0].fault.description
    assert 1 <= diagnosis.explanation.probes <= PROBES


def test_without_a_subject_nothing_is_asked(ambiguous):
    diagnosis = explain(ambiguous.problem)
    assert diagnosis.explanation.probes == 0
    assert diagnosis.separating is not None


@pytest.mark.parametrize("error", [RequestError("no"), Unsupported("no")])
def test_failed_probe_leaves_the_causes_unchanged(ambiguous, error):
    def fails(problem):
        raise error

    diagnosis = probe(ambiguous, fails)
    assert diagnosis.fits == ambiguous.fits
    assert diagnosis.explanation.cause == ambiguous.explanation.cause
    assert diagnosis.explanation.probes == 1
