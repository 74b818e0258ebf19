"""Keras: the real layers on each of its backends, and on every path that claims to give the same
numbers.

Layers of one configuration are reused: a new layer a case costs twice the time and leaks some 147
kB.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects.backends import BACKENDS, Backend

# Paths that compile a call; the others run it step by step.
COMPILED = ("graph", "xla", "jit")


def make(argument: str) -> Subject:
    """Keras on a backend by one of its paths: "tensorflow eager", "jax jit", ...; a path alone is
    tf.keras'.

    Raises:
        RequestError: the framework is missing or too old.
    """
    *backend, path = argument.split()
    return KerasSubject(BACKENDS[backend[0] if backend else "tensorflow"](path), path)


class KerasSubject:
    """One path through Keras; models are kept by configuration, traced functions by model."""

    def __init__(self, backend: Backend, path: str) -> None:
        self.backend, self.keras, self.path = backend, backend.keras, path
        self.models: dict[str, Any] = {}
        self.callers: dict[str, Any] = {}  # traced functions, and models for predict
        self.activations = backend.activations()

    def versions(self) -> dict[str, str]:
        return self.backend.versions()

    def forget(self) -> None:
        """Drop every model and traced function: for runs over ever new layers."""
        self.models.clear()
        self.callers.clear()
        self.backend.forget()

    def answer(self, problem: Problem) -> Answer:
        if self.path == "implementation1" and not _has_implementation(problem.layer):
            raise Unsupported("SimpleRNN has no argument implementation")
        if len(self.models) >= self.backend.kept:
            self.forget()
        start = perf_counter()
        with self.backend.doing([half.dtype for _, half in halves(problem.layer)]):
            model = self.model_of(problem)
            outputs = self._run(problem, model, self._key(problem))
            facts = self._facts(problem, model)
        return Answer(outputs, facts, perf_counter() - start)

    # -------------------------------------------------------------------------------------------
    # building

    def model_of(self, problem: Problem) -> Any:
        """A built layer, or a Sequential for a stack, with the problem's weights and without a
        state from before."""
        key = self._key(problem)
        if key not in self.models:
            self.models[key] = self._build(problem)
        model = self.models[key]
        if _initializers(problem) is None:
            _all_layers_set_weights(model, [tensor.data for tensor in problem.weights])
        if problem.layer.stateful:
            _reset(model)
        return model

    def _key(self, problem: Problem) -> str:
        """What a built model depends on, the numbers of constant initializers included."""
        return json.dumps(
            [layer_spec(problem.layer), _batch_shape(problem), _initializers(problem)], default=dict
        )

    def _build(self, problem: Problem) -> Any:
        """A built layer, or a Sequential for a stack."""
        shape, initializers = _batch_shape(problem), _initializers(problem)
        if isinstance(problem.layer, Stack):
            layers = [self._layer(inner, initializers) for inner in problem.layer.layers]
            if self.path == "unroll":  # which needs to know the number of steps when it is built
                shape = [shape[0], problem.inputs.shape[1], shape[2]]
            return self.keras.Sequential([self.keras.Input(batch_shape=shape), *layers])
        layer = self._layer(problem.layer, initializers)
        layer.build(tuple(shape))
        return layer

    def _layer(
        self, layer: Recurrent | Bidirectional, initializers: Mapping[str, Any] | None
    ) -> Any:
        if isinstance(layer, Recurrent):
            return self._recurrent(layer, initializers)
        forward = self._recurrent(layer.forward, initializers)
        backward = self._recurrent(layer.backward, initializers)
        mirrored = "backward_layer" not in layer_spec(layer)["config"]
        made = self.keras.layers.Bidirectional(
            forward,
            merge_mode=layer.merge_mode,
            dtype=layer.dtype,
            **({} if mirrored else {"backward_layer": backward}),
        )
        if (
            self.path == "implementation1"
        ):  # Bidirectional copies its layer by get_config, which leaves this out
            for half in (made.forward_layer, made.backward_layer):
                half.cell.implementation = 1
        return made

    def _recurrent(self, layer: Recurrent, initializers: Mapping[str, Any] | None) -> Any:
        return getattr(self.keras.layers, layer.class_name)(**self._words(layer, initializers))

    def _words(self, layer: Recurrent, initializers: Mapping[str, Any] | None) -> dict[str, Any]:
        """The arguments of one recurrent layer."""
        config = dict(layer_spec(layer)["config"])
        for argument in ("activation", "recurrent_activation"):
            if config.get(argument) in self.activations:
                config[argument] = self.activations[config[argument]]
        if self.path == "unroll":
            config["unroll"] = True
        if self.path == "implementation1" and layer.cell.gated:
            config["implementation"] = 1
        if initializers is not None:
            constant = self.keras.initializers.Constant
            config["kernel_initializer"] = constant(initializers["kernel"])
            config["recurrent_initializer"] = constant(initializers["recurrent_kernel"])
            config["bias_initializer"] = constant(initializers["bias"])
            if layer.cell.initial_ones:
                config["unit_forget_bias"] = initializers["unit_forget_bias"]
        else:  # the default orthogonal one does not exist in bfloat16
            config["recurrent_initializer"] = "zeros"
        return config

    # --------------------------------------------------------------------------------------------
    # running

    def _run(self, problem: Problem, model: Any, key: str) -> tuple[Tensor, ...]:
        if self.path == "reloaded":
            model = self._reloaded(problem, model)
        states = self._states(problem)
        x, calls, start = problem.inputs.data, [], 0
        for steps in problem.steps:
            span = slice(start, start + steps)
            mask = None if problem.mask is None else problem.mask[:, span]
            calls.append(self._call(model, key, x[:, span], mask, states))
            start, states = start + steps, None
        outputs = list(calls[-1])
        names = _names(problem, len(outputs))
        if len(calls) > 1 and problem.layer.return_sequences:
            for place, name in enumerate(names):
                if name.endswith("output"):
                    joined = np.concatenate([call[place].data for call in calls], axis=1)
                    outputs[place] = Tensor(name, joined)
        return tuple(Tensor(name, output.data) for name, output in zip(names, outputs, strict=True))

    def _states(self, problem: Problem) -> list[Array] | None:
        return (
            None
            if problem.initial_state is None
            else [tensor.data for tensor in problem.initial_state]
        )

    def _call(
        self, model: Any, key: str, x: Any, mask: Any, states: list[Any] | None
    ) -> list[Tensor]:
        if self.path == "predict":
            return [
                Tensor("", array) for array in _flat(self._predict(model, key, x, mask, states))
            ]
        convert = self.backend.tensor
        arguments = [
            convert(x),
            None if mask is None else convert(mask),
            None if states is None else [convert(state) for state in states],
        ]

        def call(x: Any, mask: Any, states: Any) -> Any:
            return apply(model, x, mask, states)

        if self.path in COMPILED and key not in self.callers:
            self.callers[key] = self.backend.compiled(model, call)
        found = self.backend.arrays(_flat(self.callers.get(key, call)(*arguments)))
        return [Tensor("", array) for array in found]

    def _predict(self, model: Any, key: str, x: Any, mask: Any, states: list[Any] | None) -> Any:
        inputs = [x, *([] if mask is None else [mask]), *(states or [])]
        kinds = f"{key} {x.shape} {mask is None} {states is None}"
        if kinds not in self.callers:
            places = [
                self.keras.Input(
                    batch_shape=value.shape,
                    dtype="bool" if value.dtype == bool else value.dtype.name,
                )
                for value in inputs
            ]
            rest = places[1:]
            symbolic_mask = rest.pop(0) if mask is not None else None
            outputs = apply(model, places[0], symbolic_mask, rest or None)
            self.callers[kinds] = self.keras.Model(places, outputs)
        return self.callers[kinds].predict(inputs, verbose=0, batch_size=len(x))

    def _reloaded(self, problem: Problem, model: Any) -> Any:
        batch, _, features = problem.inputs.shape
        whole = model
        if not isinstance(problem.layer, Stack):
            place = self.keras.Input(
                batch_shape=(batch if problem.layer.stateful else None, None, features)
            )
            whole = self.keras.Model(place, model(place))
            if problem.layer.stateful:
                _reset(model)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            whole.save(path)
            loaded = self.keras.models.load_model(path)
        return loaded if isinstance(problem.layer, Stack) else loaded.layers[-1]

    # ----------------------------------------------------------------------------------------------
    # facts

    def _facts(self, problem: Problem, model: Any) -> dict[str, Any]:
        """What Keras states without computing: parameters, symbolic shapes, the rows of the
        summary."""
        expect = problem.case.expect if problem.case else {}
        facts: dict[str, Any] = {"parameters": model.count_params()}
        facts["symbolic"] = _shape_list(
            model.compute_output_shape((None, None, problem.inputs.shape[-1]))
        )
        if "summary" in expect:
            facts["summary"] = _summary_rows(model)
        return facts


def _initializers(problem: Problem) -> Mapping[str, Any] | None:
    return problem.case.initializers if problem.case else None


def _batch_shape(problem: Problem) -> list[int | None]:
    """What the layer is built for: the case's own words, else B where a stateful layer needs it, T
    unknown, D."""
    fixed = problem.inputs.shape[0] if problem.layer.stateful else None
    said = problem.case.expect if problem.case else {}
    return list(said.get("batch_shape", [fixed, None, problem.inputs.shape[-1]]))


def apply(model: Any, x: Any, mask: Any, states: Any) -> Any:
    """Call a layer, or a Sequential; only its layers one by one can be given initial states."""
    if not hasattr(model, "layers"):
        return model(x, mask=mask, initial_state=states)
    if states is None:
        return model(x, mask=mask)
    left = list(states)
    for layer in model.layers:
        count = _state_count(layer)
        x = layer(x, mask=mask, initial_state=left[:count])
        left = left[count:]
    return x


def _state_count(layer: Any) -> int:
    halves = (
        (layer.forward_layer, layer.backward_layer) if hasattr(layer, "forward_layer") else (layer,)
    )
    return sum(
        np.size(half.cell.state_size) for half in halves
    )  # Keras 2 has a bare number where there is one state


def _all_layers_set_weights(model: Any, arrays: list[Any]) -> None:
    """`set_weights` takes the trainable weights alone: states of stateful layers are no part of
    them."""
    for variable, array in zip(model.trainable_weights, arrays, strict=True):
        variable.assign(array)


def _reset(model: Any) -> None:
    for layer in getattr(model, "layers", [model]):
        if getattr(layer, "stateful", False):
            (
                layer.reset_state if hasattr(layer, "reset_state") else layer.reset_states
            )()  # Keras 3, Keras 2


def _has_implementation(layer: Layer) -> bool:
    if isinstance(layer, Recurrent):
        return layer.cell.gated
    inner = layer.layers if isinstance(layer, Stack) else (layer.forward, layer.backward)
    return any(_has_implementation(part) for part in inner)


def _flat(outputs: Any) -> list[Any]:
    return (
        [part for item in outputs for part in _flat(item)]
        if isinstance(outputs, list | tuple)
        else [outputs]
    )


def _names(problem: Problem, count: int) -> list[str]:
    names = [slot.name for slot in problem.output_slots()][:count]
    return names + [f"extra_{place}" for place in range(len(names), count)]


def _shape_list(shapes: Any) -> list[list[int | None]]:
    """compute_output_shape gives one shape or a sequence of them."""
    if shapes and all(isinstance(dim, int | None) for dim in shapes):
        return [list(shapes)]
    return [list(shape) for shape in shapes]


def _summary_rows(model: Any) -> list[list[Any]]:
    """Output shape and parameter count of each layer as `model.summary()` prints them."""
    lines: list[str] = []
    model.summary(print_fn=lambda text, **_: lines.extend(text.splitlines()))
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")
    ]
    # A long name goes on in a row that has no count.
    return [[row[1], int(row[2].replace(",", ""))] for row in rows if row[2]]
