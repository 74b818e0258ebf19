"""`rnnparity model`: text, JSON, page and problem files of a saved model."""

import json

import numpy as np
import pytest
from _support.command_line import here
from _support.frameworks import keras

from rnnparity.models import saved
from rnnparity.problem.problem import Problem

__all__ = ["here", "keras"]

# Keras saves its variables through an __array__ of NumPy 1's form.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture(scope="module")
def file(keras, tmp_path_factory):
    """A saved model whose second LSTM is a port with a fault."""
    from _support import keras_models

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(9, 4, mask_zero=True),
            layers.LSTM(3, return_sequences=True, name="first"),
            keras_models.LSTM(5, return_sequences=True, name="second"),
            layers.GRU(4, name="..third"),
            layers.Reshape((2, 2)),
            layers.RNN(keras_models.MinimalCell(3), name="fourth"),
        ]
    )
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def in_this_process(monkeypatch, keras):
    """Load models in this process, which has imported TensorFlow already."""

    def record_file(path, inputs, **options):
        return saved.recorded(keras, path, inputs, **options)

    monkeypatch.setattr(saved, "record_file", record_file)


def test_first_difference_of_a_saved_model_is_explained(here, file, in_this_process):
    status, out, err = here("model", str(file))
    assert (status, err) == (1, "")
    rows = out.splitlines()
    assert rows[0].split() == ["call", "class", "inputs", "mask", "output", "verdict", "sigma"]
    assert [row[: row.index(" ")] for row in rows[1:4]] == ["first", "second", "..third"]
    assert rows[1].split()[:2] == ["first", "LSTM"]
    assert "agrees" in rows[1]
    assert rows[2].index("diverges") == rows[1].index("agrees") == rows[4].index("unsupported")
    assert rows[5].startswith("  not computed: layer.cell: got 'MinimalCell'")
    assert any(row.startswith("first difference: second: gate-order: LSTM fico") for row in rows)
    assert "  cause: gate-order: LSTM fico in all weights" in rows


def test_saved_model_as_json_page_and_problem_files(here, file, tmp_path):
    words = ["--import", "_support.keras_models", "--html", str(tmp_path / "page.html")]
    status, out, err = here("model", str(file), *words, "--out", str(tmp_path / "out"), "--json")
    assert (status, err) == (1, "")
    content = json.loads(out)
    assert list(content) == ["calls", "first_difference", "cause", "fault"]
    assert (content["first_difference"], content["cause"]) == ("second", "gate-order")
    keys = ["layer", "class_name", "call", "verdict", "sigma", "cause", "fault", "explanation"]
    keys += ["reason", "notes"]
    assert [list(call) for call in content["calls"]] == [keys] * 4
    verdicts = ["agrees", "diverges", "agrees", "unsupported"]
    assert [call["verdict"] for call in content["calls"]] == verdicts
    names = ["01-first.json", "02-second.json", "03-third.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    problem = Problem.load(tmp_path / "out" / "02-second.json")
    assert (problem.id, problem.mask.shape) == ("second", (3, 7))
    assert [output.name for output in problem.outputs] == ["output"]
    page = (tmp_path / "page.html").read_text()
    assert "<td>fourth</td><td>RNN</td>" in page
    assert "fourth: not computed: layer.cell" in page


def test_inputs_of_a_file_are_used(here, file, in_this_process, tmp_path):
    (tmp_path / "x.json").write_text("[[1, 2, 0]]")
    status, out, _ = here("model", str(file), "--inputs", str(tmp_path / "x.json"))
    assert status == 1
    assert "(1, 3, 4)" in out
    np.save(tmp_path / "x.npy", [[1, 9]])
    status, out, err = here("model", str(file), "--inputs", str(tmp_path / "x.npy"))
    assert (status, out) == (2, "")
    assert err.endswith("got id 9, expected ids from 0 to 8 (input_dim=9)\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("absent.keras",), "absent.keras: cannot be read: No such file or directory"),
        (("model.onnx",), "got suffix '.onnx', expected a .keras or .h5 file"),
        ((__file__, "--out", __file__), "cannot be written: it is not a folder"),
        ((), "Missing argument 'MODEL'"),
    ],
)
def test_bad_request_is_one_line(here, words, message):
    status, out, err = here("model", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_module_that_is_not_found_is_refused(here, file):
    status, out, err = here("model", str(file), "--import", "no_such_package")
    assert (status, out) == (2, "")
    assert err == "rnnparity: --import no_such_package: no module of that name is on the path\n"


@pytest.mark.parametrize("both_ways", [False, True])
def test_mask_that_a_decoder_with_initial_states_ignores_is_reported(
    here, keras, tmp_path, in_this_process, both_ways
):
    layers = keras.layers
    source, target = keras.Input((None,), name="source"), keras.Input((None,), name="target")
    _, *states = layers.LSTM(3, return_state=True, name="encoder")(
        layers.Embedding(9, 4, mask_zero=True)(source)
    )
    decoder = layers.LSTM(3, return_sequences=True, name=None if both_ways else "decoder")
    if both_ways:
        decoder, states = layers.Bidirectional(decoder, name="decoder"), [*states, *states]
    outputs = decoder(layers.Embedding(7, 4, mask_zero=True)(target), initial_state=states)
    path = tmp_path / "model.keras"
    keras.Model([source, target], layers.Dense(7)(outputs)).save(path)
    sentence = "Keras does not use the mask of these inputs, because the call has initial states"

    status, out, _ = here("model", str(path), "--html", str(tmp_path / "page.html"))
    head, encoder, line, remark, *_ = out.splitlines()
    column = head.index("mask")
    assert (status, encoder[column:].split("  ")[0]) == (0, "(3, 7)")
    assert line.startswith("decoder")
    assert line[column:].split()[0] == "ignored"
    assert remark.strip().startswith(sentence)
    page = (tmp_path / "page.html").read_text()
    assert "<td>ignored</td>" in page
    assert f"decoder: {sentence}" in page

    calls = json.loads(here("model", str(path), "--json")[1])["calls"]
    assert [call["notes"] for call in calls] == [[], ["mask-ignored"]]
    assert calls[1]["reason"].startswith(sentence)
