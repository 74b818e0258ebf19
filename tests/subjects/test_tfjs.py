"""TensorFlow.js on Node, where it is installed in NODE_PATH or in the current folder."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.subjects import MissingFrameworkError, make_subject
from rnnparity.subjects.node_programs import PROGRAMS

PROGRAM = PROGRAMS / "tfjs.mjs"


@pytest.fixture(scope="module")
def tfjs():
    try:
        subject = make_subject("tfjs")
    except MissingFrameworkError as error:
        pytest.skip(str(error))
    yield subject
    subject.close()


def test_core_cases_agree_or_are_known():
    try:
        make_subject("tfjs").close()
    except MissingFrameworkError as error:
        pytest.skip(str(error))
    (result,) = check("tfjs", k="core and (lstm or gru_before or simple_rnn)").subjects
    assert result.failing == ()
    assert result.counts[Verdict.AGREES] > 100


def test_output_of_a_masked_step_is_the_kept_state(tfjs):
    """Documented nowhere in TensorFlow.js; Keras has zeros before the first used step."""
    problem = catalogue()["lstm-spread-sequences-state-mask_right_empty-initial"]
    (empty,) = np.flatnonzero(~problem.mask.any(axis=1))
    output, *_ = tfjs.answer(problem).outputs
    assert not compute(problem)[0].data[empty].any()
    assert (output.data[empty] == problem.initial_state[0].data[empty]).all()


def test_bundle_of_the_known_difference_shows_it(tmp_path, tfjs):
    entries = [entry for entry in read_known(default_folder() / KNOWN) if entry.subject == "tfjs"]
    assert entries
    for entry in entries:
        if not entry.applies("tfjs", tfjs.versions()):
            pytest.skip(f"{entry.name} is of another version")
        folder = shutil.copytree(default_folder() / "bundles" / entry.name, tmp_path / entry.name)
        # An import looks for packages beside the script, not in NODE_PATH.
        path = subprocess.check_output(
            ["node", "-p", "require.resolve('@tensorflow/tfjs/package.json')"], text=True
        )
        (folder / "node_modules").symlink_to(path.strip().rpartition("/@tensorflow/")[0])
        command = ["node", "reproduce.mjs"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        first = next(line for line in ran.stdout.splitlines() if line.startswith("output["))
        assert float(first.rpartition(" ")[2]) > 1e-3


def test_missing_node_and_missing_package_are_reported_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_PATH", raising=False)
    if shutil.which("node"):
        with pytest.raises(MissingFrameworkError, match=r"tfjs is missing; .* npm install"):
            make_subject("tfjs")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingFrameworkError, match=r"node is missing; install Node"):
        make_subject("tfjs")


def test_program_refuses_what_the_framework_has_not(tfjs):
    """Also a line that is no problem costs its answer only."""
    problem = catalogue()["gru-spread-last"]
    assert PROGRAM.is_file()
    with pytest.raises(Exception, match="no GRU with reset_after=True"):
        tfjs.answer(problem)
    assert tfjs.answer(catalogue()["lstm-spread-last"]).outputs


def test_program_prints_its_versions_as_json(tfjs):
    ran = subprocess.check_output(["node", str(PROGRAM), "--versions"], text=True)
    assert json.loads(ran) == tfjs.versions()
