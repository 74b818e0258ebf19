"""Keras on PyTorch; its device is chosen before Keras is imported."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from rnnparity.subjects.declarations import GPU_PATHS, MissingFrameworkError
from rnnparity.subjects.keras_backend import (
    Backend,
    Context,
    GradientCall,
    KerasModel,
    KerasTensor,
    LayerCall,
)
from rnnparity.subjects.keras_layers import flat
from rnnparity.subjects.keras_subject import backend_subjects


class Torch(Backend):
    """Keras on PyTorch."""

    keras_backend = "torch"
    subject = "keras-torch"

    def start(self) -> None:
        needs_gpu = self.path in GPU_PATHS
        os.environ["KERAS_TORCH_DEVICE"] = "cuda" if needs_gpu else "cpu"
        import torch

        if needs_gpu and not torch.cuda.is_available():
            raise MissingFrameworkError(
                self.name, "an NVIDIA GPU or PyTorch's CUDA build is missing"
            )
        torch.backends.cuda.matmul.allow_tf32 = self.path == "tf32"
        torch.backends.cudnn.allow_tf32 = self.path == "tf32"
        torch.set_num_threads(1)
        self.torch = torch

    def versions(self) -> dict[str, str]:
        return super().versions() | {"torch": str(self.torch.__version__)}

    def gradient_call(self, model: KerasModel, call: LayerCall) -> GradientCall:
        def run(
            x: KerasTensor,
            mask: KerasTensor | None,
            states: Sequence[KerasTensor] | None,
            cotangents: Sequence[KerasTensor],
        ) -> Sequence[KerasTensor | None]:
            weights = [variable.value for variable in model.trainable_weights]
            with self.torch.enable_grad():
                for tensor in (x, *(states or ())):
                    tensor.requires_grad_()
                outputs = flat(call(x, mask, states))
                sources = [x, *weights, *(states or ())]
                gradients: Sequence[KerasTensor | None] = self.torch.autograd.grad(
                    outputs, sources, cotangents, allow_unused=True
                )
            return gradients

        return run

    def context(self, dtypes: Collection[str]) -> Context:
        """Record nothing for gradients; `gradient_call` does where they are asked for."""
        del dtypes
        context: Context = self.torch.no_grad()
        return context


SUBJECTS = backend_subjects(
    Torch,
    title="Keras on PyTorch",
    paths={"eager": "eager", "unroll": "unroll=True", **GPU_PATHS},
    packages=("keras", "torch"),
    rank=12,
)
