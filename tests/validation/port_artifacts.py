"""A Keras model and sabotaged ports of it: one fault in one layer, in artefacts of five kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import Array

B, T, D = 3, 7, 4
UNITS = {"both": 5, "gru": 4, "last": 3}
KINDS = ("onnx-keras", "onnx-torch", "tflite", "torch", "npz")
Weights = list[Array]


@dataclass(frozen=True)
class Sabotage:
    """A fault of a port: the layer, the causes that name it, and how it is made.
    `weights` changes the layer's weights in Keras' order, `option` a Keras option or the wiring.
    """

    name: str
    layer: str
    causes: tuple[str, ...]
    weights: Callable[[Weights], Weights] | None = None
    option: str = ""
    in_torch: bool = True
    in_keras: bool = True

    @property
    def reported(self) -> str:
        """The layer, or for a Dense layer what it has changed."""
        return {"hidden": "inputs of gru", "head": "final output"}.get(self.layer, self.layer)


def blocks(array: Array, count: int, order: tuple[int, ...]) -> Array:
    parts = np.split(array, count, axis=-1)
    return np.concatenate([parts[index] for index in order], axis=-1)


def each(count: int, order: tuple[int, ...]) -> Callable[[Weights], Weights]:
    return lambda weights: [blocks(array, count, order) for array in weights]


def bias(edit: Callable[[Array], Array]) -> Callable[[Weights], Weights]:
    return lambda weights: [*weights[:2], edit(weights[2]), *weights[3:5], *map(edit, weights[5:])]


def transposed(weights: Weights) -> Weights:
    kernel, recurrent, *rest = weights
    parts = [part.T for part in np.split(recurrent, recurrent.shape[1] // len(recurrent), axis=1)]
    return [kernel, np.concatenate(parts, 1), *rest]


def negated_update(weights: Weights) -> Weights:
    units = len(weights[1])
    sign = np.ones(3 * units)
    sign[:units] = -1
    return [array * sign for array in weights]


def first_column_larger(weights: Weights) -> Weights:
    kernel, *rest = weights
    return [kernel * np.where(np.arange(kernel.shape[1]) == 0, 1.1, 1), *rest]


def forget(array: Array) -> Array:
    units = len(array) // 4
    return array + np.repeat([0, 1, 0, 0], units)


SABOTAGES = (
    Sabotage("gate order", "both", ("gate-order",), each(4, (0, 1, 3, 2))),
    Sabotage("gate order", "gru", ("gate-order",), each(3, (1, 0, 2))),
    Sabotage(
        "bias row twice", "gru", ("bias-row-repeated",), bias(lambda b: np.stack([b[0], b[0]]))
    ),
    Sabotage("bias row dropped", "gru", ("bias-row-dropped",), bias(lambda b: b * [[1], [0]])),
    Sabotage("forget bias", "last", ("forget-bias",), bias(forget)),
    Sabotage("transposed", "last", ("recurrent-transposed",), transposed),
    Sabotage("update inverted", "gru", ("update-gate-complemented",), negated_update),
    Sabotage("bias missing", "last", ("bias-missing",), bias(lambda b: 0 * b)),
    Sabotage("not reversed", "both", ("reverse-ignored",), option="not reversed"),
    Sabotage("halves swapped", "both", ("directions-swapped",), option="halves swapped"),
    Sabotage(
        "hard_sigmoid", "gru", ("recurrent-activation",), option="hard_sigmoid", in_torch=False
    ),
    Sabotage("reset_after", "gru", ("reset-after",), option="reset_after", in_torch=False),
    Sabotage("bias rows", "gru", ("bias-rows-swapped",), bias(np.flipud), in_keras=False),
    Sabotage("bias doubled", "both", ("bias-doubled",), bias(lambda b: 2 * b), in_keras=False),
    Sabotage("Dense between", "hidden", (), first_column_larger),
    Sabotage("Dense at the end", "head", (), first_column_larger),
)


def sabotages(kind: str) -> Iterator[Sabotage]:
    """Yield the faults that the ports of a kind can have: twelve of recurrent layers, two others."""
    for sabotage in SABOTAGES:
        if sabotage.in_torch if "torch" in kind else sabotage.in_keras:
            yield sabotage


def base_weights() -> dict[str, Weights]:
    """Return the weights of every layer of the model, in Keras' order, biases included."""
    rng = np.random.default_rng(5)
    lstm = [(D, 20), (5, 20), (20,)]
    shapes = {
        "both": lstm * 2,
        "hidden": [(10, 6), (6,)],
        "gru": [(6, 12), (4, 12), (2, 12)],
        "last": [(4, 12), (3, 12), (12,)],
        "head": [(3, 2), (2,)],
    }
    return {
        name: [rng.uniform(-0.6, 0.6, shape).astype("float32") for shape in layer]
        for name, layer in shapes.items()
    }


def weights_with(sabotage: Sabotage | None) -> dict[str, Weights]:
    weights = base_weights()
    if sabotage is not None and sabotage.weights is not None:
        changed = sabotage.weights(weights[sabotage.layer])
        weights[sabotage.layer] = [array.astype("float32") for array in changed]
    return weights


def keras_model(keras: Any, sabotage: Sabotage | None = None) -> Any:
    """Return the model, or a port of it in Keras with a fault."""
    layers, option = keras.layers, sabotage.option if sabotage else ""
    x = keras.Input(batch_shape=(B, T, D), name="x")
    weights = weights_with(sabotage)
    if option in ("not reversed", "halves swapped"):
        forward = layers.LSTM(5, return_sequences=True, name="forward")
        backward = layers.LSTM(5, return_sequences=True, name="backward")
        halves = [forward(x), backward(x)]
        if option == "halves swapped":
            halves = [backward(x[:, ::-1])[:, ::-1], forward(x)]
        both = layers.Concatenate()(halves)
    else:
        both = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both")(x)
    hidden = layers.Dense(6, "tanh", name="hidden")(both)
    gru_options = {"recurrent_activation": option} if option == "hard_sigmoid" else {}
    if option == "reset_after":
        gru_options["reset_after"] = False
        first, second = weights["gru"][2]
        weights["gru"][2] = first + second
    gru = layers.GRU(4, return_sequences=True, name="gru", **gru_options)(hidden)
    last = layers.LSTM(3, name="last")(gru)
    model = keras.Model(x, layers.Dense(2, name="head")(last))
    for layer in model.layers:
        if layer.name in weights:
            layer.set_weights(weights[layer.name])
        elif layer.name in ("forward", "backward"):
            layer.set_weights(weights["both"][3 * (layer.name == "backward") :][:3])
    return model


def torch_module(torch: Any, sabotage: Sabotage | None = None) -> Any:
    """Return a port of the model in PyTorch, batch first."""
    nn, option = torch.nn, sabotage.option if sabotage else ""
    weights = weights_with(sabotage)

    class Port(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.forward_half = nn.LSTM(D, 5, batch_first=True)
            self.backward_half = nn.LSTM(D, 5, batch_first=True)
            self.hidden = nn.Linear(10, 6)
            self.gru = nn.GRU(6, 4, batch_first=True)
            self.last = nn.LSTM(4, 3, batch_first=True)
            self.head = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            y, z = self.forward_half(x)[0], self.backward_half(x)[0]
            if option != "not reversed":
                z = self.backward_half(x.flip(1))[0].flip(1)
            both = torch.cat([z, y] if option == "halves swapped" else [y, z], -1)
            sequence, _ = self.gru(torch.tanh(self.hidden(both)))
            return self.head(self.last(sequence)[0][:, -1])

    module = Port()
    with torch.no_grad():
        recurrent = {
            module.forward_half: weights["both"][:3],
            module.backward_half: weights["both"][3:],
            module.gru: weights["gru"],
            module.last: weights["last"],
        }
        for inner, arrays in recurrent.items():
            _load_recurrent(torch, inner, arrays)
        for inner, name in ((module.hidden, "hidden"), (module.head, "head")):
            inner.weight.copy_(torch.tensor(weights[name][0].T))
            inner.bias.copy_(torch.tensor(weights[name][1]))
    return module.eval()


def _load_recurrent(torch: Any, module: Any, arrays: Weights) -> None:
    """Set the weights of a module; PyTorch's GRU has the gates r, z, n."""
    if module.mode == "GRU":
        arrays = [blocks(array, 3, (1, 0, 2)) for array in arrays]
    kernel, recurrent, biases = arrays
    rows = np.atleast_2d(biases)
    second = rows[1] if len(rows) > 1 else 0 * rows[0]
    named = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": rows[0], "bias_hh": second}
    for name, array in named.items():
        getattr(module, f"{name}_l0").copy_(torch.tensor(np.ascontiguousarray(array)))


def write_npz(keras: Any, model: Any, inputs: Array, path: Path) -> None:
    """Write what a port in Keras computes, by the names of the original model's layers."""
    names = {"both": "both", "concatenate": "both", "gru": "gru", "last": "last", "head": ""}
    arrays = {}
    layers = [layer for layer in model.layers if layer.name.partition("_")[0] in names]
    inner = keras.Model(
        model.inputs, [layer.output for layer in [*layers, model.get_layer("hidden")]]
    )
    *outputs, hidden = inner(inputs)
    for layer, output in zip(layers, outputs, strict=True):
        name = names[layer.name.partition("_")[0]]
        arrays[f"{name}/output" if name else "output"] = np.asarray(output)
    np.savez(path, **arrays, **{"gru/inputs": np.asarray(hidden)})
