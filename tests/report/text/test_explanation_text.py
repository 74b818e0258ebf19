"""Explanations as text and JSON: sentences are made from results only."""

from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import explanation_of, from_port, lstm

from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.explanations import (
    Cause,
    ExperimentEnd,
    Explanation,
    FaultDescription,
    FaultId,
    Mismatch,
    Picture,
    Slice,
    StepValue,
)
from rnnparity.problem.findings import (
    LOCATING,
    PATTERNS,
    AfterLayer,
    BlockChange,
    Finding,
    FindingType,
    OtherInputs,
    OtherMask,
    WeightBlock,
    undetermined,
)
from rnnparity.problem.recurrences import OtherRecurrence
from rnnparity.problem.verdicts import Difference, DifferenceType, Verdict
from rnnparity.report.explanation_json import as_json
from rnnparity.report.text.explanation import EXPERIMENTS, headline, lines
from rnnparity.report.text.finding_fixes import fix_of
from rnnparity.report.text.findings import finding_text
from rnnparity.report.text.line import COLOURS, Style
from rnnparity.report.text.messages import next_text
from rnnparity.report.text.phrases import mismatch_text, slice_text
from rnnparity.report.text.picture import BLOCKS

GATES = FaultId("gate-order", "LSTM iofc (ONNX) in all weights", "forward/")
BIAS = FaultId("bias-missing", "all of it", "")
FIRST = Mismatch("output", row=0, unit=2, step=5, direction="backward", gates=("f", "o"))
EXPLAINED = Explanation(
    "mine",
    Verdict.DIVERGES,
    (
        Difference(
            DifferenceType.VALUES, "output", 1.0, 2.0, (2, 6, 4), "float32", (0, 5, 2), 7.6e5,
            48, 48, 0,
        ),
    ),
    cause=Cause((GATES,)),
    descriptions=(FaultDescription("The gates are reordered.", "Reorder them.", "ONNX"),),
    first=FIRST,
    sigma=7.6e5,
    threshold=10.0,
    sigma_with_cause=0.18,
    candidates=141,
    picture=Picture("output", "time", (2, 3), ((0, 8, 1), (0, 0, 4))),
)  # fmt: skip
UNEXPLAINED = replace(
    EXPLAINED, cause=Cause(), descriptions=(), sigma_with_cause=None, picture=None
)


def text(explanation):
    return "\n".join(line.text for line in lines(explanation))


def test_explained_divergence_in_full():
    assert text(EXPLAINED).splitlines() == [
        "mine: diverges",
        "  output (B=2, T=6, H=4): 48 of 48 values differ",
        "  worst: output[0, 5, 2]: got 1, expected 2, off by 1; 7.6e5 sigma (10 allowed)",
        "  first mismatch: output at row 0, step 5, unit 2, direction backward, gates f, o",
        "  cause: gate-order: LSTM iofc (ONNX) in all weights (forward)",
        "    The gates are reordered.",
        "  fix: Reorder them.",
        "  evidence: max error: 7.6e5 sigma vs. the reference, 0.18 with this fault; "
        "1 of 141 candidate faults fits",
        "  seen in: ONNX",
        "  output: units down, time across; blank is noise, one block more for every factor of 5.6",
        "    unit 0 | █▁|",
        "    unit 1 |  ▄|",
        "            0 2",
    ]


def test_step_of_the_first_mismatch_is_a_table():
    values = (StepValue("output", 1.5, -0.25, -0.25), StepValue("gate i", 0.5, None, 0.125))
    shown = text(replace(EXPLAINED, step_values=values)).splitlines()
    start = shown.index(next(line for line in shown if line.startswith("  first mismatch")))
    assert shown[start + 1 : start + 4] == [
        "            expected  actual  with this fault",
        "    output       1.5   -0.25            -0.25",
        "    gate i       0.5       -            0.125",
    ]
    without_cause = tuple(replace(value, with_cause=None) for value in values)
    assert "with this fault" not in text(replace(UNEXPLAINED, step_values=without_cause))


def test_picture_of_two_directions_names_them():
    picture = Picture("output", "time", (3, 1), ((0,), (8,), (1,)), forward_units=1)
    shown = text(replace(EXPLAINED, picture=picture)).splitlines()[-3:]
    assert shown == ["     forward 0 | |", "    backward 0 |█|", "    backward 1 |▁|"]


def test_steps_of_a_picture_are_those_of_the_problem():
    levels = ((8,) * 12, (0,) * 12)
    picture = Picture("output", "time", (2, 12), levels, start=192)
    assert text(replace(EXPLAINED, picture=picture)).splitlines()[-1] == f"{' ' * 12}192      203"
    short = replace(picture, shape=(2, 6), levels=((8,) * 6, (0,) * 6))
    assert text(replace(EXPLAINED, picture=short)).splitlines()[-1].endswith("|      |")


def test_unexplained_divergence_states_the_number_of_candidates():
    assert "  cause: unexplained; none of 141 candidate faults fits" in text(UNEXPLAINED)


def test_findings_that_account_have_a_fix_and_evidence():
    found = (
        Finding(FindingType.ROWS, numbers=(0, 1)),
        Finding(FindingType.TIME_SHIFTED, "output", (-1,), sigma=0.3),
        Finding(FindingType.OTHER_QUANTITY, "c", sigma=0.25),
    )
    explanation = replace(UNEXPLAINED, findings=found, accounted=True)
    assert text(explanation).splitlines()[4:] == [
        "  pattern: only rows 0, 1 differ",
        "  finding: output is correct, but one step early",
        "  finding: c is returned instead",
        "  fix: Return what each step computes at that step, not at one before it.",
        "  fix: Return the output h after each step, and the states after the last one.",
        "  evidence: max error: 7.6e5 sigma vs. the reference, 0.3 with these findings",
        "  cause: stated by the finding, no fault of the list; none of 141 candidate faults fits",
    ]
    of_other_shape = replace(explanation, sigma=np.inf, findings=found[:2])
    assert "  evidence: max error: 0.3 sigma with this finding" in text(of_other_shape).splitlines()
    for part in ("fix: Return what", "evidence: max error: 7.6e5 sigma vs. the reference, 0.3"):
        assert part not in text(replace(EXPLAINED, findings=found))
    uncertain = tuple(replace(finding, certain=False) for finding in found)
    unexplained = text(replace(UNEXPLAINED, findings=uncertain))
    assert "fix:" not in unexplained
    assert "evidence:" not in unexplained


ACCOUNTING = set(FindingType) - PATTERNS - LOCATING - {FindingType.PRINTED_DIGITS}


@pytest.mark.parametrize("type_", sorted(ACCOUNTING - {FindingType.FINITE_AGREES}))
def test_every_finding_that_accounts_for_outputs_has_a_fix(type_):
    finding = Finding(
        type_, "step", (1,), block=WeightBlock("kernel", "f"), change=BlockChange.DOUBLED
    )
    assert fix_of(finding).endswith(".")


@pytest.mark.parametrize("change", BlockChange)
def test_every_change_of_a_block_has_a_fix_that_names_it(change):
    source = WeightBlock("bias", "f", 0)
    finding = Finding(
        FindingType.BLOCK, block=WeightBlock("bias", "h", 1), change=change, source=source
    )
    assert "bias, row 1, gate h" in fix_of(finding)


def test_order_of_rows_that_repeats_one_has_another_fix():
    fixes = {fix_of(Finding(FindingType.ROWS_PERMUTED, numbers=rows)) for rows in [(1, 0), (1, 1)]}
    assert len(fixes) == 2


def test_lines_that_state_a_fact_have_its_label():
    labels = [(line.label, line.statement) for line in lines(EXPLAINED) if line.label]
    assert labels[0] == ("mine", "diverges")
    assert labels[1] == ("differences", "output (B=2, T=6, H=4): 48 of 48 values differ")
    assert ("cause", "The gates are reordered.") in labels
    assert ("fix", "Reorder them.") in labels
    for line in lines(EXPLAINED):
        assert line.text.endswith(line.statement)


def test_agreement_and_inconclusiveness_are_short():
    agrees = Explanation("mine", Verdict.AGREES, sigma=0.4, blind_to=(BIAS,))
    assert text(agrees).splitlines() == [
        "mine: agrees",
        "  max error: 0.4 sigma",
        "  not detectable with these inputs: bias-missing",
    ]
    unclear = replace(agrees, verdict=Verdict.INCONCLUSIVE, reason="noise hides the kernel")
    assert text(unclear).splitlines() == [
        "mine: inconclusive",
        "  max error: 0.4 sigma",
        "  reason: noise hides the kernel",
    ]


def test_doubts_and_alternatives_are_stated():
    cause = Cause((GATES,), ((BIAS,), (BIAS, GATES)), certain=False)
    doubtful = text(replace(EXPLAINED, cause=cause, probes=2, precision="float16"))
    name = "gate-order: LSTM iofc (ONNX) in all weights (forward)"
    assert (
        "  low confidence: the values are too few or too coarse to rule out a chance match"
        in doubtful
    )
    assert "  probes: the subject was asked 2 further problems" in doubtful
    assert (
        f"  equally consistent with these inputs: bias-missing, bias-missing + {name}" in doubtful
    )
    assert "0.18 with this fault (within the noise of float16); 3 of 141 candidate" in doubtful


def test_cause_of_wrong_shapes_needs_no_candidates():
    evidence = text(replace(EXPLAINED, candidates=0, sigma=float("inf")))
    assert "  evidence: the values agree with this fault; max error: 0.18 sigma" in evidence


def test_two_faults_have_a_fix_each():
    descriptions = (FaultDescription("One.", "Fix one."), FaultDescription("Two.", "Fix two."))
    both = replace(EXPLAINED, cause=Cause((BIAS, GATES)), descriptions=descriptions)
    rows = text(both).splitlines()
    start = rows.index("    bias-missing: One.")
    assert rows[start + 1] == "      fix: Fix one."
    assert rows[start + 2].endswith("(forward): Two.")
    assert rows[start + 3] == "      fix: Fix two."


def test_long_lists_are_shortened():
    faults = tuple(FaultId("bias-missing", str(n), "") for n in range(5))
    line = text(replace(EXPLAINED, blind_to=faults)).splitlines()[-5]
    assert line.endswith("bias-missing: 2, ... (5 in all)")


def test_known_difference_is_named_with_its_reason():
    name = "bidirectional-shape-of-unequal-halves"
    listed = text(replace(UNEXPLAINED, known=(name,)))
    assert f"  known difference: {name} (mistake; keras/src/layers/rnn/bidirectional.py" in listed
    assert "unexplained" not in listed
    assert headline(replace(UNEXPLAINED, known=(name,))) == f"known difference: {name}"


@pytest.mark.parametrize(
    ("explanation", "expected"),
    [
        (EXPLAINED, "gate-order: LSTM iofc (ONNX) in all weights (forward); first mismatch: "),
        (replace(EXPLAINED, cause=Cause((BIAS,), certain=False)), "bias-missing (low c"),
        (UNEXPLAINED, "unexplained; first mismatch: output at row 0"),
        (Explanation("mine", Verdict.AGREES), "agrees"),
    ],
)
def test_headline_names_cause_and_location(explanation, expected):
    assert headline(explanation).startswith(expected)


def test_mismatch_without_steps_or_gates():
    assert mismatch_text(Mismatch("h", row=3, unit=1)) == "h at row 3, unit 1"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Slice((0, 1), 2, 8, 40), "all rows, the first 8 of 40 processed steps"),
        (Slice((0,), 1, 13, 40, None, 22), "all rows, steps 22 to 34 of 40 processed steps"),
        (
            Slice((0,), 1, 64, 400, None, 0, 32),
            "all rows, the first 32 and the last 32 of 400 processed steps",
        ),
        (Slice((3, 7), 16, 40, 40, True), "rows 3, 7 of 16; this cause fits the rest"),
        (Slice((3, 7), 16, 40, 40, False), "rows 3, 7 of 16; this cause does not fit the rest"),
    ],
)
def test_slice_states_what_was_explained(part, expected):
    assert slice_text(part) == expected


@pytest.mark.parametrize("finding", FindingType)
def test_every_finding_is_a_sentence(finding):
    counts = {
        FindingType.TIME_SHIFTED: (4,),
        FindingType.PRINTED_DIGITS: (4,),
        FindingType.EFFECTIVE_WEIGHTS: (3, 11),
        FindingType.AXES_EXCHANGED: (0, 2, 1),
    }
    names = {
        FindingType.INPUTS: "scaled",
        FindingType.MASK: "inverted",
        FindingType.AFTER_LAYER: "relu",
        FindingType.RECURRENCE: "updated-in-place",
    }
    numbers = counts.get(finding, (0, 1, 2, 3, 5))
    sentence = finding_text(Finding(finding, names.get(finding, "float16"), numbers, 0.5))
    assert len(sentence.split()) > 2
    assert "None" not in sentence


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        *((FindingType.INPUTS, name) for name in OtherInputs),
        *((FindingType.MASK, name) for name in OtherMask),
        *((FindingType.AFTER_LAYER, name) for name in AfterLayer),
        *((FindingType.RECURRENCE, name) for name in OtherRecurrence),
    ],
)
def test_every_name_of_a_finding_is_a_phrase_of_its_own(type_, name):
    sentence = finding_text(Finding(type_, name, (1,), 0.5))
    assert len(sentence.split()) > 5


def test_findings_have_numbers_and_names():
    assert finding_text(Finding(FindingType.ROWS, numbers=(2,))) == "only row 2 differs"
    units = Finding(FindingType.UNITS, numbers=(0, 1, 2, 3, 5, 6, 8))
    assert finding_text(units) == "only units 0, 1, 2, 3, 5, 6, ... differ"
    steps = Finding(FindingType.STEPS_MISSING, numbers=(0, 1, 2, 3))
    assert finding_text(steps) == "only steps 0 to 3 are returned; correct"
    infinite = Finding(FindingType.NOT_FINITE, "c", (2, 1))
    first = Finding(FindingType.STEP_FOLLOWS, numbers=(0,))
    assert finding_text(first).startswith("step 0 does not follow from the initial state")
    assert finding_text(infinite) == "c is not finite, first at [2, 1]"
    constant = Finding(FindingType.CONSTANT, "h", value=0.5)
    assert finding_text(constant).startswith("h is 0.5 everywhere")


def test_every_style_has_a_colour():
    assert set(COLOURS) == set(Style)
    styles = {line.text: line.style for line in lines(explanation_of(from_port(lstm())))}
    assert COLOURS[styles["  cause: bias-missing"]] == ("red", True)


def test_styles_follow_the_part_and_not_the_text():
    """An id that reads like a cause is still the line of the verdict."""
    first, *rest = lines(replace(EXPLAINED, id="  cause: x"))
    assert first.style is Style.DIVERGES
    assert [line.style for line in rest].count(Style.CAUSE) == 1


def test_blocks_cover_all_levels():
    picture = Picture("h", "rows", (1, 9), (tuple(range(9)),))
    rows = text(replace(EXPLAINED, picture=picture)).splitlines()
    assert rows[-3].startswith("  h: units down, rows of the batch across")
    assert rows[-2] == f"    unit 0 |{BLOCKS}|"
    assert rows[-1] == "            0       8"


def test_json_has_every_key():
    assert as_json(EXPLAINED) == {
        "verdict": "diverges",
        "cause": "gate-order",
        "fault": "gate-order: LSTM iofc (ONNX) in all weights (forward)",
        "first": {
            "output": "output", "row": 0, "step": 5, "unit": 2, "direction": "backward",
            "gate": "f, o",
        },
        "sigma": {"before": 7.6e5, "after": 0.18},
        "certain": True,
        "also_fits": [],
        "blind_to": [],
        "findings": [],
        "patterns": [],
    }  # fmt: skip


def test_json_of_what_is_unexplained_or_agrees():
    content = as_json(replace(UNEXPLAINED, first=None, sigma=float("inf")))
    assert (content["cause"], content["fault"], content["certain"]) == ("unexplained", None, None)
    assert content["first"] is None
    assert content["sigma"] == {"before": "Infinity", "after": None}
    assert as_json(Explanation("mine", Verdict.AGREES))["cause"] is None


def test_json_has_slice_and_known_differences_where_they_exist():
    known = ("bidirectional-shape-of-unequal-halves",)
    part = Slice((0, 1), 2, 8, 40)
    content = as_json(replace(EXPLAINED, known=known, slice=part))
    assert content["slice"] == slice_text(part)
    assert [entry.split()[0] for entry in content["listed"]] == list(known)


@pytest.mark.parametrize("end", ExperimentEnd)
def test_why_an_experiment_found_nothing_is_stated(end):
    explanation = replace(UNEXPLAINED, probes=3, experiment=end)
    texts = [line.text for line in lines(explanation)]
    asked = texts.index("  probes: the subject was asked 3 further problems")
    assert texts[asked + 1] == f"  experiment: {EXPERIMENTS[end]}"
    assert as_json(explanation)["experiment"] == end
    assert "experiment" not in as_json(UNEXPLAINED)


@pytest.mark.parametrize("answer", [AnswerType.GRADIENTS, AnswerType.OUTPUTS])
def test_what_should_be_explained_next_is_stated(answer):
    explanation = replace(UNEXPLAINED, explain_next=answer)
    texts = [line.text for line in lines(explanation)]
    assert f"  explain next: {next_text(answer)}" in texts
    assert next_text(answer).startswith(f"the {answer}")
    assert as_json(explanation)["explain_next"] == answer
    assert "explain_next" not in as_json(UNEXPLAINED)


def test_steps_that_are_enough_are_not_said_to_be_too_few():
    text = finding_text(undetermined(WeightBlock("", "z"), (54, 20)))
    assert text == (
        "whether the weights of gate z differ cannot be determined: weights fitted to 54 steps do "
        "not give all outputs for certain"
    )
