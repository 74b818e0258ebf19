"""PyTorch's modules traced, exported and quantized: the first two compute the same, the last nearly."""

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.session import open_session

pytest.importorskip("torch")

CASES = [
    "lstm-spread-sequences-state-initial",
    "bi_gru-spread-concat-last",
    "simple_rnn-spread-sequences",
    "bias-off-gru-forward-last",
    "lstm-spread-last-mask_right",
]
UNSUPPORTED = {
    "compile": {"lstm-spread-last-mask_right"},
    "jit": {"lstm-spread-last-mask_right"},
    "export": {"lstm-spread-last-mask_right"},
    "quantized": {
        "lstm-spread-last-mask_right",
        "simple_rnn-spread-sequences",
        "bias-off-gru-forward-last",
    },
}


def judged(subject, precision=""):
    with open_session(subject, precision=precision) as session:
        outcomes = session.ask_all([catalogue()[id_] for id_ in CASES])
        return {outcome.problem.id: session.judge(outcome) for outcome in outcomes}


@pytest.mark.parametrize("path", UNSUPPORTED)
def test_a_path_computes_what_its_modules_do(path):
    results = judged(f"torch:{path}")
    unsupported = {id_ for id_, r in results.items() if r.verdict is Verdict.UNSUPPORTED}
    assert unsupported == UNSUPPORTED[path]
    passing = {Verdict.AGREES, Verdict.INCONCLUSIVE} if path == "quantized" else {Verdict.AGREES}
    assert {results[id_].verdict for id_ in set(CASES) - unsupported} <= passing


def test_quantized_modules_are_judged_by_the_precision_that_they_declare():
    declared, finer = judged("torch:quantized"), judged("torch:quantized", "2**-16")
    assert {result.precision for result in declared.values()} == {"", "2**-9"}
    assert declared["bi_gru-spread-concat-last"].verdict is not Verdict.DIVERGES
    assert finer["bi_gru-spread-concat-last"].verdict is Verdict.DIVERGES
