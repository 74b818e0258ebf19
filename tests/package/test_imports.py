"""`import rnnparity` needs only NumPy, and frameworks are imported only by their own subjects."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import rnnparity
from rnnparity.subjects.registry import built_in

PACKAGE = Path(rnnparity.__file__).parent
PACKAGES = [set(registration.packages) for registration in built_in().values()]
FRAMEWORKS = set().union(*PACKAGES)
LIGHT = {
    "typer",
    "click",
    "rich",
    "pydantic",
    "filelock",
    "threadpoolctl",
    "mpmath",
    "packaging",
    "jinja2",
    "pytest",
}


def imported_by(source):
    """The top-level packages that a module imports anywhere in its text, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def declared_by(name):
    """The packages that each subject of a file needs; a file without subjects may help any.

    Only the modules that are searched for subjects can be imported without a framework.
    """
    if name.count("/") > 1:
        return []
    module = import_module("rnnparity." + name.removesuffix(".py").replace("/", "."))
    subjects = getattr(module, "SUBJECTS", ())
    return [set(subject.packages) for subject in subjects]


def misplaced(sources):
    """(file, frameworks) where a file imports frameworks other than those of one subject."""
    found = []
    for name, source in sources.items():
        frameworks = imported_by(source) & FRAMEWORKS
        allowed = []
        if frameworks and name.startswith("subjects/"):
            allowed = declared_by(name) or PACKAGES
        if frameworks and not any(frameworks <= packages for packages in allowed):
            found.append((name, sorted(frameworks)))
    return found


def test_frameworks_are_imported_only_by_their_own_subjects():
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")
    }
    assert any(imported_by(source) & FRAMEWORKS for source in sources.values())
    assert misplaced(sources) == []


def test_a_framework_imported_elsewhere_is_detected():
    sources = {
        "verdict/judge.py": "def late():\n    from keras.layers import LSTM",
        "subjects/torch.py": "import tensorflow as tf\nimport torch",
        "subjects/onnx_engines.py": "import onnx\nimport onnxruntime",
        "subjects/calls.py": "import torch\nimport openvino",
        "reference/cells.py": "import numpy as np\nfrom rnnparity.subjects import keras",
    }
    assert misplaced(sources) == [
        ("verdict/judge.py", ["keras"]),
        ("subjects/torch.py", ["tensorflow", "torch"]),
        ("subjects/calls.py", ["openvino", "torch"]),
    ]


def loaded_after(statement):
    """The top-level packages that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )


def test_importing_the_package_needs_numpy_alone():
    loaded = loaded_after(
        "from rnnparity import Problem\nimport rnnparity.verdict.judge, rnnparity.catalogue, rnnparity.reference"
    )
    assert "numpy" in loaded
    assert not loaded & (FRAMEWORKS | LIGHT)


def test_importing_something_heavier_would_be_seen():
    assert loaded_after("import rnnparity.problem.schema") & LIGHT == {"pydantic"}


def test_the_plugin_imports_nothing_heavy():
    assert not loaded_after("import rnnparity.pytest_plugin") & (
        FRAMEWORKS | LIGHT - {"pytest"} | {"numpy"}
    )


def test_the_package_itself_loads_nothing():
    assert not loaded_after("import rnnparity") & (FRAMEWORKS | LIGHT | {"numpy"})


def test_listing_the_subjects_loads_no_framework():
    loaded = loaded_after("from rnnparity.subjects import registered_names\nregistered_names()")
    assert "numpy" in loaded
    assert not loaded & FRAMEWORKS
