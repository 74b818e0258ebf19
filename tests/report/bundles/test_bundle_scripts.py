"""Bundles: a problem and a script that shows the difference with only the framework."""

import ast
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from _support.explanations import from_port, lstm
from _support.random_problems import (
    BOTH,
    SEQUENCES,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_reading import read_problem
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import DifferenceType
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.report.bundles.bundle import bundle_files, shown_difference, write_bundle
from rnnparity.report.bundles.scripts import KERAS, PATHS

PROBLEMS = {
    "plain": random_problem(spec_of("gru", reset_after=False, **BOTH), 0, SHAPE, initial=True),
    "two-ways": random_problem(
        two_ways(spec_of("lstm", **BOTH), merge_mode=None),
        0,
        SHAPE,
        mask=["011011"] * 5,
        initial=True,
    ),
    "stack": random_problem(
        stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm", **BOTH)), 0, SHAPE, initial=True
    ),
    "calls": random_problem(
        spec_of("lstm", stateful=True, **BOTH),
        0,
        SHAPE,
        mask=["011011"] * 5,
        initial=True,
        calls=[2, 3, 1],
    ),
}


def test_script_shows_the_difference_with_only_keras(tmp_path):
    """tf.keras differs from the port's outputs, and agrees with the reference's."""
    for name, problem in PROBLEMS.items():
        wrong, right = from_port(problem), [t.data for t in compute(problem)]
        for folder, bundled in (
            ("wrong", wrong),
            ("right", from_port(problem, lambda _, right=right: right)),
        ):
            files = write_bundle(tmp_path / name / folder, bundled, "wrong")
            assert [file.name for file in files] == ["problem.json", "reproduce.py"]
            assert len(files[1].read_text().splitlines()) <= (30 if problem.calls else 25)
            assert "rnnparity" not in files[1].read_text()
            assert read_problem(files[0]).id == bundled.id
    loop = "import runpy, sys\nfor path in sys.argv[1:]: runpy.run_path(path)"
    scripts = sorted(map(str, tmp_path.rglob("reproduce.py")))
    ran = subprocess.run(
        [sys.executable, "-c", loop, *scripts], capture_output=True, text=True, check=True
    )
    found = [float(size) for size in re.findall(r"max error (\S+)$", ran.stdout, re.MULTILINE)]
    count = [len(PROBLEMS[name].output_slots()) for name in sorted(PROBLEMS)]
    for size in count:
        (right, wrong), found = (found[:size], found[size : 2 * size]), found[2 * size :]
        assert max(right) < 1e-6
        assert min(wrong) > 1e-3
    assert found == []


@pytest.mark.parametrize("path", [path for path in KERAS["keras"].paths if path])
def test_script_takes_the_path_of_its_subject(path, tmp_path):
    _, script = write_bundle(tmp_path, from_port(lstm()), "wrong", f"keras:{path}")
    assert f"{PATHS[path].call}(x, mask=mask" in script.read_text()
    assert all(repr(option) in script.read_text() for option in PATHS[path].options)
    assert read_problem(tmp_path / "problem.json").outputs[0].data[0, 0, 0] == np.float32(
        compute(lstm())[0].data[0, 0, 0]
    )


@pytest.mark.parametrize(
    ("subject", "problem", "why"),
    [
        (
            "",
            random_problem(spec_of("gru", recurrent_activation="hard_sigmoid_keras2"), 0, SHAPE),
            "hard_sigmoid_k",
        ),
        (
            "tf-keras",
            random_problem(spec_of("gru", recurrent_activation="hard_sigmoid"), 0, SHAPE),
            "hard_sigmoid, ",
        ),
        (
            "keras:predict",
            random_problem(spec_of("gru"), 0, SHAPE, initial=True),
            "Model.predict with more",
        ),
        (
            "keras-jax:jit",
            random_problem(spec_of("gru", stateful=True), 0, SHAPE, calls=[2, 4]),
            "a stateful layer",
        ),
        ("onnx-reference", random_problem(spec_of("gru", dtype="bfloat16"), 0, SHAPE), "bfloat16"),
    ],
)
def test_problem_that_no_script_can_run_is_refused(subject, problem, why, tmp_path):
    with pytest.raises(RequestError, match=f"cannot write a script for {why}"):
        write_bundle(tmp_path / "bundle", problem, "wrong", subject)
    assert not (tmp_path / "bundle").exists()


def test_docstring_holds_any_text(tmp_path):
    for message in ('raised ValueError: "x"', "no\\such \\N", '"""', "long " * 60):
        _, script = write_bundle(tmp_path, from_port(lstm()), message)
        with warnings.catch_warnings(action="error"):
            docstring = ast.get_docstring(ast.parse(script.read_text()))
        assert docstring.split() == ["problem:", *message.replace('"""', "'''").split()]
        assert max(map(len, docstring.splitlines())) <= 117


def test_error_of_small_values_is_relative(tmp_path):
    """The largest absolute error is noise, in the largest values."""
    problem = catalogue()["saturation-lstm-forward-32"]
    expected = expect(problem)
    values, sigmas = expected.outputs[0].data, expected.sigmas[0]
    small, large = np.abs(values).argmin(), sigmas.argmax()
    for share, words in ((0, "max error"), (1e-3, "max relative error")):
        output = values.copy()
        output.flat[large] += 3 * sigmas.flat[large]
        output.flat[small] *= 1 + share
        assert share * abs(values.flat[small]) < sigmas.flat[large]
        outputs = [Tensor.of("output", output), *golden_outputs(problem)[1:]]
        _, script = write_bundle(tmp_path, problem.with_outputs(outputs), "wrong", "keras")
        assert words in script.read_text()


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="file: cannot be written"):
        write_bundle(tmp_path / "file", from_port(lstm()), "wrong")


def test_failure_of_a_subject_without_a_script_is_refused():
    with pytest.raises(RequestError, match="cannot write a script for subject 'mine:port'"):
        bundle_files(lstm(), "failed", "mine:port", None)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (DifferenceType.COUNT, 'print("outputs: got", len(outputs), "expected"'),
        (DifferenceType.DTYPE, "got dtype {actual.dtype}, expected"),
        (DifferenceType.FACT, 'print("symbolic shapes: got"'),
    ],
)
def test_script_prints_what_differs(shown, expected):
    texts = {shown: bundle_files(from_port(lstm()), "wrong", "keras", shown)["reproduce.py"]}
    values = bundle_files(from_port(lstm()), "wrong", "keras")["reproduce.py"]
    assert expected in texts[shown]
    assert expected not in values


def test_difference_that_a_script_shows_best_comes_first():
    types = [DifferenceType.FACT, DifferenceType.DTYPE, DifferenceType.VALUES]
    assert shown_difference(types) is DifferenceType.VALUES
    assert shown_difference(types[:2]) is DifferenceType.DTYPE
    assert shown_difference([]) is DifferenceType.VALUES


LSTM = "lstm-spread-sequences-state"


@pytest.mark.parametrize("subject", ["ncnn", "tinygrad"])
def test_script_of_an_engine_runs_an_lstm(tmp_path, subject):
    pytest.importorskip(subject)
    written = write_bundle(tmp_path, catalogue()[LSTM], "what differs", subject)
    assert [path.name for path in written] == ["problem.json", "reproduce.py"]
    ran = subprocess.run(
        [sys.executable, "reproduce.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = ran.stdout.splitlines()
    assert [line.partition("[")[0] for line in lines] == ["output", "h", "c"]
    assert all(float(line.rpartition(" ")[2]) < 1e-6 for line in lines)


@pytest.mark.parametrize(
    "case",
    [
        "gru-spread-last",
        "bi_lstm-spread-concat-last",
        "lstm-spread-last-mask_left",
        "lstm-spread-sequences-state-initial",
        "stateful-lstm-forward-sequences",
    ],
)
def test_script_of_an_engine_is_refused_for_another_layer(case):
    with pytest.raises(RequestError, match="cannot write a script"):
        bundle_files(catalogue()[case], "what differs", "ncnn")
