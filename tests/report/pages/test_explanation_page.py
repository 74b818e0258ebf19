"""The HTML page of an explanation."""

import re
from dataclasses import replace

from _support.explanations import explanation_of, from_port, lstm, with_reference
from _support.random_problems import SHAPE

from rnnparity.problem.explanations import Cause, Picture
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.report.pages.explanation import LARGEST, drawing, facts, page, sentences


def test_steps_of_a_slice_are_those_of_the_problem():
    picture = Picture("output", "time", (1, 2), ((0, 8),), start=192)
    drawn = drawing(picture, 10.0)
    assert [label.text for label in drawn.labels[-3:]] == ["192", "193", "time"]
    assert [cell.title.partition(":")[0] for cell in drawn.cells] == [
        "unit 0, step 192",
        "unit 0, step 193",
    ]


def test_page_needs_no_other_file():
    html = page(explanation_of(from_port(lstm())))
    assert html.count("<rect") == SHAPE[1] * 4
    assert "bias-missing" in html
    assert not re.search(r"<script|https?://|<link|<img", html)


def test_squares_have_titles_with_unit_step_and_distance():
    html = page(explanation_of(from_port(lstm())))
    assert re.search(r"<title>unit 3, step 5: (over )?\S+( to \S+)? sigma</title>", html)


def test_title_states_the_range_of_a_level():
    picture = Picture("h", "rows", (1, 3), ((0, 1, 8),))
    titles = [cell.title for cell in drawing(picture, 10.0).cells]
    assert titles == [
        "unit 0, row 0: at most 10 sigma",
        "unit 0, row 1: 10 to 56 sigma",
        "unit 0, row 2: over 1.8e6 sigma",
    ]
    assert not any(cell.title for cell in drawing(picture).cells)


def test_labels_are_those_of_the_output_and_not_of_the_coarse_picture():
    drawn = drawing(Picture("output", "time", (80, 90), ((0, 1), (2, 3))), 10.0)
    assert {label.text for label in drawn.labels} == {"unit 0", "unit 40", "0", "89", "time"}
    assert drawn.cells[-1].title.startswith("unit 40, step 45: ")


def test_id_is_escaped():
    html = page(explanation_of(replace(from_port(lstm()), id="<b>mine</b>")))
    assert "<b>mine" not in html
    assert "&lt;b&gt;mine" in html


def test_headline_is_the_verdict_with_what_explains_it():
    explanation = explanation_of(from_port(lstm()))
    (headline,) = re.findall(r'<p class="headline">(.*)</p>', page(explanation))
    assert headline == "diverges: bias-missing"
    unclear = replace(explanation, cause=replace(explanation.cause, certain=False))
    assert '<p class="headline">diverges: bias-missing (low confidence)</p>' in page(unclear)


def test_facts_are_stated_once_and_the_cause_first():
    explanation = explanation_of(from_port(lstm()))
    stated = facts(explanation)
    assert list(stated)[:4] == ["cause", "fix", "first mismatch", "evidence"]
    (description,) = explanation.descriptions
    assert stated["cause"] == [description.description]  # the headline names it
    assert len(stated["differences"]) == 2 * len(explanation.differences)
    unclear = replace(explanation, cause=replace(explanation.cause, certain=False))
    assert facts(unclear)["cause"] == stated["cause"]


def test_finding_that_accounts_for_the_outputs_is_the_headline_and_no_fact():
    found = (Finding(FindingType.OTHER_QUANTITY, "c"), Finding(FindingType.ZERO, "row", (1,)))
    explanation = replace(
        explanation_of(from_port(lstm())),
        cause=Cause(),
        descriptions=(),
        findings=found,
        accounted=True,
    )
    stated = facts(explanation)
    assert '<p class="headline">diverges: c is returned instead</p>' in page(explanation)
    assert list(stated)[:3] == ["finding", "fix", "first mismatch"]
    assert stated["finding"] == ["row 1 is zero; all other values agree"]
    assert len(stated["fix"]) == 2
    assert stated["cause"][0].startswith("stated by the finding, no fault of the list")
    assert list(stated).index("cause") > list(stated).index("differences")


def test_picture_names_its_axis_and_where_the_backward_direction_starts():
    explanation = explanation_of(from_port(lstm()))
    for columns, anchor in ((2, "end"), (12, "middle")):
        picture = Picture("output", "time", (1, columns), ((0,) * columns,), direction="backward")
        (label,) = [label for label in drawing(picture).labels if label.text == "time"]
        assert label.anchor == anchor
    html = page(replace(explanation, picture=picture))
    assert "The backward direction starts at the\nlast step" in html
    assert "The backward direction" not in page(explanation)
    rows = replace(picture, across="rows")
    assert "The backward direction" not in page(replace(explanation, picture=rows))


def test_page_of_an_agreement_has_no_picture():
    html = page(explanation_of(with_reference(lstm())))
    assert '<p class="headline">agrees</p>' in html
    assert "<svg" not in html


def test_notes_stand_where_no_fault_is_described():
    explanation = explanation_of(from_port(lstm()))
    (sentence,) = sentences(explanation)
    (description,) = explanation.descriptions
    assert sentence == f"{description.description} {description.fix}"
    findings = (Finding(FindingType.ROWS, numbers=(1,)), Finding(FindingType.BELOW_USUAL_NOISE))
    (note,) = sentences(replace(explanation, descriptions=(), findings=findings))
    assert note.startswith("the differences are below the usual noise")


def test_script_and_its_files_are_part_of_the_page():
    explanation = explanation_of(from_port(lstm()))
    files = {
        "problem.json": "{}",
        "reproduce.py": "print(1 < 2)",
        "model.onnx": b"0" * (LARGEST + 1),
    }
    html = page(explanation, files)
    assert "print(1 &lt; 2)" in html
    assert 'download="problem.json" href="data:application/octet-stream;base64,e30="' in html
    assert "model.onnx (too large for this page" in html
    assert "Script that reproduces it" not in page(explanation)
