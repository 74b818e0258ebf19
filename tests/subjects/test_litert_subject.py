"""The subject litert, on TensorFlow's converter and LiteRT's interpreter."""

import sys

import pytest

from rnnparity import check
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.subjects import litert, make_subject

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install ai-edge-litert")
PART = [
    "gru-spread-sequences-state-mask_interior",
    "bi_lstm-spread-none-sequences-state-mask_left-initial",
    "halves-gru_lstm-concat",
    "simple_rnn-constant-last",
    "stack-two_ways-mask-initial",
    "stateful-gru-concat-sequences-mask-initial",
    "stateful-lstm-backwards-sequences-state-mask-initial",
]
OTHER_TYPES = [f"dtype-{dtype}-lstm-backwards" for dtype in ("float16", "bfloat16", "float64")]


@pytest.fixture(scope="module")
def report():
    return check("litert", k=" or ".join(PART + OTHER_TYPES), jobs=1).subjects[0]


def test_converted_layers_agree(report):
    kinds = {verdict.id: verdict.verdict for verdict in report.cases}
    assert {name: kinds[name] for name in PART} == dict.fromkeys(PART, Verdict.AGREES)


def test_versions_name_the_converter_and_the_interpreter(report):
    assert report.versions.keys() == {"ai-edge-litert", "keras", "tensorflow"}


def test_types_that_need_tf_select_are_unsupported(report):
    """The converter reports them in two ways, one of them for bfloat16."""
    reasons = {
        verdict.id: verdict.reason
        for verdict in report.cases
        if verdict.verdict is Verdict.UNSUPPORTED
    }
    assert all("they need TF Select" in reasons[name] for name in OTHER_TYPES)


def test_other_errors_of_the_converter_are_raised():
    class ConverterError(Exception):
        pass

    class Converter:
        def convert(self):
            raise ConverterError("the model is too large")

    with pytest.raises(ConverterError, match="too large"):
        litert._converted(Converter())


def test_outputs_are_sorted_by_their_numbers():
    names = [f"output_{place}" for place in range(11)]
    assert litert._ordered({name: name for name in sorted(names)}) == names


def test_missing_litert_is_reported_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(
        RequestError,
        match=r"subject 'litert': package ai_edge_litert is missing; .*'rnnparity\[litert\]'",
    ):
        make_subject("litert")
