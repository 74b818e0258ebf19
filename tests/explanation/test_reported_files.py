"""Small files rebuilt from public reports with other numbers: the answer and the exit status of each."""

from pathlib import Path

import pytest

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.problem import Problem
from rnnparity.report.text.explanation import summary, verdict_text

FOLDER = Path(__file__).parent / "reported"
# What is stated of each file, and for which layer it was reported where that is known.
ANSWERS = {
    "gru-first-step-without-recurrent-bias": "bias, row 1, gate h is missing at step 0",  # mlx#3249
    "gru-one-gate-without-recurrent-bias": "bias-missing: GRU, row 1, gate h",  # flax#5594
    "gru-one-bias-row-used-twice": "bias-row-repeated: GRU, the inputs' bias",
    "lstm-every-step-from-the-initial-state": (  # rl_games#316, ORT#2960
        "every step starts from the initial state: no state is passed on"
    ),
    "lstm-output-is-the-cell-state": "c is returned instead",  # nni#2839
    "lstm-bias-of-one-gate-missing": "bias-missing: LSTM, gate f",  # burn#1632
    "rows-after-the-first-are-zero": "rows 1, 2, 3 are zero; all other values agree",  # ncnn#3861
    "rows-sorted-by-length-not-sorted-back": (  # vsepp#36, pytorch#4927
        "correct, but the rows are in the order 1, 3, 0, 2"
    ),
    "first-step-only-time-first": "only step 0 is returned (time first); correct",  # MNN#1138
    "first-four-steps-only": "only steps 0 to 3 are returned; correct",
    "sequence-one-step-late": "output is correct, but one step late",
    "outputs-are-raw-int8": (  # tensorflow#25563
        "all values of output lie on a grid, scale 0.00208, zero point -19: raw quantized numbers, "
        "otherwise correct"
    ),
    "correct-numbers-printed-with-4-decimals": "agrees to the 4 printed decimals",
    "tf32-products-bias-in-float32": "low-precision: TF32",  # tf-keras#772
    "pair-backward-not-reversed-and-masked-held": (
        "reverse-output-order: reversed (backward) + masked-output: held (every half)"
    ),
}


def test_every_file_has_an_answer():
    assert {path.stem for path in FOLDER.glob("*.json")} == ANSWERS.keys()


@pytest.mark.parametrize("name", ANSWERS)
def test_reported_file_is_answered(name):
    explanation = diagnose(Problem.load(FOLDER / f"{name}.json")).explanation
    assert (summary(explanation) or verdict_text(explanation)) == ANSWERS[name]
    assert explanation.verdict.status == (0 if "printed" in name else 1)
    assert explanation.accounted or explanation.cause is None or explanation.cause.certain


def test_step_that_does_not_follow_is_named_beside_what_is_missing_there():
    path = FOLDER / "gru-first-step-without-recurrent-bias.json"
    findings = diagnose(Problem.load(path)).explanation.findings
    assert [(str(f.type), f.numbers) for f in findings[:1]] == [("step-follows", (0,))]
