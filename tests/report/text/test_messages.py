"""The sentences about a failing case."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Answer
from rnnparity.problem.explanations import Cause, Explanation, FaultDescription, FaultId
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.shapes import Slot
from rnnparity.problem.verdicts import Difference, DifferenceType, FactType, Verdict, Witness
from rnnparity.reference.tolerance import expect
from rnnparity.report.groups import Group
from rnnparity.report.text.differences import describe, sigma_text
from rnnparity.report.text.messages import failure, fault_name, fixes, group_title, summary
from rnnparity.verdict.compare import compare_structure
from rnnparity.verdict.judge import judge, judge_with_golden

CASE = "lstm-spread-sequences-state"
PROBLEM = catalogue()[CASE]


def outputs(**changed):
    """The expected outputs, some of them changed by a function of their array."""
    return tuple(
        replace(tensor, data=changed[tensor.name](tensor.data.copy()))
        if tensor.name in changed
        else tensor
        for tensor in golden_outputs(PROBLEM)
    )


def put(*index, value):
    def change(data):
        data[index] = value
        return data

    return change


def lines(verdict, subject="mine", problem=PROBLEM):
    head, *rest = failure(problem, verdict, subject)
    assert rest[-2:] == [
        f"  case: {problem.case.why}",
        f"  rerun: rnnparity show {problem.id} --subject {subject}",
    ]
    return [head, *rest[:-2]]


def lines_of(actual, problem=PROBLEM):
    return lines(judge(problem, Answer(tuple(actual))), problem=problem)


def expected_at(name, index):
    tensor = next(tensor for tensor in expect(PROBLEM).outputs if tensor.name == name)
    return f"{tensor.data[index]:.9g}"


def off_by(name, index, actual):
    tensor = next(tensor for tensor in expect(PROBLEM).outputs if tensor.name == name)
    return f"{abs(actual - tensor.data[index]):.2g}"


# ---------------------------------------------------------------------------------------------
# difference types


def test_a_wrong_count_lists_both_names():
    assert lines_of(outputs()[:2]) == [
        f"{CASE}: mine diverges",
        "  outputs: got 2 (output, h), expected 3: output, h, c",
    ]


def test_wrong_names_are_listed():
    output, h, c = outputs()
    assert lines_of([output, c, h]) == [
        f"{CASE}: mine diverges",
        "  outputs: got output, c, h; expected output, h, c",
    ]


def test_each_wrong_shape_is_a_line():
    assert lines_of(outputs(output=lambda data: data[:, -1], h=lambda data: data.T)) == [
        f"{CASE}: mine diverges",
        "  output: got shape (2, 5), expected (2, 4, 5)",
        "  h: got shape (5, 2), expected (2, 5)",
    ]


def test_a_wrong_dtype_states_that_the_values_agree():
    actual = [replace(tensor, data=tensor.data.astype(np.float64)) for tensor in outputs()]
    assert lines_of(actual) == [
        f"{CASE}: mine diverges",
        "  output: got dtype float64, expected float32; its values agree",
        "  h: got dtype float64, expected float32; its values agree",
        "  c: got dtype float64, expected float32; its values agree",
    ]


def test_a_wrong_dtype_does_not_hide_wrong_values():
    twice = [Tensor(t.name, t.data.astype(np.float64) * 2) for t in outputs()]
    found = lines_of(twice)
    assert found[1] == "  output: got dtype float64, expected float32"
    assert "  output (B=2, T=4, H=5): 40 of 40 values differ" in found


def test_a_value_that_is_not_finite_is_located():
    assert lines_of(outputs(output=put(1, 2, 0, value=np.nan))) == [
        f"{CASE}: mine diverges",
        "  output (B=2, T=4, H=5): 1 of 40 values differ",
        f"  worst: output[1, 2, 0]: got nan, expected {expected_at('output', (1, 2, 0))}; not finite",
        "  first mismatch: index 2 of axis T",
    ]


def test_wrong_values_are_counted_and_the_worst_is_located():
    def change(data):
        data[0, 1, 1] = 0.25
        data[1, 3, 2] = 0.75
        return data

    verdict = judge(PROBLEM, Answer(outputs(output=change, c=put(1, 1, value=0.5))))
    first, second = (sigma_text(difference.sigma) for difference in verdict.differences)
    assert lines(verdict) == [
        f"{CASE}: mine diverges",
        "  output (B=2, T=4, H=5): 2 of 40 values differ",
        f"  worst: output[1, 3, 2]: got 0.75, expected {expected_at('output', (1, 3, 2))}, "
        f"off by {off_by('output', (1, 3, 2), 0.75)}; {first} sigma (10 allowed)",
        "  first mismatch: index 1 of axis T",
        "  c (B=2, H=5): 1 of 10 values differ",
        f"  worst: c[1, 1]: got 0.5, expected {expected_at('c', (1, 1))}, "
        f"off by {off_by('c', (1, 1), 0.5)}; {second} sigma (10 allowed)",
    ]
    assert float(first) > 1e5
    assert (
        summary(verdict, PROBLEM)
        == f"output[1, 3, 2]: got 0.75, expected {expected_at('output', (1, 3, 2))}"
    )


def test_the_allowed_distance_is_that_of_the_dtype():
    problem = catalogue()["dtype-float16-gru-forward"]
    output, *states = golden_outputs(problem)
    data = output.data.copy()
    data[0, 0, 0] += np.float16(0.5)
    assert lines_of([replace(output, data=data), *states], problem)[2].endswith(
        " sigma (5 allowed)"
    )


def test_a_wrong_fact_is_a_line():
    verdict = judge(PROBLEM, Answer(outputs(), {"parameters": 99, "symbolic": [[None, None, 5]]}))
    assert lines(verdict) == [
        f"{CASE}: mine diverges",
        "  count_params(): got 99, expected 240",
        "  symbolic shapes: got ((None, None, 5),), expected ((None, None, 5), (None, 5), (None, 5))",
    ]


def test_what_contradicts_the_source_is_marked():
    problem = catalogue()["sources-000-bilstm-state"]
    output, *states = golden_outputs(problem)
    data = output.data.copy()
    data[0, 3] += np.float32(1e-4)
    found = lines_of([replace(output, data=data), *states], problem)
    assert found[1] == "  output (B=1, H=6): 1 of 6 values differ"
    assert found[3:] == [
        "  relation output == concat(forward_h, backward_h): does not hold",
        f"  output[0, 3]: got {data[0, 3]:.9g}, expected 0.7038734 (source)",
    ]


def test_an_error_shows_its_message():
    verdict = CaseResult(CASE, Verdict.ERROR, reason="TypeError: no such thing")
    assert lines(verdict) == [f"{CASE}: mine errs", "  TypeError: no such thing"]


def test_fix_of_two_faults_is_stated_once():
    verdict = CaseResult(CASE, Verdict.DIVERGES, fixes=("Add the bias.", "", "Add the bias."))
    assert fixes(verdict) == ["Add the bias."]


def test_fix_of_a_cause_that_was_ruled_out_later_is_not_stated():
    wrong, settled = FaultId("a", "one"), FaultId("b", "two")
    explanation = Explanation(
        CASE,
        Verdict.DIVERGES,
        cause=Cause((wrong,), also_fits=((settled,),)),
        descriptions=(FaultDescription("It is one.", "Use two."),),
    )
    verdict = CaseResult(CASE, Verdict.DIVERGES, cause=explanation.cause, explanation=explanation)
    assert fixes(verdict) == ["Use two."]
    assert not fixes(replace(verdict, cause=Cause((settled,))))


def test_a_known_difference_names_its_entries():
    difference = Difference(DifferenceType.FACT, actual=99, expected=240, fact=FactType.PARAMETERS)
    verdict = CaseResult(CASE, Verdict.KNOWN, differences=(difference,), known=("one", "two"))
    assert summary(verdict, PROBLEM) == "one, two: count_params(): got 99, expected 240"
    assert lines(verdict, "keras") == [
        f"{CASE}: keras known",
        "  count_params(): got 99, expected 240",
        "  known: one, two",
    ]


def test_a_known_error_shows_its_message():
    verdict = CaseResult(CASE, Verdict.KNOWN, reason="TypeError: no such thing", known=("one",))
    assert lines(verdict, "keras") == [
        f"{CASE}: keras known",
        "  TypeError: no such thing",
        "  known: one",
    ]


@pytest.mark.parametrize("kind", [Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED])
def test_a_case_that_was_not_compared_shows_the_reason(kind):
    assert lines(CaseResult(CASE, kind, reason="why so")) == [f"{CASE}: mine is {kind}", "  why so"]


def test_a_problem_that_is_no_case_has_no_command_to_rerun_it():
    problem = replace(PROBLEM, case=None, id="from_keras")
    verdict = judge(problem, Answer(outputs()[:1]))
    assert failure(problem, verdict, "mine") == [
        "from_keras: mine diverges",
        "  outputs: got 1 (output), expected 3: output, h, c",
    ]


@pytest.mark.parametrize(
    ("sigma", "text"),
    [
        *[
            (0, "0"),
            (0.123, "0.12"),
            (9.94, "9.9"),
            (12.3, "12"),
            (99_999, "99999"),
            (123_456, "1.2e5"),
        ],
        *[(1e9, "1e9"), (1.1e9, "over 1e9"), (np.inf, "over 1e9")],
    ],
)
def test_a_distance_has_two_digits(sigma, text):
    assert sigma_text(sigma) == text


def test_float64_values_that_differ_do_not_look_alike():
    difference = Difference(
        DifferenceType.VALUES, "h", 1 / 3, 1 / 3 + 1e-14, (1, 1), "float64", (0, 0), 99.0, 1, 1
    )
    assert describe(difference, 10.0)[1].startswith(
        "worst: h[0, 0]: got 0.33333333333333331, expected 0.33333333333334331, off by 1e-14; "
    )


@pytest.mark.parametrize("gradients", [False, True])
def test_names_that_differ_are_those_of_outputs_or_of_gradients(gradients):
    names, slots = [Tensor.of("h", np.zeros(1))], [Slot("inputs", (1,), "float64")]
    (difference,) = compare_structure(names, slots, gradients=gradients)
    what = "gradients" if gradients else "outputs"
    assert describe(difference, 10.0) == [f"{what}: got h; expected inputs"]


def test_a_state_has_the_axes_of_a_state():
    difference = Difference(
        DifferenceType.VALUES, "forward_h", 1.0, 2.0, (2, 3), "float32", (0, 0), 20.0, 1, 6
    )
    assert describe(difference, 10.0) == [
        "forward_h (B=2, H=3): 1 of 6 values differ",
        "worst: forward_h[0, 0]: got 1, expected 2, off by 1; 20 sigma (10 allowed)",
    ]


# ------------------------------------------------------------------------------------------------------
# witnesses

WRONG = outputs(h=put(0, 0, value=0.5))
ALSO_WRONG = outputs(h=put(0, 0, value=0.25))


def judged(actual, golden, reference=None):
    """The verdict on outputs compared with a golden and with a reference that computes others."""
    expected = expect(PROBLEM)
    if reference is not None:
        wide = tuple(Tensor(tensor.name, tensor.data.astype(np.float64)) for tensor in reference)
        expected = replace(expected, outputs=wide)
    return judge_with_golden(PROBLEM, Answer(actual), expected, golden)


def witnesses(verdict):
    return [line for line in lines(verdict) if " agree: " in line or " all differ" in line]


def test_a_wrong_subject_is_the_outlier():
    verdict = judged(WRONG, outputs())
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, Witness.SUBJECT)
    assert witnesses(verdict) == ["  golden and reference agree: the subject is wrong"]
    assert judged(outputs()[:1], outputs()).outlier is Witness.SUBJECT


def test_a_wrong_reference_is_the_outlier():
    verdict = judged(outputs(), outputs(), WRONG)
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, Witness.REFERENCE)
    assert witnesses(verdict) == ["  golden and subject agree: the reference is wrong"]


def test_a_drifted_golden_is_the_outlier():
    verdict = judged(outputs(), WRONG)
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, Witness.GOLDEN)
    expected = f"{golden_outputs(PROBLEM)[1].data[0, 0]:.9g}"
    size = off_by("h", (0, 0), 0.5)
    assert lines(verdict) == [
        f"{CASE}: mine diverges",
        "  h (B=2, H=5): 1 of 10 values differ",
        f"  worst: golden h[0, 0]: got 0.5, expected {expected}, off by {size}; over 1e9 sigma (10 allowed)",
        "  subject and reference agree: the golden has drifted",
    ]


def test_three_different_outputs_have_no_outlier():
    verdict = judged(WRONG, ALSO_WRONG)
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, Witness.NONE)
    assert witnesses(verdict) == ["  golden, reference and subject all differ"]


def test_outputs_that_agree_have_no_outlier():
    verdict = judged(outputs(), outputs())
    assert (verdict.verdict, verdict.outlier) == (Verdict.AGREES, None)


def test_a_wrong_fact_makes_the_subject_the_outlier():
    expected = expect(PROBLEM)
    verdict = judge_with_golden(PROBLEM, Answer(outputs(), {"parameters": 99}), expected, outputs())
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, Witness.SUBJECT)


def test_without_a_golden_there_is_no_outlier():
    verdict = judged(WRONG, None)
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, None)
    assert witnesses(verdict) == []


def test_the_only_variant_of_a_cause_is_not_printed():
    assert fault_name(FaultId("bias-missing", "all of it", "forward/")) == "bias-missing (forward)"
    assert fault_name(FaultId("recurrent-transposed", "whole")) == "recurrent-transposed"
    group = Group(Verdict.DIVERGES, faults=(("bias-missing", "all of it"), ("a", "b")))
    assert group_title(group, CaseResult(CASE, Verdict.DIVERGES)) == "bias-missing + a: b"
