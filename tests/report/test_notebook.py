"""`rnnparity.explain`: its arguments, its text, and its page in a notebook."""

import numpy as np
import pytest
from _support import subject_functions

from rnnparity import explain
from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.verdicts import Verdict

PROBLEM = catalogue()["gru-spread-state"]
OUTPUT, STATE = (tensor.data for tensor in golden_outputs(PROBLEM))


@pytest.mark.parametrize(
    "outputs",
    [
        [OUTPUT[::-1], STATE[::-1]],
        {"output": OUTPUT[::-1], "h": STATE[::-1]},
        lambda problem: [tensor.data[::-1] for tensor in golden_outputs(problem)],
    ],
    ids=["sequence", "mapping", "function"],
)
def test_outputs_in_any_form_are_explained(outputs):
    assert explain(PROBLEM, outputs).verdict is Verdict.DIVERGES


def test_outputs_of_the_problem_are_explained_without_others():
    assert explain(PROBLEM.with_outputs(golden_outputs(PROBLEM))).verdict is Verdict.AGREES


def test_a_subject_is_explained_by_name():
    assert explain(PROBLEM, "reference").verdict is Verdict.AGREES


def test_its_text_is_what_the_command_prints():
    text = str(explain(PROBLEM, subject_functions.wrong))
    assert text.startswith("gru-spread-state: diverges")
    assert "\x1b" not in text


def test_its_page_in_a_notebook_is_a_frame_with_escaped_text():
    html = explain(PROBLEM, [np.full_like(OUTPUT, 7), STATE])._repr_html_()
    assert html.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert html.count("<") == 2
