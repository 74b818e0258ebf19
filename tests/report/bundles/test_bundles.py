"""The bundles of the known differences: each exists and shows its difference with only the
framework."""

import ast
import os
import re
import socket
import subprocess
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

import pytest

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.format_reading import read_problem
from rnnparity.reference.tolerance import expect
from rnnparity.report.bundles.scripts import ENGINES, KERAS

FOLDER = default_folder() / "bundles"
ENTRIES = {entry.name: entry for entry in read_known(default_folder() / KNOWN)}
EVERY = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
# tests/subjects/test_tfjs.py runs those in JavaScript.
IN_PYTHON = {name: entry for name, entry in ENTRIES.items() if entry.subject != "tfjs"}
PYTHON = pytest.mark.parametrize("entry", IN_PYTHON.values(), ids=IN_PYTHON)
INSTALLED = {word for family in (KERAS | ENGINES).values() for word in family.install.split()} | {
    *("torch", "onnxscript", "flax", "ncnn", "tinygrad", "hls4ml"),
}
SHAPES = re.compile(r"^.+\[.*\]: .+? (\(.*\)), expected (\(.*\)), max error inf$", re.MULTILINE)
NUMBERS = re.compile(r"^(.+)(\[.*\]): .+ (\S+), expected (\S+), max (relative )?error (\S+)$")
# As a user runs it: without settings of these tests, and nothing of rnnparity can be imported.
ISOLATED = "import runpy, sys; sys.modules['rnnparity'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


def script_of(entry):
    return (FOLDER / entry.name / "reproduce.py").read_text("utf-8")


def needed(script):
    """The packages that a script states as needed."""
    return re.search(r"# needs: pip install (.+)", script).group(1).split()


def test_every_entry_has_a_bundle_and_every_bundle_an_entry():
    assert {folder.name for folder in FOLDER.iterdir()} == set(ENTRIES)


@EVERY
def test_bundle_holds_a_case_of_its_entry_and_a_script(entry):
    problem = read_problem(FOLDER / entry.name / "problem.json")
    assert entry.matches(problem.id)
    assert (problem.outputs or problem.gradients) is not None
    (path,) = (FOLDER / entry.name).glob("reproduce.*")
    script = path.read_text("utf-8")
    comment = re.match(r'(?:"""|/\* )(.*?)(?:"""| \*/)', script, re.DOTALL)[1]
    headline = " ".join(comment.split())
    assert headline.startswith(f"{problem.id}: {' '.join(entry.reason.split())} (")
    for package, wanted in entry.versions.items():
        assert re.search(
            rf"[(, ]{package} {','.join(sorted(map(str, wanted), reverse=True))}[,)]", headline
        )
    assert len(script.splitlines()) <= 40


@PYTHON
def test_script_in_python_compiles_and_needs_what_its_framework_needs(entry):
    script = script_of(entry)
    with warnings.catch_warnings(action="error"):
        compile(script, "reproduce.py", "exec")
    assert set(needed(script)) <= INSTALLED


@EVERY
def test_bundle_names_no_machine(entry):
    files = list((FOLDER / entry.name).iterdir())
    assert "problem.json" in {file.name for file in files}
    assert {file.name for file in files} <= {
        "problem.json",
        "reproduce.py",
        "reproduce.mjs",
        "model.onnx",
        "feeds.npz",
    }
    for file in files:
        content = file.read_bytes().decode("latin-1")
        assert not re.search(r"(?<![\w.:/])/(home|root|tmp|usr|var|work|Users)/", content)
        assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", content)
        assert "import rnnparity" not in content


def missing(entry):
    """Packages or versions of an entry that are not here."""
    for package, wanted in entry.versions.items():
        try:
            if version(package) not in wanted:
                return f"{package} {wanted}"
        except PackageNotFoundError:
            return package
    for package in needed(script_of(entry)):
        try:
            version(package)
        except PackageNotFoundError:
            if package != "tensorflow":  # the CPU build has a name of its own and the same module
                return package
    return ""


def run_isolated(entry):
    """Run a bundle's script from another folder."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KERAS", "JAX", "PYTHON"))
    }
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        ISOLATED,
        str(FOLDER / entry.name / "reproduce.py"),
    ]
    return subprocess.run(command, capture_output=True, text=True, env=clean, cwd="/", check=False)


def beyond_noise(printed, problem):
    """Whether a printed error is larger than the noise of its value."""
    expected = expect(problem)
    names = [tensor.name for tensor in problem.outputs]
    found = [NUMBERS.match(line) for line in printed.splitlines()]
    for name, index, _, value, relative, size in (match.groups() for match in found if match):
        at = tuple(ast.literal_eval(index))
        error = float(size) * (abs(float(value)) if relative else 1)
        if error > expected.dtype.threshold * expected.sigmas[names.index(name)][at]:
            return True
    return False


def seen(ran, problem):
    """The type of difference that a script has shown, "" where file and framework agree."""
    if ran.returncode:
        raised = re.search(
            r"^\w[\w.]*(Error|Exception|Argument|InvalidGraph)\b", ran.stderr, re.MULTILINE
        )
        last = re.findall(r'^  File "(.+?)"', ran.stderr, re.MULTILINE)[-1]
        return (
            "error"
            if raised and "site-packages" in last and "ImportError" not in ran.stderr
            else ""
        )
    shapes = re.search(r"^symbolic shapes: got (.+) expected (.+)$", ran.stdout, re.MULTILINE)
    if shapes:
        actual, expected = (re.findall(r"None|\d+", text) for text in shapes.groups())
        return "fact" if actual != expected else ""
    counts = re.search(r"^outputs: got (\d+) expected (\d+)$", ran.stdout, re.MULTILINE)
    if counts:
        return "count" if counts.group(1) != counts.group(2) else ""
    if any(actual != expected for actual, expected in SHAPES.findall(ran.stdout)):
        return "shape"
    dtypes = re.findall(r"^\S+: got dtype (\w+), expected (\w+)$", ran.stdout, re.MULTILINE)
    if any(actual != expected for actual, expected in dtypes):
        return "dtype"
    return "values" if beyond_noise(ran.stdout, problem) else ""


@pytest.mark.slow
@PYTHON
def test_script_shows_the_difference(entry):
    if missing(entry):
        pytest.skip(f"{missing(entry)} is not installed")
    ran = run_isolated(entry)
    kind = seen(ran, read_problem(FOLDER / entry.name / "problem.json"))
    assert kind in entry.kinds, ran.stdout + ran.stderr


def test_script_that_shows_nothing_is_detected():
    """Noise, equal shapes, counts and dtypes, and a script that is itself broken."""
    problem = read_problem(FOLDER / "zero-output-without-sequences" / "problem.json")

    def shown(stdout="", stderr="", status=0):
        return seen(subprocess.CompletedProcess([], status, stdout, stderr), problem)

    line = "output[1, 0]: Keras 0.2, expected 0.1, max error {}\n"
    noise = expect(problem).sigmas[0][1, 0]
    assert shown() == ""
    assert shown(line.format(noise)) == ""
    assert shown(line.format(100 * noise)) == "values"
    relative = line.replace("error", "relative error")
    assert shown(relative.format(10 * noise)) == ""
    assert shown(relative.format(1000 * noise)) == "values"
    shapes = "symbolic shapes: got (TensorShape([None, 3]),) expected [(None, {})]\n"
    assert (shown(shapes.format(3)), shown(shapes.format(6))) == ("", "fact")
    counts = "outputs: got {} expected 4\n"
    assert (shown(counts.format(4)), shown(counts.format(3))) == ("", "count")
    shapes = "output[0]: the engine {}, expected (2, 3), max error inf\n"
    assert (shown(shapes.format("(2, 3)")), shown(shapes.format("(3,)"))) == ("", "shape")
    dtypes = "output: got dtype float{}, expected float32\n"
    assert (shown(dtypes.format(32)), shown(dtypes.format(16))) == ("", "dtype")
    trace = 'Traceback:\n  File "{}", line 3\nKeyError: 3\n'
    assert shown(stderr=trace.format("reproduce.py"), status=1) == ""
    assert shown(stderr=trace.format("/x/site-packages/keras/rnn.py"), status=1) == "error"
