"""`rnnparity model --against` and `rnnparity explain --layer`, on a model that was recorded before."""

import json
from dataclasses import replace

import numpy as np
import pytest
from _support.command_line import here
from _support.ported_models import recorded_model, run_model

from rnnparity.models import model_files, saved
from rnnparity.problem.problem import Problem
from rnnparity.report.text.port import PORT_HEADER

__all__ = ["here"]

SWAPPED = {"first": ("gate-order", "LSTM fico in all weights")}


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(model_files, "check_model_file", lambda path: None)
    monkeypatch.setattr(saved, "record_file", lambda path, inputs, **options: recorded_model())
    return "model.keras"


@pytest.fixture
def port(tmp_path):
    """Write the arrays of a port, with faults or without, and return the file."""

    def write(faults=None, head_seed=3):
        _, first_outputs, second, second_outputs, final = run_model(faults, head_seed)
        arrays = {
            "first/output": first_outputs[0].data,
            "encoder/second/inputs": second.inputs.data,
            "encoder/second/output": second_outputs[0].data,
            "output": final,
        }
        path = tmp_path / "port.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


def test_first_layer_that_differs_in_a_port_is_explained(here, model, port):
    status, out, err = here("model", model, "--against", port(SWAPPED))
    assert (status, err) == (1, "")
    rows = out.splitlines()
    assert rows[0] == "model: model.keras, compared with what Keras specifies"
    assert rows[1].startswith("port: /")
    assert rows[3].split() == [word for name in PORT_HEADER for word in name.split()]
    assert [row.split()[0] for row in rows[4:6]] == ["first", "encoder/second"]
    assert rows[4].split()[2:5:2] == ["agrees", "diverges"]
    assert rows[5].split()[2:5:2] == ["agrees", "agrees"]
    assert [row.split()[-1] for row in rows[4:6]] == ["first/output", "encoder/second/output"]
    assert rows[6] == (
        "  its inputs in the port are not those of the model: a layer before it differs"
    )
    assert rows[7].endswith("; a layer before it differs")
    assert rows[9] == "model: 2 of 2 calls of recurrent layers were compared; all agree"
    assert rows[10].startswith(
        "port: first difference: first: gate-order: LSTM fico in all weights"
    )
    assert "  cause: gate-order: LSTM fico in all weights" in rows


def test_every_layer_that_differs_is_explained(here, model, port, tmp_path):
    file = port({**SWAPPED, "second": ("bias-row-dropped", "GRU, the state's bias")})
    page = tmp_path / "page.html"
    status, out, _ = here("model", model, "--against", file, "--html", str(page))
    assert status == 1
    assert "port: first difference: first: gate-order: LSTM fico in all weights" in out
    assert "\nalso differs: encoder/second: bias-row-dropped: GRU, the state's bias" in out
    for cause in ("gate-order: LSTM fico", "bias-row-dropped: GRU"):
        assert f"\n  cause: {cause}" in out
    assert page.read_text().count("<svg ") == 2
    _, out, _ = here("model", model, "--against", file, "--json")
    causes = [call["cause"] for call in json.loads(out)["against"]["calls"]]
    assert causes == ["gate-order", "bias-row-dropped"]


def test_healthy_port_and_port_with_another_head(here, model, port):
    status, out, _ = here("model", model, "--against", port())
    assert status == 0
    assert out.endswith(
        "\nport: 2 of 2 calls of recurrent layers agree, and so does the final output\n"
    )
    status, out, _ = here("model", model, "--against", port(head_seed=5))
    assert status == 1
    assert out.endswith("\nport: all recurrent layers agree, the head differs\n")


def test_comparison_with_a_port_as_json_page_and_problem_files(here, model, port, tmp_path):
    words = ["--html", str(tmp_path / "page.html"), "--out", str(tmp_path / "out"), "--json"]
    status, out, err = here("model", model, "--against", port(SWAPPED), *words)
    assert (status, err) == (1, "")
    content = json.loads(out)
    assert (content["first_difference"], content["cause"]) == ("first", "gate-order")
    assert [call["verdict"] for call in content["calls"]] == ["agrees", "agrees"]
    against = content["against"]
    keys = ["port", "calls", "outputs", "weights", "first_difference", "cause", "fault"]
    assert list(against) == keys
    assert (against["first_difference"], against["cause"]) == ("first", "gate-order")
    fault = "gate-order: LSTM fico in all weights"
    assert [content["fault"], against["fault"], against["calls"][0]["fault"]] == [fault] * 3
    explanation = against["calls"][0]["explanation"]
    assert explanation["fault"] == fault
    assert {"output", "row", "step", "unit", "gate"} <= explanation["first"].keys()
    assert against["calls"][1]["explanation"] is None
    assert [call["verdict"] for call in against["calls"]] == ["diverges", "agrees"]
    assert against["calls"][0]["tensor"] == "first/output"
    assert [output["differs"] for output in against["outputs"]] == [True]
    problem = Problem.load(tmp_path / "out" / "01-first.json")
    assert here("explain", str(tmp_path / "out" / "01-first.json"))[0] == 1
    assert problem.outputs is not None
    page = (tmp_path / "page.html").read_text()
    # The model itself agrees: the page begins with the port.
    assert '<p class="headline">first difference: first: gate-order' in page
    assert "<td>first/output</td>" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--against", "absent.onnx"), "absent.onnx: file not found"),
        (("--against", "port.xyz"), "--against port.xyz: expected a file (.onnx, .tflite, .npz"),
        (("--against", "no_module:port"), "No module named 'no_module'"),
        (("--against", "json:loads", "--map", "first"), "--map first: expected LAYER=TENSOR"),
        (("--map", "first=x"), "--map needs --against"),
    ],
)
def test_bad_port_is_one_line(here, model, words, message):
    status, out, err = here("model", model, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_layer_of_a_saved_model_is_explained_with_outputs_of_a_file(here, model, tmp_path):
    _, outputs, *_ = run_model(SWAPPED)
    np.save(tmp_path / "y.npy", outputs[0].data)
    np.save(tmp_path / "x.npy", np.zeros(1))
    words = ["explain", model, "--layer", "first", "--inputs", str(tmp_path / "x.npy")]
    words += ["--outputs", str(tmp_path / "y.npy")]
    status, out, _ = here(*words)
    assert status == 1
    assert "cause: gate-order: LSTM fico in all weights" in out
    rerun = [line for line in out.splitlines() if line.startswith("  rerun:")]
    assert rerun == [f"  rerun: rnnparity {' '.join(words)}"]
    status, _, err = here("explain", model, "--layer", "third")
    assert status == 2
    assert err.endswith("--layer third: expected one of first, encoder/second\n")
    status, _, err = here("explain", "case.json", "--layer", "first")
    assert (
        err
        == "rnnparity: case.json: --layer, --inputs, --import and --unsafe are for a .keras or .h5 file\n"
    )


def test_outputs_of_a_layer_need_the_inputs_of_the_model(here, model, tmp_path):
    np.save(tmp_path / "y.npy", np.zeros(3))
    np.savez(tmp_path / "y.npz", **{"first/output": np.zeros(3), "encoder/second/inputs": [1.0]})
    for file in ("y.npy", "y.npz"):
        words = ("--layer", "first", "--outputs", str(tmp_path / file))
        assert here("explain", model, *words) == (
            2,
            "",
            f"rnnparity: {model}: the inputs of the outputs are missing; "
            "pass those of the model as --inputs FILE\n",
        )


def test_only_layer_of_a_model_needs_no_name(here, model, monkeypatch, tmp_path):
    recording = recorded_model()
    one = replace(recording, calls=recording.calls[:1])
    monkeypatch.setattr(saved, "record_file", lambda path, inputs, **options: one)
    _, outputs, *_ = run_model(None)
    np.save(tmp_path / "y.npy", outputs[0].data)
    words = ("--inputs", str(tmp_path / "y.npy"), "--outputs", str(tmp_path / "y.npy"))
    status, out, _ = here("explain", model, *words)
    assert (status, out.splitlines()[0]) == (0, "first: agrees")


def test_layer_is_explained_with_the_arrays_of_a_port_by_name(here, model, port, tmp_path):
    _, outputs, second, second_outputs, _ = run_model(SWAPPED)
    np.savez(
        tmp_path / "y.npz",
        **{
            "first/output": outputs[0].data,
            "encoder/second": second_outputs[0].data,
            "encoder/second/inputs": second.inputs.data,
        },
    )
    words = ("--outputs", str(tmp_path / "y.npz"))
    np.save(tmp_path / "x.npy", np.zeros(1))
    inputs = ("--inputs", str(tmp_path / "x.npy"))
    status, out, _ = here("explain", model, "--layer", "first", *inputs, *words)
    assert status == 1
    assert "cause: gate-order: LSTM fico in all weights" in out
    # It agrees, computed from the port's own inputs, which are not those of the model.
    status, out, _ = here("explain", model, "--layer", "encoder/second", *words)
    assert (status, out.splitlines()[0]) == (0, "encoder/second: agrees")
    np.savez(tmp_path / "z.npz", **{"first/h": outputs[0].data})
    words = ("--outputs", str(tmp_path / "z.npz"))
    status, _, err = here("explain", model, "--layer", "first", *inputs, *words)
    assert status == 2
    assert err.endswith("rnnparity: --outputs: first/output is missing; got first/h\n")
