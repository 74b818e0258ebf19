"""Keras on OpenVINO: a layer's outputs are nodes of a graph, compiled once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.subjects.keras_backend import Backend, KerasTensor
from rnnparity.subjects.keras_subject import backend_subjects

# Computing in float32 is Keras' own setting.
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


class OpenVino(Backend):
    """Keras on OpenVINO."""

    keras_backend = "openvino"
    subject = "keras-openvino"

    def start(self) -> None:
        import openvino

        self.openvino = openvino
        self.core = openvino.Core()
        self.core.set_property("CPU", SETTINGS)

    def versions(self) -> dict[str, str]:
        return super().versions() | {"openvino": self.openvino.__version__.split("-")[0]}

    def arrays(self, tensors: Sequence[KerasTensor]) -> list[Array]:
        """Compute all tensors by one model; Keras would compile one a tensor, each with the rest."""
        model = self.openvino.Model([tensor.output for tensor in tensors], [])
        results = self.core.compile_model(model, "CPU")({})
        arrays = []
        for index, tensor in enumerate(tensors):
            array = np.array(results[index])
            if self.keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
                # OpenVINO returns its bits as another type of 16 bits.
                array = array.view(FLOAT_TYPES["bfloat16"].storage)
            arrays.append(array)
        return arrays


SUBJECTS = backend_subjects(
    OpenVino,
    title="Keras on OpenVINO",
    paths={"eager": "eager", "unroll": "unroll=True"},
    packages=("keras", "openvino"),
    rank=14,
)
