"""What every test of the project shares: numeric libraries on one thread, TensorFlow quiet, before
either is loaded."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

BENCHMARKS = Path(__file__).parent / "tests" / "benchmarks"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Benchmarks are timed, not tested: they run where they are named."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    unasked = collection_path == BENCHMARKS and not any(
        path.is_relative_to(BENCHMARKS) for path in named
    )
    return True if unasked else None
