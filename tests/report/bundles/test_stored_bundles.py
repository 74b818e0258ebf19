"""The bundles in fixtures/: each has a script that needs one framework only, and shows its difference."""

import ast
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.format_reading import read_problem
from rnnparity.report.bundles.known import BUNDLES, version_ranges

ENTRIES = {entry.name: entry for entry in read_known(default_folder() / KNOWN)}
# What a script may import beside Python's own modules: NumPy, and modules of the packages that it names.
MODULES = {
    "tensorflow": {"tensorflow", "keras"},
    "keras": {"keras"},
    "jax": {"jax"},
    "torch": {"torch"},
    "onnxscript": set(),  # torch.onnx imports it
    "openvino": {"openvino"},
    "tf-keras": {"tensorflow", "tf_keras"},
    "flax": {"flax", "jax"},
    "onnx": {"onnx"},
    "onnxruntime": {"onnxruntime"},
    "opencv-python-headless": {"cv2"},
    "tract": {"tract"},
    "ncnn": {"ncnn"},
    "tinygrad": {"tinygrad"},
    "hls4ml": {"hls4ml"},
}
NEEDS = re.compile(r"needs: pip install (.+)")


@pytest.fixture(params=ENTRIES)
def entry(request):
    return ENTRIES[request.param]


def folder_of(entry):
    return default_folder() / BUNDLES / entry.name


def script_of(entry):
    (script,) = folder_of(entry).glob("reproduce.*")
    return script


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module.partition(".")[0]


def test_every_entry_has_a_bundle_and_every_bundle_an_entry():
    assert {path.name for path in (default_folder() / BUNDLES).iterdir()} == set(ENTRIES)


def test_a_stored_script_names_versions_and_imports_its_framework_only(entry):
    script = script_of(entry)
    text = script.read_text()
    assert "rnnparity" not in text
    assert version_ranges(entry) in " ".join(text.split())
    problem = read_problem(folder_of(entry) / "problem.json")
    assert problem.gradients if entry.gradients else problem.outputs
    if script.suffix == ".py":
        needed = NEEDS.search(text)[1].split()
        allowed = {"numpy", *sys.stdlib_module_names}.union(*(MODULES[name] for name in needed))
        tree = ast.parse(text)
        compile(tree, str(script), "exec")
        assert set(imported(tree)) <= allowed


def shown_differences(problem, lines):
    """Yield the lines that show another count, type, shape or value than expected."""
    tensors = problem.get("outputs") or problem["gradients"]
    dtypes = {tensor["name"]: tensor["dtype"] for tensor in tensors}
    for line in lines:
        if words := re.search(r"got (?:dtype )?(.+?),? expected (?:dtype )?(.+)", line):
            if words[1] != words[2]:
                yield line
        elif words := re.search(r"max (?:relative )?error (\S+)$", line):
            name = line.removeprefix("gradient of ").partition("[")[0]
            if float(words[1]) > 16 * FLOAT_TYPES[dtypes[name]].u:
                yield line


@pytest.mark.slow
def test_a_stored_script_shows_its_difference(entry, tmp_path):
    script = script_of(entry)
    if script.suffix != ".py":
        pytest.skip("tests/subjects/test_tfjs.py runs it")
    modules = set(imported(ast.parse(script.read_text()))) - set(sys.stdlib_module_names)
    for module in sorted(modules):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    copy = shutil.copytree(folder_of(entry), tmp_path / entry.name)
    ran = subprocess.run(
        [sys.executable, script.name], cwd=copy, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        assert {"error", "fact"} & set(entry.kinds), ran.stderr[-1000:]
        assert "Traceback" in ran.stderr
        assert not re.search(r"^(ModuleNotFound|Import|Syntax|Name)Error", ran.stderr, re.MULTILINE)
        assert not entry.messages or any(message in ran.stderr for message in entry.messages)
        return
    problem = json.loads((copy / "problem.json").read_text())
    assert list(shown_differences(problem, ran.stdout.splitlines())), ran.stdout


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("output[0]: Keras 0.5, expected 0.5, max error 2.98e-08", False),
        ("output[0]: Keras 0.5, expected 0.6, max error 0.1", True),
        ("gradient of output[0]: Keras 1, expected 2, max error inf", True),
        ("output: got dtype float32, expected float32", False),
        ("output: got dtype float32, expected dtype float64", True),
        ("outputs: got 2 expected 3", True),
    ],
)
def test_lines_that_show_a_difference(line, shown):
    problem = {"outputs": [{"name": "output", "dtype": "float32"}]}
    assert bool(list(shown_differences(problem, [line]))) == shown
