"""ONNX Runtime on Node.js, where onnxruntime-node is installed in NODE_PATH or the current folder."""

import numpy as np
import pytest

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.verdicts import Verdict
from rnnparity.subjects import MissingFrameworkError, make_subject
from rnnparity.subjects.onnx_node import NodeError

SATURATED = "saturation-lstm-backwards-128-last"

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def subject():
    try:
        made = make_subject("onnxruntime-node")
    except MissingFrameworkError as error:
        pytest.skip(str(error))
    yield made
    made.engine.close()


def test_cases_agree_or_are_known(subject):
    selected = "core and (gru-spread or bi_lstm-spread or saturation or float16)"
    (result,) = check("onnxruntime-node", k=selected).subjects
    assert result.failing == ()
    assert result.counts[Verdict.AGREES] > 40
    assert {case.id for case in result.cases if case.known} == {SATURATED}


def test_layers_of_float64_are_loaded_and_not_run(subject):
    with pytest.raises(Unsupported, match="ONNX Runtime: LSTM operator does not support double"):
        subject.answer(catalogue()["dtype-float64-lstm-forward"])
    with pytest.raises(Unsupported, match="Could not find an implementation for RNN"):
        subject.answer(catalogue()["dtype-float64-simple_rnn-forward"])


def test_a_model_that_is_malformed_costs_one_answer(subject):
    with pytest.raises(NodeError):
        subject.engine.load(b"no model")
    assert np.isfinite(subject.answer(catalogue()["lstm-spread-last"]).outputs[0].data).all()


def test_a_program_that_ends_costs_one_answer(subject):
    problem = catalogue()["lstm-spread-last"]
    before = subject.answer(problem).outputs[0].data
    subject.engine.program.kill()
    with pytest.raises(NodeError, match="the program ended with exit status -9"):
        subject.answer(problem)
    assert np.array_equal(subject.answer(problem).outputs[0].data, before)
