"""Fixtures of frameworks that a test imports in its own process."""

import pytest

from rnnparity.subjects import make_subject


@pytest.fixture(scope="module")
def keras():
    """Keras on TensorFlow."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return make_subject("keras").keras
