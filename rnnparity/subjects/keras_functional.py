"""Functional models around a layer: for `predict` and `fit`, and to save and load it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Stack
from rnnparity.problem.problem import Problem
from rnnparity.subjects.calls import Call
from rnnparity.subjects.keras_backend import KerasModel, KerasModule
from rnnparity.subjects.keras_layers import apply, reset_states


class FunctionalModels:
    """Makes functional models, and keeps those for `predict`."""

    def __init__(self, keras: KerasModule) -> None:
        self.keras = keras
        self.models: dict[str, KerasModel] = {}

    def clear(self) -> None:
        """Forget all models."""
        self.models.clear()

    def predict(self, model: KerasModel, key: str, call: Call) -> object:
        """Return the outputs of a call by the method `predict`; `key` names the layer `model`."""
        arguments = _arrays_of(call)
        # The calls of a stateful run have different shapes, and only the first has states.
        key = f"{key} {[argument.shape for argument in arguments]} {call.mask is None}"
        if key not in self.models:
            self.models[key] = self._functional(model, arguments, call.mask is not None)
        with self._floatx_of(arguments):
            return self.models[key].predict(arguments, verbose=0, batch_size=len(call.inputs))

    def fit(
        self, model: KerasModel, call: Call, step: TrainingStep, options: Mapping[str, bool]
    ) -> None:
        """Train a layer for one step, on all rows in their order; `options` are of `compile`."""
        arguments = _arrays_of(call)
        targets = [target.data for target in step.targets]
        functional = self._functional(model, arguments, call.mask is not None)
        with self._floatx_of([*arguments, *targets]):
            functional.compile(
                optimizer=self.keras.optimizers.SGD(step.lr),
                loss=["mean_squared_error" for _ in targets],
                **options,
            )
            functional.fit(
                arguments, targets, batch_size=len(call.inputs), epochs=1, shuffle=False, verbose=0
            )

    @contextmanager
    def _floatx_of(self, arrays: Sequence[Array]) -> Iterator[None]:
        """Make float64 Keras' default float type, to which it casts arrays, where one has it."""
        config = self.keras.config
        floatx = config.floatx()
        if any(array.dtype == np.float64 for array in arrays):
            config.set_floatx("float64")
        try:
            yield
        finally:
            config.set_floatx(floatx)

    def _functional(
        self, model: KerasModel, arguments: Sequence[Array], has_mask: bool
    ) -> KerasModel:
        inputs = [
            self.keras.Input(batch_shape=array.shape, dtype=array.dtype.name) for array in arguments
        ]
        x, *states = inputs
        mask = states.pop(0) if has_mask else None
        return self.keras.Model(inputs, apply(model, x, mask, states or None))


def _arrays_of(call: Call) -> list[Array]:
    """Return the arguments of a call that it has: inputs, mask, initial states."""
    mask = () if call.mask is None else (call.mask,)
    return [call.inputs, *mask, *(call.initial_state or ())]


def reloaded(keras: KerasModule, problem: Problem, model: KerasModel) -> KerasModel:
    """Return a layer, or a stack's Sequential, as it is after it was saved and loaded."""
    is_stack = isinstance(problem.layer, Stack)
    whole = model
    if not is_stack:
        batch, _, features = problem.inputs.shape
        shape = (batch if problem.layer.stateful else None, None, features)
        inputs = keras.Input(batch_shape=shape, dtype=problem.inputs.dtype)
        whole = keras.Model(inputs, model(inputs))
        if problem.layer.stateful:
            reset_states(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        whole.save(path)
        loaded = keras.models.load_model(path)
    return loaded if is_stack else loaded.layers[-1]
