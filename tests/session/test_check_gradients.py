"""Whole runs that compare gradients."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from rnnparity import check, explain, run
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import gradient_cases, with_cotangents
from rnnparity.faults import backward_mutants
from rnnparity.golden.goldens import GRADIENTS, KNOWN, default_folder, golden_outputs
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.examples import with_examples
from rnnparity.report.pages.conformance import markdown, page
from rnnparity.report.stored.merge import merge
from rnnparity.report.stored.reports import dump, parse
from rnnparity.report.text.check import report_lines
from rnnparity.session.check import check_run
from rnnparity.session.selection import Selection
from rnnparity.session.settings import Settings

FEW = "lstm-spread-last-mask_interior-initial or gru-spread-sequences-state-mask_left_empty"

ENTRY = """
[[difference]]
name = "of-some-cases"
subject = "*"
cases = ["lstm-spread-last-mask_interior-initial", "gru-spread-sequences-state-mask_left_empty*"]
kinds = ["values"]
versions = {}
cause = "none"
standing = "mistake"
reason = "for the sake of the test"
link = "https://example.org"
"""


def right(problem):
    return [tensor.data for tensor in golden_outputs(replace(problem, cotangents=None))]


def wrong(problem):
    return right(problem)


def forward_only(problem):
    return right(problem)


def doubled_bias(problem):
    return [
        replace(tensor, data=tensor.data * 2) if tensor.name.endswith("bias") else tensor
        for tensor in golden_outputs(problem)
    ]


def without_bias(problem):
    """Without a gradient of the bias, as PyTorch answers where it is detached."""
    return [None if t.name.endswith("bias") else t.data for t in golden_outputs(problem)]


def without_bias_transposed(problem):
    """Without a gradient of the bias, and that of the kernel transposed."""
    return [t if t is None or i != 1 else t.T for i, t in enumerate(without_bias(problem))]


def arrays(function):
    return lambda problem: [tensor.data for tensor in function(problem)]


right.gradients, wrong.gradients = arrays(golden_outputs), arrays(doubled_bias)


@pytest.fixture(scope="module")
def report():
    return check(right, wrong, k=FEW, gradients=True)


def test_gradients_are_judged_like_outputs(report):
    agreeing, diverging = report.subjects
    assert {case.verdict for case in agreeing.cases} == {Verdict.AGREES}
    for case in diverging.cases:
        (difference,) = case.differences
        assert (case.verdict, difference.output) == (Verdict.DIVERGES, "bias")
        assert difference.differing == difference.total
        np.testing.assert_allclose(difference.actual, 2 * difference.expected, rtol=1e-6)
    assert report.status == 1


def test_the_mutation_score_counts_faults_of_the_backward_pass(report):
    cases = [with_cotangents(catalogue()[case.id]) for case in report.subjects[0].cases]
    mutants = [mutant for case in cases for mutant in backward_mutants(case)]
    score = report.score
    assert score.applicable == len({mutant.fault for mutant in mutants}) > 50
    assert score.detected == score.applicable - len(score.undetected) > 50
    text = "\n".join(report_lines(report))
    assert (
        f"mutation score: {score.detected}/{score.applicable} faults of the backward pass" in text
    )


def test_few_cases_leave_faults_of_the_backward_pass_undetected():
    score = check(right, k="sources-001-textbook", gradients=True).score
    assert 0 < score.detected < score.applicable
    assert {fault.cause for fault in score.undetected}


def answering(gradients):
    def subject(problem):
        return right(problem)

    subject.gradients = gradients
    return subject


def named(cause):
    return [(fault.cause, fault.variant) for fault in cause.faults]


def test_a_gradient_that_is_missing_has_a_cause():
    """None is no array of zeros, and has the same cause."""
    case = check(answering(without_bias), k=FEW, gradients=True).subjects[0].cases[0]
    (difference,) = case.differences
    assert (case.verdict, difference.type) == (Verdict.DIVERGES, "count")
    assert named(case.cause) == [("gradient-missing", "bias")]


def test_a_missing_gradient_beside_a_wrong_shape_has_no_cause():
    case = check(answering(without_bias_transposed), k=FEW, gradients=True).subjects[0].cases[0]
    assert (case.verdict, case.cause) == (Verdict.DIVERGES, None)


def test_a_failing_case_has_the_cause_of_its_gradients(report):
    for case in report.subjects[1].cases:
        assert named(case.cause) == [("gradient-doubled", "bias")]
    for case in report.subjects[1].cases:
        assert case.explanation.differences == case.differences


def test_gradients_of_the_wrong_form_have_no_cause():
    def nameless(problem):
        return right(problem)

    nameless.gradients = lambda problem: [0.0] * len(problem.gradient_slots())
    (subject,) = check(nameless, k=FEW, gradients=True).subjects
    assert {case.verdict for case in subject.cases} == {Verdict.DIVERGES}
    assert {case.cause for case in subject.cases} == {None}


def test_gradients_are_explained_where_the_outputs_are_right():
    problem = gradient_cases()["gru-spread-sequences-state-mask_left_empty"]
    found = explain(problem, wrong, gradients=True)
    assert named(found.cause) == [("gradient-doubled", "bias")]
    assert [difference.output for difference in found.differences] == ["bias"]
    assert "gradient-doubled: bias" in str(found)
    assert explain(problem, wrong).verdict is Verdict.AGREES  # its outputs
    assert explain(problem, right, gradients=True).verdict is Verdict.AGREES
    stored = run(problem, wrong, gradients=True)
    assert explain(stored).cause == found.cause
    assert explain(replace(stored, outputs=None)).cause == found.cause


def test_wrong_outputs_are_explained_before_wrong_gradients():
    def doubled(problem):
        return [2 * array for array in right(problem)]

    doubled.gradients = wrong.gradients
    problem = gradient_cases()["gru-spread-sequences-state-mask_left_empty"]
    found = explain(problem, doubled, gradients=True)
    assert {difference.output for difference in found.differences} == {"output", "h"}
    stored = run(problem, doubled, gradients=True)
    assert explain(stored).differences == found.differences


def test_unexplained_gradients_refer_to_the_outputs_which_were_not_compared():
    def subject(problem):
        return [2 * array for array in right(problem)]

    def gradients(problem):
        return [array + np.float32(0.01) * (1 + array**2) for array in right.gradients(problem)]

    subject.gradients = gradients
    report = check(subject, k="lstm-spread-last-mask_interior-initial", gradients=True)
    (case,) = report.subjects[0].cases
    assert not case.cause.explained
    assert case.explanation.explain_next is AnswerType.OUTPUTS
    assert "explain next: the outputs, which were not compared" in "\n".join(report_lines(report))


def test_a_subject_without_gradients_is_unsupported():
    with pytest.raises(RequestError, match=r"nothing was compared.*it has no attribute gradients"):
        check(forward_only, k=FEW, gradients=True)


def test_the_reference_agrees_with_its_goldens():
    report = check("reference", k="gru-spread and core and not stateful", gradients=True)
    assert report.passed
    assert not report.without_golden


def test_no_known_difference_is_stale(tmp_path):
    """An entry may be of outputs only, so that gradients that agree do not contradict it."""
    shutil.copytree(default_folder() / GRADIENTS, tmp_path / GRADIENTS)
    (tmp_path / KNOWN).write_text(ENTRY)
    report = check(right, k=FEW, gradients=True, fixtures=tmp_path)
    assert report.passed
    known = check(wrong, k=FEW, gradients=True, fixtures=tmp_path)
    assert {case.verdict for case in known.subjects[0].cases} == {Verdict.KNOWN}


def test_the_default_cases_are_those_with_golden_gradients():
    assert [case.id for case in Selection(gradients=True).cases()] == list(gradient_cases())
    (case,) = Selection("lstm-spread-last-mask_interior-initial", gradients=True).cases()
    assert case.cotangents


def test_a_case_without_golden_gradients_is_compared_with_the_reference():
    case = next(c for c in Selection("lstm-spread").cases() if c.id not in gradient_cases())
    report = check(right, k=case.id, gradients=True)
    assert report.passed
    assert not report.without_golden  # only the core set has some


def test_every_rendering_states_that_gradients_were_compared(report):
    text = "\n".join(report_lines(report))
    assert text.startswith("gradients of inputs, weights and initial states\n")
    assert "bias (GH=20): 20 of 20 values differ" in text
    assert "cause: gradient-doubled: bias" in text
    assert "rerun: rnnparity check" in text
    assert "rerun: rnnparity show" not in text
    for rendered in (page(report), markdown(report)):
        assert "Gradients were compared, not outputs." in rendered
    assert "--gradients" in page(report)


def test_a_stored_report_of_gradients_is_not_merged_with_one_of_outputs(report):
    stored = parse(json.loads(dump(report)), "g.json")
    assert stored == report
    outputs = check(right, k=FEW)
    with pytest.raises(
        RequestError, match=r"o\.json: got outputs, expected gradients as in g\.json; report"
    ):
        merge({"g.json": stored, "o.json": outputs}, ())
    assert merge({"g.json": stored}, ()).gradients


def test_a_known_difference_of_gradients_has_an_explanation_on_the_page(tmp_path):
    """The search for causes leaves none in a case that is known."""
    shutil.copytree(default_folder(), tmp_path / "fixtures")
    (tmp_path / "fixtures" / KNOWN).write_text(ENTRY)
    settings = Settings(fixtures=tmp_path / "fixtures")
    run = check_run([wrong], Selection(FEW, gradients=True), settings)
    assert {case.verdict for case in run.report.subjects[0].cases} == {Verdict.KNOWN}
    report = with_examples(run, lambda *_: None)
    explained = [case.explanation for case in report.subjects[0].cases if case.explanation]
    assert [explanation.cause.names for explanation in explained] == [("gradient-doubled",)]
