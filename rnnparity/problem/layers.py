"""The layers as frozen values. `keras_config` reads them from Keras' own configurations."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from rnnparity.problem.cells import CELLS, CellSpec
from rnnparity.problem.dtypes import COMPUTE_DTYPE

ACTIVATIONS = (
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "hard_sigmoid_keras2",
    "relu",
    "linear",
    "softsign",
    "elu",
    "selu",
    "softplus",
    "exponential",
    "gelu",
    "gelu_tanh",
    "silu",
)
MERGE_MODES = ("concat", "sum", "mul", "ave", None)


@dataclass(frozen=True)
class Recurrent:
    """One recurrent layer. Field names and defaults are Keras'; `dtype` is a policy's name."""

    class_name: str
    units: int
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    use_bias: bool = True
    reset_after: bool = True
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    zero_output_for_mask: bool = False
    dtype: str = "float32"

    @property
    def cell(self) -> CellSpec:
        return CELLS[self.class_name]

    @property
    def states(self) -> tuple[str, ...]:
        return self.cell.states

    @property
    def bias_rows(self) -> int:
        """The number of rows of the bias, whether or not the layer has one."""
        option = self.cell.two_biases
        return self.cell.bias_rows(bool(option) and getattr(self, option))

    @property
    def compute_dtype(self) -> str:
        return COMPUTE_DTYPE[self.dtype]


@dataclass(frozen=True)
class Bidirectional:
    """Two layers, the second from the end of the sequence; both have equal return flags."""

    forward: Recurrent
    backward: Recurrent
    merge_mode: str | None = "concat"
    dtype: str = "float32"

    @property
    def states(self) -> tuple[str, ...]:
        return (
            *(f"forward_{name}" for name in self.forward.states),
            *(f"backward_{name}" for name in self.backward.states),
        )

    @property
    def compute_dtype(self) -> str:
        return COMPUTE_DTYPE[self.dtype]

    @property
    def return_sequences(self) -> bool:
        return self.forward.return_sequences

    @property
    def return_state(self) -> bool:
        return self.forward.return_state

    @property
    def stateful(self) -> bool:
        return self.forward.stateful


@dataclass(frozen=True)
class Stack:
    """A sequence of layers (Keras' Sequential); each feeds the next."""

    layers: tuple[Recurrent | Bidirectional, ...]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(
            f"{index}/{name}" for index, layer in enumerate(self.layers) for name in layer.states
        )

    @property
    def compute_dtype(self) -> str:
        return self.layers[-1].compute_dtype

    @property
    def return_sequences(self) -> bool:
        return self.layers[-1].return_sequences

    @property
    def return_state(self) -> bool:
        return self.layers[-1].return_state

    @property
    def stateful(self) -> bool:
        return any(layer.stateful for layer in self.layers)


Layer: TypeAlias = Recurrent | Bidirectional | Stack


def halves(layer: Layer) -> list[tuple[str, Recurrent]]:
    """Return every recurrent layer inside `layer` with its prefix ("", "forward/", "0/")."""
    if isinstance(layer, Recurrent):
        return [("", layer)]
    if isinstance(layer, Bidirectional):
        return [("forward/", layer.forward), ("backward/", layer.backward)]
    return [
        (f"{index}/{prefix}", half)
        for index, inner in enumerate(layer.layers)
        for prefix, half in halves(inner)
    ]


def called_layers(layer: Layer) -> list[Recurrent | Bidirectional]:
    """Return, for each of `halves(layer)`, the layer that is called: the Bidirectional around it.

    What enters a call is rounded to that layer's type first, then to the half's.
    """
    called = layer.layers if isinstance(layer, Stack) else (layer,)
    return [inner for inner in called for _ in halves(inner)]


def policies(layer: Layer) -> set[str]:
    """Return the dtype policies of a layer: those of its halves and of each Bidirectional."""
    parts = [*called_layers(layer), *(half for _, half in halves(layer))]
    return {part.dtype for part in parts}


def with_return_state(layer: Layer, return_state: bool) -> Layer:
    """Return a layer that returns its states after its output, or does not."""
    if isinstance(layer, Stack):
        *first, last = layer.layers
        changed = with_return_state(last, return_state)
        return replace(layer, layers=(*first, changed))  # type: ignore[arg-type]
    return with_options(layer, return_state=return_state)


def with_options(layer: Layer, **options: Any) -> Layer:
    """Return the layer with other options in each half."""
    if isinstance(layer, Stack):
        inside = tuple(with_options(inner, **options) for inner in layer.layers)
        return replace(layer, layers=inside)  # type: ignore[arg-type]  # stacks do not nest
    if isinstance(layer, Recurrent):
        return replace(layer, **options)
    forward, backward = (replace(half, **options) for half in (layer.forward, layer.backward))
    return replace(layer, forward=forward, backward=backward)


def describe_layer(layer: Layer) -> str:
    """Return a layer as a call of its class, defaults left out.

    >>> describe_layer(Recurrent("LSTM", 3, return_sequences=True))
    'LSTM(3, return_sequences=True)'
    """
    if isinstance(layer, Stack):
        return f"Sequential([{', '.join(describe_layer(inner) for inner in layer.layers)}])"
    if isinstance(layer, Bidirectional):
        return _describe_bidirectional(layer)
    arguments = [str(layer.units)]
    for option in fields(Recurrent)[2:]:
        value = getattr(layer, option.name)
        if value != option.default:
            arguments.append(f"{option.name}={value!r}")
    return f"{layer.class_name}({', '.join(arguments)})"


def _describe_bidirectional(layer: Bidirectional) -> str:
    # It sets zero_output_for_mask itself.
    forward = replace(layer.forward, zero_output_for_mask=False)
    backward = replace(layer.backward, zero_output_for_mask=False)
    arguments = [describe_layer(forward)]
    if backward != replace(forward, go_backwards=True):
        arguments.append(f"backward_layer={describe_layer(backward)}")
    if layer.merge_mode != "concat":
        arguments.append(f"merge_mode={layer.merge_mode!r}")
    if layer.dtype != "float32":
        arguments.append(f"dtype={layer.dtype!r}")
    return f"Bidirectional({', '.join(arguments)})"
