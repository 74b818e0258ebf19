"""The exported test vectors, and their checkers in C++ and JavaScript."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import gradient_cases
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_reading import parse_problem
from rnnparity.problem.json_text import load_json
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.vectors import GRADIENTS, MANIFEST, OUTPUTS, STATIC, VERSION, export_vectors
from rnnparity.session.fixtures import read_fixtures
from rnnparity.verdict.judge import judge

# SimpleRNN for the examples' engine, and what it does not support: a mask, another layer, 16 bits.
SELECTED = (
    "simple_rnn-spread-sequences or bi_lstm-spread-ave-sequences-state or dtype-float16-gru-forward"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    export_vectors(folder, k=SELECTED)
    return folder


def rows(folder, name):
    lines = (folder / name).read_bytes().splitlines()
    return [load_json(line, name) for line in lines]


def test_each_line_is_a_problem_of_the_catalogue_with_its_golden(folder):
    goldens = read_fixtures().goldens.outputs
    problems = [parse_problem(row, "a line") for row in rows(folder, OUTPUTS)]
    assert len(problems) > 5
    for problem in problems:
        case = catalogue()[problem.id]
        assert problem.layer == case.layer
        for tensor, expected in zip(problem.outputs, goldens[problem.id], strict=True):
            assert tensor.dtype == expected.dtype
            assert np.array_equal(tensor.data, expected.data)


def test_gradients_are_those_of_the_cases_that_have_some(folder):
    goldens = read_fixtures(gradients=True).goldens.outputs
    exported = {row["id"]: row for row in rows(folder, GRADIENTS)}
    assert exported.keys() == {row["id"] for row in rows(folder, OUTPUTS)} & gradient_cases().keys()
    assert exported
    for id_, row in exported.items():
        problem = parse_problem(row, "a line")
        for tensor, expected in zip(problem.gradients, goldens[id_], strict=True):
            assert np.array_equal(tensor.data, expected.data)


@pytest.mark.parametrize(("factor", "verdict"), [(0.4, Verdict.AGREES), (1.5, Verdict.DIVERGES)])
@pytest.mark.parametrize("name", [OUTPUTS, GRADIENTS])
def test_tolerance_is_what_a_check_allows(folder, name, factor, verdict):
    for row in rows(folder, name):
        problem = parse_problem(row, "a line")
        (expected, *others), key = (
            (problem.outputs, "outputs") if name == OUTPUTS else (problem.gradients, "gradients")
        )
        allowed = np.reshape(row[key][0]["tolerance"], expected.shape)
        index = np.unravel_index(np.argmax(allowed), allowed.shape)
        values = expected.data.astype(np.float64)
        values[index] += factor * allowed[index]
        actual = (Tensor.of(expected.name, values, expected.dtype), *others)
        answer = Answer(actual) if name == OUTPUTS else Answer(gradients=actual)
        assert judge(problem, answer).verdict is verdict, problem.id


def test_manifest_has_the_version_and_the_checksum_of_every_file(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["version"] == VERSION
    assert manifest["files"].keys() == {path.name for path in folder.iterdir()} - {MANIFEST}
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == sha256((folder / name).read_bytes()).hexdigest()
    assert manifest["files"][OUTPUTS]["lines"] == len(rows(folder, OUTPUTS))


def test_changelog_has_a_section_for_the_version(folder):
    sections = [
        line for line in (folder / "CHANGELOG.md").read_text().splitlines() if "## " in line
    ]
    assert sections[0].removesuffix(" (unreleased)") == f"## {VERSION}"


def built_cpp(folder):
    command = "c++ -O1 -std=c++17 -Wall -Wextra -Werror -o example example.cpp"
    subprocess.run(command.split(), cwd=folder, check=True)
    return "./example"


def run_example(folder, language):
    program = built_cpp(folder) if language == "c++" else "node example.mjs"
    command = [*program.split(), OUTPUTS]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(params=["c++", "node"])
def language(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def editable(folder, tmp_path):
    """Return a copy of the exported folder."""
    return shutil.copytree(folder, tmp_path / "vectors")


def test_example_engine_agrees_with_the_vectors(editable, language):
    ran = run_example(editable, language)
    assert (ran.returncode, ran.stderr) == (0, "")
    supported = sum(row["layer"]["class_name"] == "SimpleRNN" for row in rows(editable, OUTPUTS))
    assert 0 < int(ran.stdout.split()[0]) <= supported
    assert " 0 differ" in ran.stdout


def test_wrong_engine_is_reported_at_its_worst_value(editable, language):
    example = editable / ("example.cpp" if language == "c++" else "example.mjs")
    text = example.read_text()
    # The recurrent kernel transposed.
    wrong = text.replace("[from * H + unit]", "[unit * H + from]")
    assert wrong != text
    example.write_text(wrong)
    ran = run_example(editable, language)
    assert ran.returncode == 1
    assert " 0 agree" in f" {ran.stdout.splitlines()[-1]}"
    assert "simple_rnn-spread-sequences: output[" in ran.stdout
    assert ", tolerance " in ran.stdout


@pytest.mark.parametrize("value", ["NaN", "Infinity", 0.5])
def test_one_value_that_differs_is_found(editable, language, value):
    """Also where it is not finite, which no comparison by `<` finds."""
    path = editable / OUTPUTS
    lines = [
        row for row in rows(editable, OUTPUTS) if row["id"] == "simple_rnn-spread-sequences-state"
    ]
    lines[0]["outputs"][1]["data"][3] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = run_example(editable, language)
    assert ran.returncode == 1
    assert ran.stdout.startswith("simple_rnn-spread-sequences-state: h[0, 3]: got ")


def test_line_that_is_no_vector_is_named(editable, language):
    (editable / OUTPUTS).write_text('{"id": "x", "layer": \n')
    ran = run_example(editable, language)
    assert ran.returncode != 0
    assert f"{OUTPUTS}: line 1: " in ran.stderr


@pytest.mark.parametrize("count", [0, 1])
def test_cases_without_a_golden_are_left_out_and_counted(tmp_path, monkeypatch, count):
    fixtures = read_fixtures(only=["lstm-spread-last"])
    goldens = {"lstm-spread-last": fixtures.goldens.outputs["lstm-spread-last"]} if count else {}
    fixtures = replace(fixtures, goldens=replace(fixtures.goldens, outputs=goldens))
    monkeypatch.setattr("rnnparity.report.vectors.read_fixtures", lambda **_: fixtures)
    if not count:
        with pytest.raises(RequestError, match="have no goldens"):
            export_vectors(tmp_path, k="lstm-spread-last")
        assert not list(tmp_path.iterdir())
        return
    export = export_vectors(tmp_path, k="lstm-spread-last")
    assert (export.outputs, export.left_out > 0) == (1, True)
    readme = (tmp_path / "README.md").read_text()
    assert f"{export.left_out} of the selected" in readme
    assert "| 1 problem with the outputs |" in readme


def test_static_files_are_part_of_the_package(folder):
    names = {path.name for path in folder.iterdir()}
    assert {*STATIC} <= names
    # Each file that the README names is in the folder.
    named = re.findall(r"`([a-z]\w*\.\w+)`", (folder / "README.md").read_text(), re.IGNORECASE)
    assert {*named} <= names
    assert "spec.py" in named


def test_example_reports_what_it_cannot_read_and_a_missing_output(editable, language):
    example = editable / ("example.cpp" if language == "c++" else "example.mjs")
    text = example.read_text()
    wrong = text.replace('if (config["return_state"].truth) outputs.push_back(last);', "").replace(
        ", ...(return_state ? [last] : [])]", "]"
    )
    assert wrong != text
    example.write_text(wrong)
    ran = run_example(editable, language)
    assert ran.returncode == 1
    assert "simple_rnn-spread-sequences-state: got 1 outputs, expected 2" in ran.stdout
    (editable / OUTPUTS).unlink()
    ran = run_example(editable, language)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert OUTPUTS in ran.stderr
