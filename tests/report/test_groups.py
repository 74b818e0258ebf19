"""Groups: which results have something in common."""

from dataclasses import replace

from _support.conformance_runs import MIXED

from rnnparity.catalogue import catalogue
from rnnparity.problem.explanations import EVERY_HALF, Cause, Explanation, FaultId
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Difference, DifferenceType, Verdict
from rnnparity.report.groups import GROUPS, group_results, plainest
from rnnparity.report.text.messages import group_title


def grouped(*results):
    """Title and number of cases of each group of results, given without their ids."""
    cases = [CaseResult(case, **fields) for case, fields in zip(catalogue(), results, strict=False)]
    groups = group_results(cases)
    return [(group_title(group, plainest(found)), len(found)) for group, found in groups.items()]


def diverging(*types, cause=None):
    differences = tuple(Difference(each) for each in types)
    return {"verdict": Verdict.DIVERGES, "differences": differences, "cause": cause}


def erring(reason):
    return {"verdict": Verdict.ERROR, "reason": reason}


def test_plainest_case_has_few_halves_and_calls_before_a_short_id():
    ids = ["stack-two_lstm", "bi_lstm-spread-sum-last", "lstm-spread-sequences", "lstm-spread-last"]
    results = [CaseResult(id_, Verdict.DIVERGES) for id_ in ids]
    assert plainest(results).id == "lstm-spread-last"


def test_failing_groups_come_first():
    verdicts = [group.verdict for group in group_results(reversed(MIXED))]
    assert verdicts == ["diverges", "error", "known", "inconclusive", "unsupported"]


def test_frequent_groups_come_first():
    assert grouped(erring("A: a"), erring("B: b"), erring("B: b")) == [("B: b", 2), ("A: a", 1)]


def test_results_that_agree_are_in_no_group():
    assert grouped({"verdict": Verdict.AGREES}) == []


def test_a_fault_is_one_group_at_every_location():
    locations = ["", EVERY_HALF, "backward/", "1/forward/", "0/"]
    faults = [FaultId("gate-order", "LSTM iofc (ONNX)", location) for location in locations]
    results = [diverging(DifferenceType.VALUES, cause=Cause((fault,))) for fault in faults]
    assert grouped(*results) == [("gate-order: LSTM iofc (ONNX)", len(locations))]


def test_faults_that_act_together_are_another_group_than_each_of_them():
    first, second = FaultId("a", "x", ""), FaultId("b", "y", "forward/")
    causes = [Cause((first, second)), Cause((first,)), Cause((second,))]
    results = [diverging(DifferenceType.VALUES, cause=cause) for cause in causes]
    assert sorted(grouped(*results)) == [("a: x", 1), ("a: x + b: y", 1), ("b: y", 1)]


def test_unexplained_is_another_group_than_not_searched():
    unexplained = diverging(DifferenceType.VALUES, cause=Cause())
    results = [unexplained, diverging(DifferenceType.VALUES)]
    titles = [title for title, _ in grouped(*results)]
    assert titles == ["unexplained", "cause not searched"]


def accounted(*findings, cause=None, complete=True):
    explanation = Explanation("x", Verdict.DIVERGES, findings=findings, accounted=complete)
    return diverging(DifferenceType.VALUES, cause=cause or Cause()) | {"explanation": explanation}


def test_results_that_the_same_finding_accounts_for_are_one_group():
    relu = Finding(FindingType.AFTER_LAYER, "relu", sigma=0.2)
    units = Finding(FindingType.UNITS, numbers=(1,))
    results = [
        accounted(relu),
        accounted(units, replace(relu, sigma=0.3)),
        accounted(replace(relu, name="tanh")),
        accounted(relu, complete=False),
    ]
    assert grouped(*results) == [
        ("the output is the relu of the layer's", 2),
        ("the output is the tanh of the layer's", 1),
        ("unexplained", 1),
    ]


def test_a_fault_counts_more_than_a_finding():
    fault = FaultId("a", "x", "")
    zero = Finding(FindingType.ZERO, "row", (1,))
    assert grouped(accounted(zero, cause=Cause((fault,)))) == [("a: x", 1)]


def test_what_was_not_searched_comes_after_the_causes():
    unsearched = diverging(DifferenceType.VALUES)
    results = [unsearched, unsearched, diverging(DifferenceType.VALUES, cause=Cause())]
    assert grouped(*results) == [("unexplained", 1), ("cause not searched", 2)]


def test_what_no_fault_explains_is_grouped_by_difference_type():
    fact, dtype = DifferenceType.FACT, DifferenceType.DTYPE
    results = [diverging(fact), diverging(dtype), diverging(dtype, fact)]
    titles = [title.partition(" than")[0] for title, _ in grouped(*results)]
    assert titles == ["other facts", "another dtype", "another dtype"]


def test_errors_that_differ_in_a_number_are_one_group():
    errors = [f"ValueError: row {row} of float{bits}" for row in (1, 22) for bits in (16, 32)]
    assert [count for _, count in grouped(*map(erring, errors))] == [2, 2]


def test_reasons_of_unsupported_cases_that_differ_in_a_number_are_two_groups():
    reasons = [{"verdict": Verdict.UNSUPPORTED, "reason": f"{n} layers"} for n in (3, 4)]
    assert grouped(*reasons) == [("3 layers", 1), ("4 layers", 1)]


def test_known_differences_are_grouped_by_their_names():
    known = [{"verdict": Verdict.KNOWN, "known": names} for names in (("a",), ("a", "b"), ("a",))]
    assert grouped(*known) == [("a", 2), ("a + b", 1)]


def test_the_rarest_groups_are_joined():
    words = [f"{a}{b}" for a in "abcde" for b in "abcdef"]
    found = grouped(*[erring(f"ValueError: {word}") for word in words])
    assert found[-1] == ("other reasons", len(words) - GROUPS)
    assert len(found) == GROUPS + 1
