"""Keras on NumPy, which takes some of its operations from JAX."""

from __future__ import annotations

import numpy as np

from rnnparity.subjects.keras_backend import Backend
from rnnparity.subjects.keras_subject import backend_subjects


class Numpy(Backend):
    """Keras on NumPy."""

    keras_backend = "numpy"
    subject = "keras-numpy"

    def versions(self) -> dict[str, str]:
        return super().versions() | {"numpy": np.__version__}


SUBJECTS = backend_subjects(
    Numpy,
    title="Keras on NumPy",
    paths={"eager": "eager", "unroll": "unroll=True"},
    packages=("keras", "jax"),
    rank=13,
)
