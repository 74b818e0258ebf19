"""Sessions: every subject is asked in the same way, and judged."""

from dataclasses import replace

import numpy as np
import pytest
from _support import subject_functions
from _support.command_line import own_package

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import Goldens, golden_outputs
from rnnparity.problem.errors import RequestError, SubjectFailedError
from rnnparity.problem.verdicts import Verdict, Witness
from rnnparity.reference import memory
from rnnparity.session.ask import run
from rnnparity.session.random_problems import problem_of_id
from rnnparity.session.session import open_session

CASE = "lstm-spread-sequences-state"
PROBLEM = catalogue()[CASE]
GOLDENS = Goldens({CASE: golden_outputs(PROBLEM)})
# The same function in this process, and in a worker process.
FORMS = ["function", "worker"]


@pytest.fixture
def subject(request, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(own_package(tmp_path))

    def form(name):
        if request.param == "function":
            return getattr(subject_functions, name)
        return f"own.functions:{name}"

    return form


@pytest.mark.parametrize("subject", FORMS, indirect=True)
@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("right", Verdict.AGREES),
        ("wrong", Verdict.DIVERGES),
        ("raises", Verdict.ERROR),
        ("exits", Verdict.ERROR),
        ("unsupported", Verdict.UNSUPPORTED),
    ],
)
def test_functions_and_workers_give_the_same_verdicts(subject, name, verdict):
    with open_session(subject(name)) as session:
        asked = session.ask(PROBLEM)
        (streamed,) = session.ask_all([PROBLEM])
        results = [session.judge(outcome, GOLDENS) for outcome in (asked, streamed)]
    assert [result.verdict for result in results] == [verdict, verdict]


@pytest.mark.parametrize("subject", FORMS, indirect=True)
def test_an_error_names_the_line_of_the_user(subject):
    with open_session(subject("raises")) as session:
        error = session.ask(PROBLEM).error
    assert error.startswith("ValueError: no such gate (")
    assert "functions.py, line " in error


def test_unknown_subjects_are_refused_before_anything_starts():
    with pytest.raises(RequestError, match="'kreas'"), open_session("kreas"):
        pass


def test_the_reference_is_judged_by_its_golden_alone():
    golden, *states = golden_outputs(PROBLEM)
    moved = replace(golden, data=golden.data + np.float32(1e-3))
    with open_session("reference") as session:
        outcome = session.ask(PROBLEM)
        assert session.judge(outcome, GOLDENS).verdict is Verdict.AGREES
        drifted = session.judge(outcome, Goldens({CASE: (moved, *states)}))
        left_out = session.judge(outcome, Goldens({}, {CASE: "too much noise"}))
    assert (drifted.verdict, drifted.outlier) == (Verdict.DIVERGES, Witness.GOLDEN)
    assert (left_out.verdict, left_out.reason) == (Verdict.INCONCLUSIVE, "too much noise")


def test_the_reference_agrees_without_a_golden():
    with open_session("reference") as session:
        assert session.judge(session.ask(PROBLEM)).verdict is Verdict.AGREES


def test_run_returns_the_outputs_of_a_function():
    outputs = run(PROBLEM, subject_functions.right).outputs
    assert [tensor.name for tensor in outputs] == ["output", "h", "c"]


def test_run_raises_where_there_are_no_outputs():
    with pytest.raises(SubjectFailedError, match=rf"{CASE}: subject .*:raises' failed: ValueError"):
        run(PROBLEM, subject_functions.raises)
    with pytest.raises(RequestError, match="does not support it: not today"):
        run(PROBLEM, subject_functions.unsupported)


def test_run_returns_float64_outputs_of_the_reference():
    assert {tensor.dtype for tensor in run(PROBLEM).outputs} == {"float64"}


def test_a_problem_that_does_not_fit_in_memory_is_refused_not_failed(monkeypatch):
    monkeypatch.setattr(memory, "ALWAYS_FITS", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    with pytest.raises(RequestError, match=r"does not support it: .* GB of memory"):
        run(catalogue()["lstm-spread-last"])


def test_the_reference_computes_what_overflows_without_a_warning():
    problem = problem_of_id("fuzz-11-2")
    with open_session("reference") as session:
        outcome = session.ask(problem)
    assert not outcome.error
    assert not np.isfinite(outcome.answer.outputs[0].data).all()
