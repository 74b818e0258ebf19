"""Keras on JAX, eager and under jax.jit.

Every eager scan is compiled again, so JAX' own cache of compiled code is switched on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rnnparity.subjects.declarations import GPU_PATHS, MissingFrameworkError
from rnnparity.subjects.keras_backend import (
    Backend,
    Context,
    GradientCall,
    KerasModel,
    KerasTensor,
    LayerCall,
)
from rnnparity.subjects.keras_layers import flat, kept_states
from rnnparity.subjects.keras_subject import backend_subjects

CACHE_BYTES = 2**28


class Jax(Backend):
    """Keras on JAX."""

    keras_backend = "jax"
    subject = "keras-jax"
    # Each is kept with the code that was compiled for it.
    max_models = 25

    def start(self) -> None:
        needs_gpu = self.path in GPU_PATHS
        os.environ["JAX_PLATFORMS"] = "cuda" if needs_gpu else "cpu"
        import jax

        self.jax = jax
        configure: Callable[[str, object], None] = jax.config.update
        if needs_gpu:
            self._check_gpu()
            precision = "highest" if self.path == "cuda" else "tensorfloat32"
            configure("jax_default_matmul_precision", precision)
        if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
            caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            configure("jax_compilation_cache_dir", str(caches / "rnnparity" / "jax"))
        configure("jax_persistent_cache_min_compile_time_secs", 0)
        configure("jax_persistent_cache_min_entry_size_bytes", -1)
        configure("jax_compilation_cache_max_size", CACHE_BYTES)

    def _check_gpu(self) -> None:
        try:
            self.jax.devices()
        except (RuntimeError, AssertionError):
            # There is no device, or JAX is not built for CUDA, which it reports by an assertion.
            raise MissingFrameworkError(
                self.name,
                "an NVIDIA GPU or JAX' CUDA build is missing; run pip install 'jax[cuda13]'",
            ) from None

    def versions(self) -> dict[str, str]:
        return super().versions() | {"jax": self.jax.__version__}

    def compiled(self, model: KerasModel, call: LayerCall) -> LayerCall:
        """Return the call under jax.jit, where a function keeps nothing.

        Weights and kept states are passed in, and the new states come out.
        """
        states = kept_states(model)
        variables = [*model.trainable_variables, *states]

        def pure(
            values: Sequence[KerasTensor],
            x: KerasTensor,
            mask: KerasTensor | None,
            initial_state: Sequence[KerasTensor] | None,
        ) -> tuple[object, list[KerasTensor]]:
            mapping = list(zip(variables, values, strict=True))
            with self.keras.StatelessScope(mapping) as scope:
                outputs = call(x, mask, initial_state)
            return outputs, [scope.get_current_value(state) for state in states]

        traced = self.jax.jit(pure)

        def run(
            x: KerasTensor, mask: KerasTensor | None, initial_state: Sequence[KerasTensor] | None
        ) -> object:
            values = [variable.value for variable in variables]
            outputs, new_values = traced(values, x, mask, initial_state)
            for state, value in zip(states, new_values, strict=True):
                state.assign(value)
            return outputs

        return run

    def gradient_call(self, model: KerasModel, call: LayerCall) -> GradientCall:
        variables = model.trainable_variables

        def back(
            values: Sequence[KerasTensor],
            x: KerasTensor,
            mask: KerasTensor | None,
            states: Sequence[KerasTensor] | None,
            cotangents: Sequence[KerasTensor],
        ) -> Sequence[KerasTensor]:
            def forward(*sources: Any) -> list[KerasTensor]:
                x, values, states = sources
                with self.keras.StatelessScope(list(zip(variables, values, strict=True))):
                    return flat(call(x, mask, states))

            _, vjp = self.jax.vjp(forward, x, values, states)
            x_bar, weights, starts = vjp(list(cotangents))
            return [x_bar, *weights, *(starts or ())]

        traced = self.jax.jit(back) if self.path == "jit" else back
        return lambda *arguments: traced([v.value for v in variables], *arguments)

    def context(self, dtypes: Collection[str]) -> Context:
        """Switch float64 on where a layer has it; JAX computes in float32 otherwise."""
        if "float64" not in dtypes:
            return nullcontext()
        context: Context = self.jax.enable_x64(True)
        return context

    def forget(self) -> None:
        super().forget()
        self.jax.clear_caches()


SUBJECTS = backend_subjects(
    Jax,
    title="Keras on JAX",
    paths={"eager": "eager", "unroll": "unroll=True", "jit": "jax.jit", **GPU_PATHS},
    packages=("keras", "jax"),
    rank=11,
)
