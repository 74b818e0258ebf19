"""The bundle of wrong gradients: its files, and what its script prints."""

import json
import os
import subprocess
import sys

import pytest
from _support.random_problems import BOTH, MASK, SHAPE, random_problem, spec_of, two_ways

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_reading import parse_problem
from rnnparity.report.bundles.gradients import BACKWARD, gradient_bundle_files

CASE = with_cotangents(catalogue()["edge-kink-selu-simple_rnn"])


@pytest.mark.parametrize("subject", BACKWARD)
def test_the_problem_has_the_expected_gradients(subject):
    files = gradient_bundle_files(CASE, "headline", subject)
    assert set(files) == {"problem.json", "reproduce.py"}
    problem = parse_problem(json.loads(files["problem.json"]), "problem.json")
    for stored, golden in zip(problem.gradients, golden_outputs(CASE), strict=True):
        assert (stored.data == golden.data).all()
    compile(files["reproduce.py"], "reproduce.py", "exec")
    assert "rnnparity" not in files["reproduce.py"]
    assert len(files["reproduce.py"].splitlines()) <= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "module", "error"),
    [
        ("keras", "tensorflow", "e-0"),
        ("keras:xla", "tensorflow", "0.553"),
        ("keras-jax", "jax", "0.553"),
    ],
)
def test_the_script_prints_the_error_of_the_framework(tmp_path, subject, module, error):
    pytest.importorskip(module)
    for name, text in gradient_bundle_files(CASE, "headline", subject).items():
        (tmp_path / name).write_text(text)
    words = [sys.executable, "reproduce.py"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    inputs, *weights = done.stdout.splitlines()[-3:]
    assert inputs.startswith("gradient of inputs[")
    assert error in inputs.partition("max error")[2]
    assert all("e-0" in line.partition("max error")[2] for line in weights)


@pytest.mark.parametrize(
    "problem",
    [
        random_problem(spec_of("gru", return_sequences=True), 0, SHAPE, mask=MASK),
        random_problem(spec_of("gru"), 0, SHAPE, initial=True),
        random_problem(spec_of("lstm", **BOTH)),
        random_problem(two_ways(spec_of("gru"))),
    ],
    ids=["mask", "states", "outputs", "two ways"],
)
def test_what_the_script_cannot_express_is_refused(problem):
    with pytest.raises(RequestError, match="cannot write a script for gradients with a mask"):
        gradient_bundle_files(with_cotangents(problem), "headline", "keras")


def test_a_subject_without_a_script_is_refused():
    with pytest.raises(RequestError, match="for gradients of 'keras-torch'"):
        gradient_bundle_files(CASE, "headline", "keras-torch")
