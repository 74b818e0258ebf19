"""Functions and PyTorch modules as ports."""

import numpy as np
import pytest
from _support.ported_models import recorded_model, run_model

from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.functions import run_function
from rnnparity.models.ports.opening import open_port
from rnnparity.models.ports.port import PortRequest
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict


def arrays_of(x):
    _, first_outputs, _, second_outputs, final = run_model()
    return {
        "first": first_outputs[0].data,
        "encoder/second": second_outputs[0].data,
        "output": final,
    }


def test_function_may_return_arrays_by_layer():
    name, port = open_port(arrays_of, recorded_model())
    result = compare_port(name, recorded_model(), port)
    assert [call.result.verdict for call in result.calls] == [Verdict.AGREES, Verdict.AGREES]
    assert name.endswith("arrays_of")


def test_function_may_return_the_final_output():
    _, port = open_port(lambda x: arrays_of(x)["output"], recorded_model())
    assert compare_port("f", recorded_model(), port).status == 0
    _, port = open_port(lambda x: arrays_of(x)["output"] + 1, recorded_model())
    assert compare_port("f", recorded_model(), port).status == 1


def test_function_without_parameters_makes_the_port():
    name, port = open_port(lambda: arrays_of, recorded_model())
    assert compare_port(name, recorded_model(), port).status == 0
    with pytest.raises(RequestError, match="made ndarray, expected a function"):
        open_port(lambda: np.zeros(3), recorded_model())


def test_error_of_a_function_is_one_line_with_its_location():
    def wrong(x):
        raise ValueError("no weights")

    request = PortRequest.of(recorded_model())
    with pytest.raises(RequestError, match=r"ValueError: no weights \(test_functions.py, line"):
        run_function("wrong", wrong, request)
    with pytest.raises(RequestError, match="returned None"):
        run_function("empty", lambda x: None, request)
    with pytest.raises(RequestError, match="first: got an array of <U1, expected numbers"):
        run_function("text", lambda x: {"first": "a"}, request)
