"""A user's saved model: its recurrent layers, each with the numbers that it really gets.

`from_torch` and `from_onnx` make problems of a module or a model, `to_keras` the layer of a problem.
"""

from __future__ import annotations

from rnnparity.models.keras_layer import to_keras
from rnnparity.models.onnx_model import from_onnx
from rnnparity.models.torch_module import from_torch

__all__ = ["from_onnx", "from_torch", "to_keras"]
