"""What counts as a comparison, and the exit status that follows."""

from dataclasses import replace

import pytest
from _support.conformance_runs import AGREEING, MIXED, WORST, report, results, subject

from rnnparity.problem.results import CaseResult, Report, Skipped
from rnnparity.problem.verdicts import Verdict

STATUS = {
    Verdict.AGREES: 0,
    Verdict.KNOWN: 0,
    Verdict.DIVERGES: 1,
    Verdict.ERROR: 1,
    Verdict.INCONCLUSIVE: 2,
    Verdict.UNSUPPORTED: 2,
}


@pytest.mark.parametrize("verdict", Verdict)
def test_a_run_with_one_verdict_has_its_exit_status(verdict):
    found = report(subject("a", tuple(results(verdict))))
    assert (found.status, verdict.status) == (STATUS[verdict], STATUS[verdict])
    assert found.passed == (STATUS[verdict] == 0)
    assert found.compared == verdict.compared == (STATUS[verdict] != 2)


def test_every_subject_must_have_compared_something():
    nothing = subject("b", tuple(results("inconclusive", "unsupported")))
    assert report(subject("a", AGREEING), nothing).status == 2
    assert report(subject("a", MIXED), nothing).status == 1
    assert Report(()).status == 2
    skipped = Skipped("c", "gone", requested=True)
    assert report(subject("a", AGREEING), skipped=(skipped,)).status == 2
    assert report(subject("a", AGREEING), skipped=(replace(skipped, requested=False),)).status == 0


@pytest.mark.parametrize("verdict", Verdict)
def test_outputs_are_compared_where_there_are_some(verdict):
    result = CaseResult("x", verdict, differences=(WORST,))
    assert result.outputs_compared == verdict.compared
    without = replace(result, differences=())
    # A known error is a comparison without outputs.
    assert without.outputs_compared == (verdict is Verdict.AGREES)
