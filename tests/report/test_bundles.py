"""The bundles of the known differences: each there, each showing its difference with the framework
alone."""

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
from rnnparity.problem import file_format as wire
from rnnparity.reference.tolerance import expect
from rnnparity.report.scripts import ENGINES, KERAS

FOLDER = default_folder() / "bundles"
ENTRIES = {entry.name: entry for entry in read_known(default_folder() / KNOWN)}
BOTH = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
INSTALLED = {word for family in (KERAS | ENGINES).values() for word in family.install.split()} | {
    "torch",
    "onnxscript",
}
SHAPES = re.compile(
    r"^.+\[.*\]: should be (\(.*\)), in .+? (\(.*\)), largest difference inf$", re.MULTILINE
)
NUMBERS = re.compile(
    r"^(.+)(\[.*\]): should be (\S+), in .+ \S+, largest (relative )?difference (\S+)$"
)
# As a user has it: no settings of ours, and nothing of rnnparity can be imported.
ALONE = "import runpy, sys; sys.modules['rnnparity'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


def script_of(entry):
    return (FOLDER / entry.name / "reproduce.py").read_text("utf-8")


def needed(script):
    """The packages that a script says it needs."""
    return re.search(r"# needs: pip install (.+)", script).group(1).split()


def test_every_entry_has_a_bundle_and_every_bundle_an_entry():
    assert {folder.name for folder in FOLDER.iterdir()} == set(ENTRIES)


@BOTH
def test_a_bundle_holds_a_case_of_its_entry_and_a_script(entry):
    problem = wire.read_problem(FOLDER / entry.name / "problem.json")
    assert entry.matches(problem.id)
    assert problem.outputs is not None
    script = script_of(entry)
    with warnings.catch_warnings(action="error"):
        compile(script, "reproduce.py", "exec")
    says = " ".join(ast.get_docstring(ast.parse(script)).split())
    assert says.startswith(f"{problem.id}: {' '.join(entry.reason.split())} (")
    for package, wanted in entry.versions.items():
        assert re.search(
            rf"[(, ]{package} {','.join(sorted(map(str, wanted), reverse=True))}[,)]", says
        )
    assert set(needed(script)) <= INSTALLED
    assert len(script.splitlines()) <= 32


@BOTH
def test_a_bundle_says_nothing_of_who_wrote_it(entry):
    files = list((FOLDER / entry.name).iterdir())
    assert {"problem.json", "reproduce.py"} <= {file.name for file in files}
    assert {file.name for file in files} <= {
        "problem.json",
        "reproduce.py",
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


def run_alone(entry):
    """What a bundle's script prints and raises, from another folder than its own."""
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
        ALONE,
        str(FOLDER / entry.name / "reproduce.py"),
    ]
    return subprocess.run(command, capture_output=True, text=True, env=clean, cwd="/", check=False)


def beyond_noise(printed, problem):
    """Whether one of the printed differences is larger than rounding can make it at its place."""
    expected = expect(problem)
    names = [tensor.name for tensor in problem.outputs]
    found = [NUMBERS.match(line) for line in printed.splitlines()]
    for name, place, given, relative, size in (match.groups() for match in found if match):
        at = tuple(ast.literal_eval(place))
        off = float(size) * (abs(float(given)) if relative else 1)
        if off > expected.kind.threshold * expected.sigmas[names.index(name)][at]:
            return True
    return False


def seen(ran, problem):
    """The kind of difference that a script has shown, or "": the file and the framework agree."""
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
    shapes = re.search(r"^symbolic shapes: (.+) but should be (.+)$", ran.stdout, re.MULTILINE)
    if shapes:
        said, right = (re.findall(r"None|\d+", text) for text in shapes.groups())
        return "fact" if said != right else ""
    counts = re.search(r"^(\d+) outputs in the file, (\d+) computed$", ran.stdout, re.MULTILINE)
    if counts:
        return "count" if counts.group(1) != counts.group(2) else ""
    if any(given != right for given, right in SHAPES.findall(ran.stdout)):
        return "shape"
    types = re.findall(r"^\S+ should be (\w+) and is (\w+)$", ran.stdout, re.MULTILINE)
    if any(right != found for right, found in types):
        return "dtype"
    return "values" if beyond_noise(ran.stdout, problem) else ""


@pytest.mark.slow
@BOTH
def test_a_script_shows_the_difference(entry):
    if missing(entry):
        pytest.skip(f"{missing(entry)} is not installed")
    ran = run_alone(entry)
    kind = seen(ran, wire.read_problem(FOLDER / entry.name / "problem.json"))
    assert kind in entry.kinds, ran.stdout + ran.stderr


def test_a_script_that_shows_nothing_is_seen():
    """What the test above would miss: noise, equal shapes, counts and types, and a script that
    itself is broken."""
    problem = wire.read_problem(FOLDER / "zero-output-without-sequences" / "problem.json")

    def ended(stdout="", stderr="", status=0):
        return seen(subprocess.CompletedProcess([], status, stdout, stderr), problem)

    line = "output[1, 0]: should be 0.1, in Keras 0.2, largest difference {}\n"
    noise = expect(problem).sigmas[0][1, 0]
    assert (ended(line.format(noise)), ended(line.format(100 * noise)), ended()) == (
        "",
        "values",
        "",
    )
    relative = line.replace("difference", "relative difference")
    assert (ended(relative.format(10 * noise)), ended(relative.format(1000 * noise))) == (
        "",
        "values",
    )
    shapes = "symbolic shapes: (TensorShape([None, 3]),) but should be [(None, {})]\n"
    assert (ended(shapes.format(3)), ended(shapes.format(6))) == ("", "fact")
    counts = "4 outputs in the file, {} computed\n"
    assert (ended(counts.format(4)), ended(counts.format(3))) == ("", "count")
    shapes = "output[0]: should be (2, 3), in it {}, largest difference inf\n"
    assert (ended(shapes.format("(2, 3)")), ended(shapes.format("(3,)"))) == ("", "shape")
    types = "output should be float32 and is float{}\n"
    assert (ended(types.format(32)), ended(types.format(16))) == ("", "dtype")
    trace = 'Traceback:\n  File "{}", line 3\nKeyError: 3\n'
    assert ended(stderr=trace.format("reproduce.py"), status=1) == ""
    assert ended(stderr=trace.format("/x/site-packages/keras/rnn.py"), status=1) == "error"
