"""One path through Keras on one backend, on the real layers.

Layers of one configuration are used again: a new layer for each case takes twice the time and leaks
some 147 kB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter

from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.answer_types import Gradients
from rnnparity.problem.keras_config import layer_spec
from rnnparity.problem.layers import policies
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects.calls import Call, calls_of, join_outputs
from rnnparity.subjects.declarations import GPU_PATHS, Registration
from rnnparity.subjects.keras_backend import (
    Backend,
    GradientCall,
    KerasModel,
    KerasTensor,
    LayerCall,
)
from rnnparity.subjects.keras_facts import stated_facts
from rnnparity.subjects.keras_functional import FunctionalModels, reloaded
from rnnparity.subjects.keras_layers import (
    LayerBuilder,
    apply,
    batch_shape,
    constant_initializers,
    flat,
    has_implementation,
    reset_states,
    set_dropout_masks,
    set_weights,
)

# Paths that compile a call; the others run it operation by operation.
COMPILED = ("graph", "xla", "jit")
# Paths that differ from the eager one in the forward pass only.
FORWARD_ONLY = ("predict", "reloaded")


class KerasSubject:
    """One path through Keras; models are kept by configuration, compiled calls by model."""

    builder: type[LayerBuilder] = LayerBuilder
    takes_dropout_masks = True

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.keras = backend.keras
        self.path = backend.path
        self.models: dict[str, KerasModel] = {}
        self.compiled: dict[str, LayerCall] = {}
        self.backward: dict[str, GradientCall] = {}
        self.functional = FunctionalModels(self.keras)

    def versions(self) -> dict[str, str]:
        return self.backend.versions()

    def forget(self) -> None:
        """Free every model and compiled call; needed where every problem has a new layer."""
        self.models.clear()
        self.compiled.clear()
        self.backward.clear()
        self.functional.clear()
        self.backend.forget()

    def answer(self, problem: Problem) -> Answer:
        self.prepare(problem)
        start = perf_counter()
        with self.backend.context(policies(problem.layer)):
            model = self.model_of(problem)
            outputs = self._run(problem, model)
            facts = self.facts(problem, model)
        return Answer(outputs, facts, perf_counter() - start)

    def gradients(self, problem: Problem) -> Answer:
        self.prepare(problem)
        if self.path in FORWARD_ONLY:
            raise Unsupported("this path differs in the forward pass only")
        if len(problem.steps) > 1:
            raise Unsupported("Keras keeps states in variables, through which no gradient flows")
        start = perf_counter()
        with self.backend.context(policies(problem.layer)):
            gradients = self._gradients(problem, self.model_of(problem))
        return Answer(seconds=perf_counter() - start, gradients=gradients)

    def train(self, problem: Problem) -> Answer:
        """Return the weights after one step through `fit` of a model around the layer."""
        self.prepare(problem)
        if self.path in FORWARD_ONLY:
            raise Unsupported("this path differs in the forward pass only")
        if problem.training_step is None or not self.backend.trains:
            raise Unsupported("only Keras 3 on TensorFlow is trained here")
        if problem.dropout_masks is not None:
            raise Unsupported("a training step with dropout masks is not done here")
        if problem.mask is not None and problem.layer.return_sequences:
            raise Unsupported("Keras leaves masked steps out of the loss, a training step does not")
        if policies(problem.layer) - {"float32", "float64"}:
            raise Unsupported("how Keras scales a loss in 16 bits is not specified here")
        start = perf_counter()
        with self.backend.context(policies(problem.layer)):
            model = self.model_of(problem)
            (call,) = calls_of(problem)
            options = {"run_eagerly": self.path not in COMPILED, "jit_compile": self.path == "xla"}
            self.functional.fit(model, call, problem.training_step, options)
            arrays = [variable.value.numpy() for variable in model.trainable_weights]
        pairs = zip(problem.weight_slots(), arrays, strict=True)
        weights = tuple(Tensor(slot.name, array) for slot, array in pairs)
        return Answer(weights, seconds=perf_counter() - start)

    def prepare(self, problem: Problem) -> None:
        """Refuse what this path does not have, and make room for one more model.

        Raises:
            Unsupported: with the reason.
        """
        if problem.dropout_masks is not None and self.path in FORWARD_ONLY:
            raise Unsupported("this path does not run in training")
        if self.path == "implementation1" and not has_implementation(problem.layer):
            raise Unsupported("SimpleRNN has no argument implementation")
        if len(self.models) >= self.backend.max_models:
            self.forget()

    def _gradients(self, problem: Problem, model: KerasModel) -> Gradients:
        key = _key(problem)
        if key not in self.backward:
            self.backward[key] = self.backend.gradient_call(model, self.layer_call(problem, model))
        (call,) = calls_of(problem)
        cotangents = [self.backend.tensor(tensor.data) for tensor in problem.cotangents or ()]
        results = self.backward[key](*self._arguments(call), cotangents)
        arrays = iter(self.backend.arrays([result for result in results if result is not None]))
        pairs = zip(problem.gradient_slots(), results, strict=True)
        return tuple(
            None if result is None else Tensor(slot.name, next(arrays)) for slot, result in pairs
        )

    def model_of(self, problem: Problem) -> KerasModel:
        """Return a built layer, or a Sequential, with the problem's weights and zero states."""
        key = _key(problem)
        if key not in self.models:
            self.models[key] = self.builder(self.backend, problem).model()
        model = self.models[key]
        if constant_initializers(problem) is None:
            set_weights(model, [tensor.data for tensor in problem.weights])
        if problem.layer.stateful:
            reset_states(model)
        return model

    def layer_call(self, problem: Problem, model: KerasModel) -> LayerCall:
        """Return what calls a model on tensors of the problem's types.

        Dropout masks are set before each call, as Keras drops those that it has used.
        """
        if problem.dropout_masks is None:
            return partial(apply, model)

        def call(
            x: KerasTensor, mask: KerasTensor | None, states: Sequence[KerasTensor] | None
        ) -> object:
            set_dropout_masks(self.backend, problem, model)
            return apply(model, x, mask, states, training=True)

        return call

    def facts(self, problem: Problem, model: KerasModel) -> dict[str, object]:
        """Return what Keras states without computing (`keras_facts`)."""
        return stated_facts(problem, model)

    def _run(self, problem: Problem, model: KerasModel) -> tuple[Tensor, ...]:
        key = _key(problem)
        if self.path == "reloaded":
            model = reloaded(self.keras, problem, model)
        calls = calls_of(problem)
        if self.path == "predict":
            results = [self._predicted(model, key, call) for call in calls]
        else:
            results = [self._call(problem, model, key, call) for call in calls]
        return join_outputs(problem, results)

    def _predicted(self, model: KerasModel, key: str, call: Call) -> list[Tensor]:
        outputs = flat(self.functional.predict(model, key, call))
        return [Tensor("", array) for array in outputs]

    def _call(self, problem: Problem, model: KerasModel, key: str, call: Call) -> list[Tensor]:
        run = self.layer_call(problem, model)
        if self.path in COMPILED:
            if key not in self.compiled:
                self.compiled[key] = self.backend.compiled(model, run)
            run = self.compiled[key]
        arrays = self.backend.arrays(flat(run(*self._arguments(call))))
        return [Tensor("", array) for array in arrays]

    def _arguments(
        self, call: Call
    ) -> tuple[KerasTensor, KerasTensor | None, Sequence[KerasTensor] | None]:
        """Return the inputs, the mask and the initial states of a call as tensors."""
        mask = None if call.mask is None else self.backend.tensor(call.mask)
        states = call.initial_state
        tensors = None if states is None else [self.backend.tensor(state) for state in states]
        return self.backend.tensor(call.inputs), mask, tensors


def backend_subjects(
    backend: type[Backend],
    title: str,
    paths: Mapping[str, str],
    packages: tuple[str, ...],
    rank: int,
    subject: type[KerasSubject] = KerasSubject,
) -> tuple[Registration, ...]:
    """Return the registrations of a backend, one for each path with its description."""
    return tuple(
        Registration(
            backend.name_of(path),
            partial(_make, subject, backend, path),
            f"{title}, {description}",
            packages=packages,
            extra=backend.subject,
            rank=rank,
            needs_gpu=path in GPU_PATHS,
        )
        for path, description in paths.items()
    )


def _make(subject: type[KerasSubject], backend: type[Backend], path: str) -> KerasSubject:
    return subject(backend(path))


def _key(problem: Problem) -> str:
    """Return what a built model depends on, the numbers of constant initializers included.

    So are dropout masks, which are constants of a compiled call.
    """
    shape, dtype = batch_shape(problem), problem.inputs.dtype
    masks = [(mask.name, mask.data.tolist()) for mask in problem.dropout_masks or ()]
    parts = [layer_spec(problem.layer), shape, dtype, constant_initializers(problem), masks]
    return json.dumps(parts, default=dict)
