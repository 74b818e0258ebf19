"""A problem: a layer with all its numbers, which is all that an implementation needs to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rnnparity.problem.answer_types import AnswerType, Gradients, TrainingStep
from rnnparity.problem.arrays import ArrayLike, as_float, named_states, named_weights
from rnnparity.problem.case import Case
from rnnparity.problem.checks import check_problem
from rnnparity.problem.dtypes import FLOAT_TYPES, Array, variable_dtype
from rnnparity.problem.errors import FormatError, LayerClassError
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import Layer, describe_layer, halves
from rnnparity.problem.live_layer import KerasLayer, attached_mask
from rnnparity.problem.shapes import Slot, output_slots, state_slots, weight_slots
from rnnparity.problem.tensor import Tensor

__all__ = ["KerasLayer", "Problem", "Tensor"]


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """A layer with its weights, inputs, mask and initial states.

    `weights` are in the order of Keras' `get_weights()`, `inputs` is (B, T, D), `mask` (B, T) of
    bool or None, each of `initial_state` (B, H); None starts from zeros. `calls` splits T for a
    stateful layer. `outputs` are those that somebody computed.

    `dropout_masks` are what a layer in training multiplies by, the same in every call: `inputs`
    (G, B, D) or (1, B, D) and `recurrent` (G, B, H) or (1, B, H), with the prefix of their half.
    Without them there is no dropout.

    With a `training_step` the answer of an implementation is not the outputs, but the weights after
    it.

    `cotangents`, one for each output, ask for the gradients of sum(cotangent * output) over all
    outputs; `gradients` are those that somebody computed, in the order of `gradient_slots`, None
    where there is no gradient, which is not the same as zeros.

    Raises:
        FormatError: a name, shape or dtype that the layer does not have, or a number that is not
        finite.

    >>> import numpy as np
    >>> layer = parse_layer({"class_name": "SimpleRNN", "config": {"units": 2, "use_bias": False}})
    >>> kernel = Tensor.of("kernel", np.ones((3, 2)))
    >>> recurrent_kernel = Tensor.of("recurrent_kernel", np.eye(2))
    >>> Problem(layer, (kernel, recurrent_kernel), Tensor.of("inputs", np.zeros((1, 4, 3))))
    Problem('problem', SimpleRNN(2, use_bias=False), B=1 T=4 D=3)
    """

    layer: Layer
    weights: tuple[Tensor, ...]
    inputs: Tensor
    mask: Array | None = None
    initial_state: tuple[Tensor, ...] | None = None
    calls: tuple[int, ...] | None = None
    outputs: tuple[Tensor, ...] | None = None
    cotangents: tuple[Tensor, ...] | None = None
    gradients: Gradients | None = None
    dropout_masks: tuple[Tensor, ...] | None = None
    training_step: TrainingStep | None = None
    id: str = "problem"
    case: Case | None = None

    def __post_init__(self) -> None:
        check_problem(self)

    def __repr__(self) -> str:
        return f"Problem({self.id!r}, {self.description})"

    @property
    def description(self) -> str:
        """The layer, the sizes and what is given: "GRU(5), B=2 T=4 D=6, mask"."""
        batch, steps, features = self.inputs.shape
        parts = [describe_layer(self.layer), f"B={batch} T={steps} D={features}"]
        given = ("mask", "initial_state", "dropout_masks")
        parts += [name for name in given if getattr(self, name) is not None]
        if self.calls is not None:
            parts.append(f"calls={list(self.calls)}")
        names = ("outputs", "cotangents", "gradients", "training_step")
        parts += [name for name in names if getattr(self, name) is not None]
        return ", ".join(parts)

    @property
    def steps(self) -> tuple[int, ...]:
        """The number of time steps of each call."""
        return self.calls or (self.inputs.shape[1],)

    @property
    def threshold_type(self) -> str:
        """The coarsest dtype that a half computes in: its threshold judges the problem."""
        types = {half.compute_dtype for _, half in halves(self.layer)} | {self.layer.compute_dtype}
        return min(types, key=lambda name: FLOAT_TYPES[name].bits)

    def half_weights(self, prefix: str) -> tuple[Tensor, ...]:
        """Return the weights of the half with that prefix, named without it."""
        return _of_half(prefix, self.weights)

    def half_dropout_masks(self, prefix: str) -> tuple[Tensor, ...]:
        """Return the dropout masks of the half with that prefix, named without it."""
        return _of_half(prefix, self.dropout_masks or ())

    def output_slots(self) -> list[Slot]:
        """Return the names, shapes and dtypes that the outputs must have.

        A stateful run's sequences are joined along time; what a call returns once (its last output,
        its states) is that of the last call.
        """
        batch, steps, _ = self.inputs.shape
        return output_slots(self.layer, batch, steps)

    def gradient_slots(self) -> list[Slot]:
        """Return the names, shapes and dtypes that the gradients must have: `inputs`, the weights'
        names, `initial_state/h`, ... Each has the dtype of what it is the gradient of.
        """
        inputs = Slot("inputs", self.inputs.shape, self.inputs.dtype)
        states = [
            Slot(f"initial_state/{s.name}", s.shape, s.dtype) for s in self.initial_state or ()
        ]
        return [inputs, *self.weight_slots(), *states]

    def weight_slots(self) -> list[Slot]:
        """Return the names, shapes and dtypes of the weights, in Keras' order."""
        slots = weight_slots(self.layer, self.inputs.shape[-1])
        return [replace(slot, dtype=variable_dtype(slot.dtype)) for slot in slots]

    @property
    def answer_type(self) -> AnswerType:
        """What the problem asks for: outputs, or gradients where it has cotangents, or the weights
        after its training step.
        """
        if self.training_step is not None:
            return AnswerType.TRAINED_WEIGHTS
        return AnswerType.OUTPUTS if self.cotangents is None else AnswerType.GRADIENTS

    def answer_slots(self) -> list[Slot]:
        """Return the names, shapes and dtypes that an answer must have, by `answer_type`."""
        if self.answer_type is AnswerType.TRAINED_WEIGHTS:
            return self.weight_slots()
        if self.answer_type is AnswerType.GRADIENTS:
            return self.gradient_slots()
        return self.output_slots()

    def with_answer(self, answer: Sequence[Tensor]) -> Problem:
        """Return the same problem with this answer, as its gradients or as its outputs."""
        if self.answer_type is AnswerType.GRADIENTS:
            return replace(self, gradients=tuple(answer))
        return self.with_outputs(answer)

    def with_outputs(self, outputs: Sequence[Tensor]) -> Problem:
        """Return the same problem with these outputs."""
        return replace(self, outputs=tuple(outputs))

    def save(self, path: str | Path) -> None:
        """Write the problem to a file (docs/format.md).

        Raises:
            RequestError: the file cannot be written.

        >>> from rnnparity.catalogue import catalogue
        >>> catalogue()["gru-spread-last"].save("gru.json")
        >>> Problem.load("gru.json")
        Problem('gru-spread-last', GRU(5), B=2 T=4 D=6)
        """
        from rnnparity.problem.files import write_file
        from rnnparity.problem.format_writing import dump_pretty

        write_file(Path(path), dump_pretty(self))

    @staticmethod
    def load(path: str | Path) -> Problem:
        """Return the problem in a file.

        Raises:
            FormatError: the file cannot be read; the message names what is wrong in it.
        """
        from rnnparity.problem.format_reading import read_problem

        return read_problem(Path(path))

    @classmethod
    def from_keras(
        cls,
        layer: KerasLayer,
        inputs: ArrayLike,
        mask: ArrayLike | None = None,
        initial_state: ArrayLike | None = None,
        *,
        calls: Sequence[int] | None = None,
        id: str = "from_keras",
    ) -> Problem:
        """Return the problem of a built Keras layer (or Sequential) with its weights.

        `inputs` is (B, T, D), `mask` (B, T), `initial_state` one array (B, H) or a list of them in
        Keras' order. Without `mask` that which Keras keeps with the inputs counts (Masking, an
        Embedding). No framework is imported: only the layer's own methods are called.

        `calls` are the steps of each call of a stateful layer that is fed in parts, as in streaming;
        their sum is T. The first call starts from `initial_state`, not from what the layer keeps.

        Raises:
            FormatError: the layer is not built, or has an option that is not computed; or `calls`
            do not add up to T, or the layer is not stateful.
        """
        if not hasattr(layer, "get_config"):
            raise FormatError(f"layer: got {type(layer).__name__}, expected a Keras layer")
        spec = {"class_name": type(layer).__name__, "config": layer.get_config()}
        mask = attached_mask(inputs) if mask is None else mask
        try:
            return cls.from_arrays(
                spec, layer.get_weights(), inputs, mask, initial_state, calls=calls, id=id
            )
        except LayerClassError as error:
            raise FormatError(
                f"{error}; rnnparity.from_model(model, inputs) takes a model with other layers too, "
                "with RNN(cell) and TimeDistributed"
            ) from None

    @classmethod
    def from_arrays(
        cls,
        spec: object,
        weights: Sequence[ArrayLike],
        inputs: ArrayLike,
        mask: ArrayLike | None = None,
        initial_state: ArrayLike | None = None,
        *,
        calls: Sequence[int] | None = None,
        id: str = "problem",
    ) -> Problem:
        """Return the problem of a layer's configuration `{"class_name": ..., "config": {...}}`.

        `weights` are in Keras' order; `inputs` is (B, T, D), `mask` (B, T), `initial_state` one
        array (B, H) or a list of them in Keras' order, `calls` the steps of each call or None.

        Raises:
            FormatError: a weight is missing, or the layer has an option that is not computed.
        """
        layer = parse_layer(spec)
        numbers = np.asarray(inputs)
        if numbers.ndim != 3:
            raise FormatError(f"inputs: got shape {numbers.shape}, expected the axes B, T, D")
        is_wide = any(half.compute_dtype == "float64" for _, half in halves(layer))
        dtype = "float64" if is_wide else "float32"
        return cls(
            layer,
            named_weights(weights, weight_slots(layer, numbers.shape[-1])),
            Tensor.of("inputs", as_float(numbers), dtype),
            None if mask is None else np.asarray(mask).astype(bool),
            named_states(initial_state, state_slots(layer, numbers.shape[0]), dtype),
            None if calls is None else tuple(int(steps) for steps in calls),
            id=id,
        )


def without_cotangents(problem: Problem) -> Problem:
    """Return the problem without cotangents and gradients: it asks for outputs, or a training step."""
    return replace(problem, cotangents=None, gradients=None)


def _of_half(prefix: str, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    named = [(tensor.name.removeprefix(prefix), tensor) for tensor in tensors]
    return tuple(
        Tensor(name, tensor.data)
        for name, tensor in named
        if tensor.name.startswith(prefix) and "/" not in name
    )
