"""The bundle of wrong gradients or of a wrong training step: its files, and what its script prints."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, MASK, SHAPE, random_problem, spec_of, stack_of, two_ways

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_reading import parse_problem
from rnnparity.problem.problem import Tensor
from rnnparity.report.bundles.gradients import backward_bundle_files

CASE = with_cotangents(catalogue()["edge-kink-selu-simple_rnn"])
TRAINED = next(case for id_, case in catalogue().items() if id_.startswith("training_step-lstm"))


SUBJECTS = ("keras", "keras:xla", "keras:unroll", "keras-jax", "keras-jax:jit", "keras-torch")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_problem_has_the_expected_gradients(subject):
    files = backward_bundle_files(CASE, "headline", subject)
    assert set(files) == {"problem.json", "reproduce.py"}
    problem = parse_problem(json.loads(files["problem.json"]), "problem.json")
    for stored, golden in zip(problem.gradients, golden_outputs(CASE), strict=True):
        assert (stored.data == golden.data).all()
    compile(files["reproduce.py"], "reproduce.py", "exec")
    assert "rnnparity" not in files["reproduce.py"]
    assert len(files["reproduce.py"].splitlines()) <= 45


def printed(folder, files):
    """Return the lines that a bundle's script prints."""
    for name, text in files.items():
        (folder / name).write_text(text)
    words = [sys.executable, "reproduce.py"]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=True, env=os.environ
    )
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "module", "error"),
    [
        ("keras", "tensorflow", "e-0"),
        ("keras:xla", "tensorflow", "0.553"),
        ("keras-jax", "jax", "0.553"),
        ("keras-jax:jit", "jax", "0.553"),
        ("keras-torch", "torch", "0.553"),
    ],
)
def test_the_script_prints_the_error_of_the_framework(tmp_path, subject, module, error):
    pytest.importorskip(module)
    files = backward_bundle_files(CASE, "headline", subject)
    inputs, *weights = printed(tmp_path, files)[-3:]
    assert inputs.startswith("gradient of inputs[")
    assert error in inputs.partition("max error")[2]
    assert all("e-0" in line.partition("max error")[2] for line in weights)


PROBLEMS = {
    "two ways": random_problem(two_ways(spec_of("gru", **BOTH)), 0, SHAPE, mask=MASK, initial=True),
    "stack": random_problem(
        stack_of(spec_of("gru", return_sequences=True), two_ways(spec_of("lstm", 3))), 0, SHAPE
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("subject", "module"),
    [("keras:graph", "tensorflow"), ("keras-jax", "jax"), ("keras-torch", "torch")],
)
def test_the_script_runs_masks_states_and_stacks(tmp_path, name, subject, module):
    pytest.importorskip(module)
    problem = with_cotangents(PROBLEMS[name])
    lines = printed(tmp_path, backward_bundle_files(problem, "headline", subject))
    assert len(lines) == len(problem.gradient_slots())
    assert all("e-0" in line.partition("max error")[2] for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["keras", "keras:graph"])
def test_the_script_of_a_training_step_prints_the_trained_weights(tmp_path, subject):
    pytest.importorskip("tensorflow")
    lines = printed(tmp_path, backward_bundle_files(TRAINED, "headline", subject))
    assert [line.partition("[")[0] for line in lines] == [
        f"trained {weight.name}" for weight in TRAINED.weights
    ]
    assert all("e-0" in line.partition("max error")[2] for line in lines)


@pytest.mark.slow
def test_the_script_of_another_subject_compares_what_is_in_the_file_with_keras(tmp_path):
    """NaN is as far off as can be, and no gradient (None) is zeros."""
    pytest.importorskip("tensorflow")
    inputs, kernel, _ = golden_outputs(CASE)
    not_a_number = Tensor(kernel.name, np.full_like(kernel.data, np.nan))
    problem = replace(CASE, gradients=(inputs, not_a_number, None))
    lines = printed(tmp_path, backward_bundle_files(problem, "headline", "mylib:my_rnn"))
    assert "in the file nan, max error inf" in lines[1]
    assert "in the file 0, max error" in lines[2]


@pytest.mark.parametrize(
    ("problem", "subject", "what"),
    [
        (CASE, "keras:predict", "keras:predict"),
        (CASE, "tf-keras", "tf-keras"),
        (with_cotangents(catalogue()["dropout-both-lstm-forward"]), "keras", "dropout masks"),
        (TRAINED, "keras-jax", "keras-jax"),
    ],
)
def test_what_the_script_cannot_express_is_refused(problem, subject, what):
    with pytest.raises(RequestError, match=f"cannot write a script for .* with {what}"):
        backward_bundle_files(problem, "headline", subject)
