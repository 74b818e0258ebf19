"""Arrays of a port that were rounded before they were saved are compared to the digits they have."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import GRU, B, H, T, call_of, outputs_of, run_model
from _support.random_problems import random_problem

from rnnparity.models.calls import Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.port import named_port
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.port import output_text

SWAPPED = ("gate-order", "LSTM fico in all weights")
BIAS = ("bias-row-dropped", "GRU, the state's bias")
AGREES, DIVERGES = Verdict.AGREES, Verdict.DIVERGES


def chain(first_fault=None, second_fault=None):
    """The problems and outputs of an LSTM and of a GRU that gets its output."""
    first, outputs, *_ = run_model({"first": first_fault})
    second = random_problem(GRU, 4, (B, T, H))
    second = replace(second, id="second", inputs=Tensor("inputs", outputs[0].data))
    return (first, outputs), (second, outputs_of(second, second_fault))


def recorded():
    calls = tuple(call_of(*call) for call in chain())
    return Recording(calls, (calls[0].problem.inputs,), ())


def compared(decimals, *faults, **arrays):
    """The comparison with the chain with faults, its outputs rounded unless `decimals` is None."""
    for problem, outputs in chain(*faults):
        arrays.setdefault(f"{problem.id}/output", outputs[0].data)
    if decimals is not None:
        arrays = {key: np.round(array, decimals) for key, array in arrays.items()}
    return compare_port("port", recorded(), named_port("port", arrays))


@pytest.mark.parametrize("decimals", [2, 3, 4, 6])
def test_correct_outputs_agree_however_they_were_rounded(decimals):
    result = compared(decimals)
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert result.status == 0
    assert all(call.result.sigma <= 10 for call in result.calls)


@pytest.mark.parametrize("decimals", [None, 2, 4])
@pytest.mark.parametrize("wrong", [(True, False), (False, True), (True, True)])
def test_wrong_layer_is_named_however_its_outputs_were_rounded(decimals, wrong):
    first, second = wrong
    result = compared(decimals, SWAPPED if first else None, BIAS if second else None)
    assert [call.result.verdict is DIVERGES for call in result.calls] == [first, second]
    assert result.status == 1


def test_layer_after_a_rounded_input_that_is_not_the_models_is_not_blamed():
    (_, outputs), _ = chain(SWAPPED)
    result = compared(3, SWAPPED, None, **{"second/inputs": outputs[0].data})
    assert [call.result.verdict for call in result.calls] == [DIVERGES, AGREES]


def test_table_and_text_have_the_same_sigma():
    result = compared(4, None, BIAS)
    call = result.first_difference
    worst = max(difference.sigma for difference in call.result.explanation.differences)
    assert call.result.sigma == worst < 1e6
    assert compared(None, None, BIAS).calls[1].result.sigma > worst


def test_table_has_the_sigma_of_the_text_for_an_engine_with_an_absolute_error():
    _, (_, outputs) = chain(None, BIAS)
    port = replace(named_port("port", {"second/output": outputs[0].data}), absolute=1e-5)
    call = compare_port("port", recorded(), port).first_difference
    worst = max(difference.sigma for difference in call.result.explanation.differences)
    assert call.result.sigma == worst


def test_a_named_output_counts_before_the_input_of_the_next_layer():
    (_, outputs), _ = chain()
    wrong = {"first/output": np.float32(1.01) * outputs[0].data}
    result = compared(None, **wrong, **{"second/inputs": outputs[0].data})
    assert [call.result.verdict for call in result.calls] == [DIVERGES, AGREES]


def final_of_rounded(decimals, off=0.0):
    """The comparison of a final output of six values in (0, 1), rounded like the layers' outputs."""
    final = 1 / (1 + np.exp(-np.linspace(-2.0, 2.0, 6, dtype="float32").reshape(3, 2)))
    recording = replace(recorded(), outputs=(Tensor("final", final),))
    arrays = {f"{p.id}/output": outputs[0].data for p, outputs in chain()}
    arrays["output"] = final + np.float32(off)
    port = named_port("port", {key: np.round(array, decimals) for key, array in arrays.items()})
    return compare_port("port", recording, port)


@pytest.mark.parametrize("decimals", [2, 3, 4, 6])
def test_final_output_agrees_to_the_digits_that_are_shown(decimals):
    result = final_of_rounded(decimals)
    assert result.status == 0
    assert [output.differs for output in result.outputs] == [False]
    text = output_text(result.outputs[0])
    assert text.endswith(f"; agrees to the {decimals} printed decimals")
    assert "printed" not in output_text(final_of_rounded(9).outputs[0])


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_final_outputs_of_few_values_or_of_integers_are_compared(dtype):
    final = np.array([[0.123456, 2.0]], "float32") if dtype == "float32" else np.array([[3, 0]])
    recording = replace(recorded(), outputs=(Tensor("final", final),))
    result = compare_port("port", recording, named_port("port", {"output": final.round(4)}))
    (output,) = result.outputs
    assert not output.differs
    assert (output.printed is not None) == (dtype == "float32")


@pytest.mark.parametrize(("decimals", "off"), [(2, 0.04), (3, 0.004), (4, 0.0004)])
def test_final_output_that_is_off_by_four_units_of_the_last_digit_differs(decimals, off):
    result = final_of_rounded(decimals, off)
    assert [output.differs for output in result.outputs] == [True]
    assert result.status == 1
