"""`rnnparity explain`: text, JSON, page, bundle and separating problem."""

import io
import json
import shlex
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from _support.command_line import here
from _support.explanations import (
    CASE,
    CONSTANT,
    explanation_of,
    from_port,
    placed,
    with_expected,
    with_faults,
    without_bias,
)

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.probe import PROBES
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer import Answer
from rnnparity.problem.format_reading import read_problem
from rnnparity.problem.format_writing import dump_line, dump_pretty
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute
from rnnparity.report.explanation_json import as_json
from rnnparity.report.text.messages import faults_name
from rnnparity.session.ask import explain_subject
from rnnparity.session.judging import judge_outcome
from rnnparity.session.outcome import Outcome

__all__ = ["here"]

UNEQUAL_HALVES = "bidirectional-shape-of-unequal-halves"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(dump_pretty(from_port(catalogue()[CONSTANT])))
    return path


def test_explanation_as_text_and_json(here, tmp_path):
    problem = with_faults(catalogue()[CASE], placed("gate-order: LSTM iofc (ONNX) in all weights"))
    path = tmp_path / "mine.json"
    path.write_text(dump_pretty(problem))
    status, out, err = here("explain", str(path))
    assert (status, err) == (1, "")
    rows = out.splitlines()
    assert rows[0] == f"{CASE}: diverges"
    assert "  cause: gate-order: LSTM iofc (ONNX) in all weights" in rows
    assert "  first mismatch: output at row 0, step 0, unit 0, gates f, c, o" in rows
    assert rows[-1] == f"  rerun: rnnparity explain {path}"
    status, out, _ = here("explain", str(path), "--json")
    content = json.loads(out)
    assert (status, content["verdict"], content["cause"]) == (1, "diverges", "gate-order")
    assert content == as_json(explanation_of(problem))
    assert content["sigma"]["after"] < 1
    assert content["sigma"]["before"] > 1000


def test_agreement_is_status_0_and_missing_outputs_are_status_2(here, tmp_path):
    path = tmp_path / "case.json"
    path.write_text(dump_pretty(with_expected(catalogue()[CASE])))
    status, out, _ = here("explain", str(path))
    assert (status, out.splitlines()[0]) == (0, f"{CASE}: agrees")
    path.write_text(dump_pretty(catalogue()[CASE]))
    status, out, err = here("explain", str(path))
    assert (status, out) == (2, "")
    reason = (
        "has no outputs to explain; pass those of the other implementation (--outputs FILE), "
        "or name it (--subject S)"
    )
    assert err == f"rnnparity: {CASE}: {reason}\n"


def test_every_file_at_once(here, file, tmp_path):
    paths = {name: tmp_path / name for name in ("page.html", "bundle", "apart.json")}
    status, out, err = here(
        "explain", str(file), "--html", str(paths["page.html"]), "--bundle", str(paths["bundle"]),
        "--separate", str(paths["apart.json"]),
    )  # fmt: skip
    assert (status, err) == (1, "")
    assert "  equally consistent with these inputs: " in out
    assert "  separate: --separate FILE writes a problem on which these causes differ" in out
    assert "\x1b" not in out
    assert paths["page.html"].read_text().startswith("<!doctype html>")
    assert (paths["bundle"] / "reproduce.py").exists()
    assert read_problem(paths["apart.json"]).id == f"{CONSTANT}-apart"


@pytest.mark.parametrize(
    ("words", "where"),
    [(("explain", "-"), "stdin"), (("run", "-"), "stdin, line 2")],
)
def test_standard_input_has_a_limit(here, file, monkeypatch, words, where):
    monkeypatch.setattr("rnnparity.problem.json_text.MAX_BYTES", 2**20)
    line = dump_line(read_problem(file)).encode()
    content = line + b"\n" + b" " * 2**20 + b"x"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    status, out, err = here(*words)
    assert (status, err) == (2, f"rnnparity: {where}: larger than 1 MiB, the limit\n")
    assert len(out.splitlines()) == (words[0] == "run")  # what came before is answered


@pytest.mark.parametrize("name", ["y.npy", "y.npz", "y.txt"])
def test_array_in_place_of_a_problem_is_refused_with_its_option(here, name):
    status, out, err = here("explain", name)
    assert (status, out) == (2, "")
    assert err == f"rnnparity: {name}: holds arrays, not a problem; pass it as --outputs {name}\n"


@pytest.mark.parametrize("name", ["y.pt", "y.onnx"])
def test_model_of_another_framework_is_refused_with_what_reads_it(here, name):
    status, out, err = here("run", name)
    assert (status, out) == (2, "")
    assert "holds a model, not a problem; rnnparity.models.from_" in err


def test_outputs_of_another_file_are_explained(here, tmp_path):
    (golden,) = golden_outputs(catalogue()["gru-spread-last"])
    np.savez(tmp_path / "right.npz", output=golden.data)
    np.save(tmp_path / "wrong.npy", golden.data[::-1])
    (tmp_path / "printed.json").write_text(json.dumps(golden.data.round(4).tolist()))
    for name, status, verdict in [
        ("right.npz", 0, "agrees"),
        ("wrong.npy", 1, "diverges"),
        ("printed.json", 0, "agrees to the 4 printed decimals"),
    ]:
        file = str(tmp_path / name)
        returned, out, _ = here("explain", "gru-spread-last", "--outputs", file)
        assert returned == status
        assert out.startswith(f"gru-spread-last: {verdict}\n")
        rerun = f"rerun: rnnparity explain gru-spread-last --outputs {file}\n"
        assert (rerun in out) == (status == 1)
    both = here("explain", "gru-spread-last", "--outputs", file, "--subject", "reference")
    assert both == (2, "", "rnnparity: --outputs and --subject: give one of them\n")


def test_a_suggested_command_quotes_the_file(here, file):
    path = file.with_name("my file; echo.json")
    path.write_bytes(file.read_bytes())
    _, out, _ = here("explain", str(path))
    words = shlex.split(out.splitlines()[-1].partition("rerun: ")[2])
    assert words == ["rnnparity", "explain", str(path)]


def test_problem_from_stdin_and_case_with_a_subject(here, file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    status, out, _ = here("explain", "-", "--json")
    content = json.loads(out)
    assert (status, content["certain"]) == (1, False)
    names = [content["cause"], *content["also_fits"]]
    assert {"bias-missing", "forget-bias"} <= {name.split(":")[0] for name in names}
    status, out, _ = here("explain", "gru-spread-last", "--subject", "reference")
    assert (status, out.splitlines()[0]) == (0, "gru-spread-last: agrees")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere.json"], "nowhere.json: "),
        (["{file}", "--html", "{folder}"], "{folder}: cannot be written: it is a folder"),
        (["gru-spread-last"], "has no outputs to explain"),
        (["gru-spread-last", "--subject", "no:such"], "no"),
        (["{file}", "--precision", "float16"], "--precision is that of a subject; add --subject"),
        (["gru-spread-last", "--subject", "reference", "--precision", "half"], "got 'half'"),
    ],
)
def test_bad_request_is_one_line(here, file, tmp_path, words, reason):
    words = [word.format(file=file, folder=tmp_path) for word in words]
    status, out, err = here("explain", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("rnnparity: ")
    assert reason.format(folder=tmp_path) in err


def test_nothing_to_separate_is_reported_after_the_explanation(here, tmp_path):
    path = tmp_path / "expected.json"
    path.write_text(dump_pretty(with_expected(catalogue()["gru-spread-last"])))
    status, out, err = here("explain", str(path), "--separate", str(tmp_path / "x.json"))
    assert (status, err.count("\n")) == (2, 1)
    assert out.splitlines()[0] == "gru-spread-last: agrees"
    assert "there are no causes to separate" in err


# --------------------------------------------------------------------------------- with a subject


def answers(monkeypatch, outcome):
    """Replace a subject, of the Keras version whose differences are known, by a function."""

    @contextmanager
    def open_session(name, **_):
        versions = {"keras": "3.15.1"}
        yield SimpleNamespace(name=name, versions=versions, judge=judge_outcome, ask=outcome)

    monkeypatch.setattr("rnnparity.session.ask.open_session", open_session)


def with_symbolic_shapes(problem, shapes=((None, 3),)):
    facts = {"symbolic": [list(shape) for shape in shapes]}
    return Outcome(problem, Answer(golden_outputs(problem), facts))


def test_subject_is_asked_until_one_cause_is_left():
    assert explanation_of(from_port(catalogue()[CONSTANT])).cause.also_fits
    diagnosis = explain_subject(catalogue()[CONSTANT], without_bias)
    assert [faults_name(fit.faults) for fit in diagnosis.fits] == ["bias-missing"]
    assert 1 <= diagnosis.explanation.probes <= PROBES


def test_bundle_of_a_subject_that_fails(here, monkeypatch, tmp_path):
    answers(monkeypatch, lambda problem: Outcome(problem, error="ValueError: no"))
    failure = "subject 'keras' failed: ValueError: no"
    for options in ([], ["--bundle", str(tmp_path / "bundle")]):
        printed = here("explain", CONSTANT, "--subject", "keras", *options)
        assert printed == (1, "", f"rnnparity: {CONSTANT}: {failure}\n")
    expected = read_problem(tmp_path / "bundle" / "problem.json").outputs
    assert np.allclose(expected[0].data, compute(catalogue()[CONSTANT])[0].data)
    script = (tmp_path / "bundle" / "reproduce.py").read_text()
    assert script.startswith(f'"""{CONSTANT}: {failure}')


def test_unsupported_problem_leaves_no_bundle(here, monkeypatch, tmp_path):
    answers(monkeypatch, lambda problem: Outcome(problem, unsupported="no"))
    folder = tmp_path / "bundle"
    status, _, err = here("explain", CONSTANT, "--subject", "keras", "--bundle", str(folder))
    assert (status, "does not support it: no" in err, list(tmp_path.iterdir())) == (2, True, [])


def test_wrong_symbolic_shapes_diverge_and_are_shown_by_the_script(here, monkeypatch, tmp_path):
    answers(monkeypatch, with_symbolic_shapes)
    page = str(tmp_path / "page.html")
    status, out, _ = here(
        "explain", CONSTANT, "--subject", "keras", "--bundle", str(tmp_path), "--html", page
    )
    assert status == 1
    rows = out.splitlines()
    assert rows[0] == f"{CONSTANT}: diverges"
    assert rows[1].startswith("  symbolic shapes: got ")
    assert "  cause: unexplained" in out
    script = (tmp_path / "reproduce.py").read_text()
    shapes = 'layer.compute_output_shape((None, None, x.shape[-1])), "expected", [(None, None, '
    assert shapes in script


def test_known_difference_is_named(here, monkeypatch):
    """Only for its own types of difference, its own problem and its own subject."""
    case = catalogue()["halves-units-concat"]
    answers(monkeypatch, with_symbolic_shapes)
    known = f"known difference: {UNEQUAL_HALVES} (mistake; keras/src/layers/rnn/bidirectional.py: "
    assert known in here("explain", case.id, "--subject", "keras")[1]
    status, out, _ = here("explain", case.id, "--subject", "keras", "--json")
    assert (status, len(json.loads(out)["listed"])) == (1, 1)
    assert "known difference" not in here("explain", CONSTANT, "--subject", "keras")[1]
    assert "known difference" not in here("explain", case.id, "--subject", "torch")[1]
    other = replace(case, inputs=Tensor("inputs", case.inputs.data * 0.5))
    assert not explain_subject(other, "keras").explanation.known


def test_failure_that_is_known_names_its_entry(here, monkeypatch):
    answers(
        monkeypatch, lambda problem: Outcome(problem, error="IndexError: list index out of range")
    )
    err = here("explain", "halves-lstm_gru-sum-mask", "--subject", "keras")[2]
    name = "initial-state-is-split-in-the-middle"
    assert f"IndexError: list index out of range; known difference: {name}" in err


def test_wrong_outputs_of_a_file_with_cotangents_are_explained(here, tmp_path):
    problem = with_cotangents(catalogue()[CASE])
    outputs = [
        replace(tensor, data=2 * tensor.data) for tensor in golden_outputs(catalogue()[CASE])
    ]
    path = tmp_path / "mine.json"
    path.write_text(dump_pretty(problem.with_outputs(outputs)))
    status, out, err = here("explain", str(path))
    assert (status, err) == (1, "")
    assert out.splitlines()[1] == "  output (B=2, T=4, H=5): 40 of 40 values differ"


def test_wrong_gradients_of_a_file_are_explained(here, tmp_path):
    problem = with_cotangents(catalogue()[CASE])
    gradients = [
        replace(tensor, data=2 * tensor.data) if tensor.name == "bias" else tensor
        for tensor in golden_outputs(problem)
    ]
    path = tmp_path / "mine.json"
    path.write_text(dump_pretty(problem.with_answer(gradients)))
    status, out, err = here("explain", str(path))
    assert (status, err) == (1, "")
    assert out.splitlines()[1] == "  bias (GH=20): 20 of 20 values differ"
    assert "  cause: gradient-doubled: bias" in out.splitlines()
    status, out, err = here("explain", str(path), "--bundle", str(tmp_path / "bundle"))
    assert (status, err) == (1, "")
    assert out.splitlines()[-1].startswith("  bundle: ")
    stored = Problem.load(tmp_path / "bundle" / "problem.json")
    assert (stored.gradients[3].data == gradients[3].data).all()  # those of the file
    assert "in the file" in (tmp_path / "bundle" / "reproduce.py").read_text()
    status, out, err = here("explain", str(path), "--gradients")
    assert (status, out) == (2, "")
    assert err == "rnnparity: --gradients asks a subject; add --subject\n"


def test_gradients_of_a_subject_are_explained_if_they_are_asked_for(here):
    words = ("explain", CASE, "--subject", "reference", "--gradients")
    status, out, _ = here(*words)
    assert (status, out.splitlines()[0]) == (0, f"{CASE}: agrees")


def test_import_and_unsafe_are_for_saved_models(here, tmp_path):
    status, _, err = here("explain", CASE, "--import", "mine")
    assert status == 2
    assert "--import and --unsafe are for a .keras or .h5 file" in err


def test_layer_that_is_missing_in_the_short_form_is_asked_for_with_an_example(here, tmp_path):
    path = tmp_path / "short.json"
    path.write_text('{"weights": [], "inputs": [[[1.0]]]}')
    status, _, err = here("explain", str(path))
    assert status == 2
    assert 'layer: missing; write it as in Keras: "layer": "LSTM(' in err
