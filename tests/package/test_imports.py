"""Two walls of the house: `import rnnparity` needs NumPy alone, and frameworks stay in their own
subject's file."""

import ast
import subprocess
import sys
from pathlib import Path

import rnnparity

PACKAGE = Path(rnnparity.__file__).parent
FRAMEWORKS = {
    "tensorflow",
    "keras",
    "torch",
    "jax",
    "onnx",
    "onnxruntime",
    "openvino",
    "tf_keras",
    "ai_edge_litert",
}
HOMES = {
    "subjects/backends.py": {"tensorflow", "keras", "jax", "torch", "openvino"},
    "subjects/litert.py": {"tensorflow", "ai_edge_litert"},
    "subjects/onnx_graph.py": {"onnx"},
    "subjects/tf_keras.py": {"tf_keras"},
    "subjects/torch.py": {"torch"},
}
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


def strangers(sources):
    """Where a framework is imported outside of its home: (file, framework) pairs."""
    return [
        (name, framework)
        for name, source in sources.items()
        for framework in sorted(imported_by(source) & FRAMEWORKS - HOMES.get(name, set()))
    ]


def test_frameworks_are_imported_in_their_own_file_alone():
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")
    }
    assert len(sources) > 30
    assert strangers(sources) == []


def test_a_framework_elsewhere_would_be_seen():
    sources = {
        "judge.py": "def late():\n    from keras.layers import LSTM",
        "subjects/torch.py": "import tensorflow as tf\nimport torch",
        "cells.py": "import numpy as np\nfrom rnnparity.subjects import keras",
    }
    assert strangers(sources) == [("judge.py", "keras"), ("subjects/torch.py", "tensorflow")]


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
