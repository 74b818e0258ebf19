"""hls4ml, where it and g++ are installed: what it converts agrees to its precision."""

import pytest
from _support.random_problems import random_problem, spec_of, stack_of

from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.session import open_session
from rnnparity.subjects import make_subject

pytest.importorskip("hls4ml")

CASES = [
    "lstm-spread-last",
    "gru-spread-sequences",
    "bi_lstm-spread-concat-last",
    "halves-units-concat-sequences",
]


def judged(precision=""):
    with open_session("hls4ml", precision=precision) as session:
        outcomes = session.ask_all([catalogue()[id_] for id_ in CASES])
        return {outcome.problem.id: session.judge(outcome) for outcome in outcomes}


def test_layers_agree_to_the_declared_precision():
    results = judged()
    assert {result.verdict for result in results.values()} == {Verdict.AGREES}
    assert {result.precision for result in results.values()} == {"2**-10"}


def test_tables_of_activations_are_coarser_than_the_numbers():
    results = judged("2**-16")
    assert {result.verdict for result in results.values()} == {Verdict.DIVERGES}


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("lstm-spread-last-mask_right", "hls4ml has no masks"),
        ("bi_lstm-spread-sum-last", "hls4ml merges by concat only"),
        ("lstm-spread-last-initial", "hls4ml has no initial states"),
        ("stateful-lstm-forward-sequences", "hls4ml has no initial states"),
        ("lstm-spread-sequences-state", "hls4ml returns no states"),
        ("activation-elu-lstm-values-last", "hls4ml's recurrent layers have no elu"),
    ],
)
def test_what_cannot_be_converted_is_unsupported(hls4ml, case, reason):
    with pytest.raises(Unsupported, match=reason):
        hls4ml.answer(catalogue()[case])


def test_the_layers_of_a_stack_are_converted():
    stack = stack_of(spec_of("lstm", 4, return_sequences=True), spec_of("gru", 3))
    with open_session("hls4ml") as session:
        (outcome,) = session.ask_all([random_problem(stack, 1)])
        assert outcome.answer, outcome.error
        assert session.judge(outcome).sigma < 1


def test_layers_of_float64_are_unsupported(hls4ml):
    with pytest.raises(Unsupported, match="hls4ml is given layers of float32"):
        hls4ml.answer(random_problem(spec_of("lstm", 3, dtype="float64"), 1))


@pytest.fixture(scope="module")
def hls4ml():
    try:
        return make_subject("hls4ml")
    except RequestError as error:
        pytest.skip(str(error))
