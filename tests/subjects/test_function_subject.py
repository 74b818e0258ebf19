"""What a user's function may return, and how anything else is reported."""

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.report.text.messages import summary
from rnnparity.session.judging import judge_outcome
from rnnparity.session.outcome import ask_in_this_process
from rnnparity.subjects import FunctionSubject

PROBLEM = catalogue()["lstm-spread-sequences-state"]
OUTPUT, H, C = (tensor.data for tensor in golden_outputs(PROBLEM))


def verdict_on(outputs):
    """The verdict on a function that returns these outputs, and its line in the report."""
    outcome = ask_in_this_process(FunctionSubject(lambda _: outputs), PROBLEM)
    result = judge_outcome(outcome)
    return result.verdict, summary(result, PROBLEM)


@pytest.mark.parametrize(
    "outputs",
    [
        [OUTPUT, H, C],
        (OUTPUT, H, C),
        {"output": OUTPUT, "h": H, "c": C},
        [OUTPUT, list(H), tuple(C)],
    ],
    ids=["list", "tuple", "mapping", "lists_of_rows"],
)
def test_outputs_of_any_form_agree(outputs):
    assert verdict_on(outputs) == ("agrees", "")


@pytest.mark.parametrize(
    ("outputs", "verdict", "reason"),
    [
        (
            [OUTPUT.astype("float64"), H, C],
            "diverges",
            "output: got dtype float64, expected float32",
        ),
        ([OUTPUT.tolist(), H, C], "diverges", "output: got dtype float64, expected float32"),
        (
            OUTPUT.tolist(),
            "error",
            "TypeError: a list is a sequence of outputs: got 2, expected 3; return each output as an a",
        ),
        ([OUTPUT * np.nan, H, C], "diverges", "output[0, 0, 0]: got nan, expected "),
        ([OUTPUT], "diverges", "outputs: got 1 (output), expected 3: output, h, c"),
        (3.0, "diverges", "outputs: got 1 (output), expected 3: output, h, c"),
        (
            [OUTPUT, H, C, C],
            "diverges",
            "outputs: got 4 (output, h, c, extra_3), expected 3: output, h, c",
        ),
        (
            {"y": OUTPUT, "h": H, "c": C},
            "diverges",
            "outputs: got y, h, c; expected output, h, c",
        ),
        (
            (OUTPUT, (H, C)),
            "error",
            "TypeError: nested outputs, expected a flat sequence: output, h, c",
        ),
        (
            [OUTPUT + 1j, H, C],
            "error",
            "TypeError: output: got an array of complex numbers, expected real numbers",
        ),
        (["no", H, C], "error", "TypeError: output: got an array of text, expected real numbers"),
        (
            [[[1.0, 2.0], [3.0]], H, C],
            "error",
            "ValueError: setting an array element with a sequence.",
        ),
        (None, "error", "TypeError: returned None, expected outputs"),
    ],
    ids=[
        "float64",
        "numbers",
        "one_list",
        "nan",
        "few",
        "scalar",
        "many",
        "names",
        "nested",
        "complex",
        "text",
        "ragged",
        "none",
    ],
)
def test_wrong_outputs_are_reported_in_one_line(outputs, verdict, reason):
    actual_verdict, line = verdict_on(outputs)
    assert (actual_verdict, line[: len(reason)]) == (verdict, reason)
    assert "\n" not in line
