"""Flax on JAX: RNN with LSTMCell, GRUCell and SimpleCell, of linen and of nnx.

A carry is (c, h). Linen's GRUCell has the recurrent bias of the candidate only, that of nnx none.
`seq_lengths` choose the last carry; outputs at padded steps are not specified:
https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rnnparity.problem.answer import Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.subjects.adapters import Mask, States, Weights, half_subject, lengths_of
from rnnparity.subjects.declarations import LayerScript, Registration
from rnnparity.subjects.engine_weights import check_plain, gru_weights
from rnnparity.subjects.functions import FunctionSubject

CELLS = {"SimpleRNN": "SimpleCell", "LSTM": "LSTMCell", "GRU": "GRUCell"}
# Those of jax.nn with Keras' names and equations.
ACTIVATIONS = {"tanh", "sigmoid", "hard_sigmoid", "relu", "elu", "softplus", "silu"}

# Returns the last carry and the outputs of (cell, weights, x, carry, lengths).
_Run = Callable[[Recurrent, Mapping[str, Array], Any, Any, Any], Any]


def make(api: str) -> FunctionSubject:
    """Return the subject `flax` of an API, linen or nnx.

    Raises:
        ImportError: Flax or JAX is missing.
    """
    import jax

    jax.config.update("jax_enable_x64", True)  # for layers of float64
    run = _linen() if api == "linen" else _nnx()

    @half_subject
    def half(
        layer: Recurrent, weights: Weights, x: Array, mask: Mask, states: States
    ) -> tuple[Array, list[Array]]:
        check_plain(layer, None, CELLS, ("float32", "float64"), ACTIVATIONS)
        if mask is not None and layer.return_sequences:
            raise Unsupported("outputs at padded steps are not specified")
        lengths = None if mask is None else lengths_of(mask, empty_rows=True)
        is_lstm = layer.class_name == "LSTM"
        start = (states[1], states[0]) if is_lstm else states[0]
        carry, outputs = run(layer, weights, x, start, lengths)
        ends = [np.asarray(end) for end in (carry[::-1] if is_lstm else [carry])]
        sequence = np.array(outputs)
        sequence[:, -1] = ends[0]  # that of the last used step
        if lengths is not None:
            sequence[lengths == 0] = 0  # Keras has no output there
        return sequence, ends

    return FunctionSubject(half, ("flax", "jax"))


def _functions(layer: Recurrent) -> dict[str, Any]:
    """Return the activations of a cell."""
    import jax

    functions = {"activation_fn": getattr(jax.nn, layer.activation)}
    if layer.cell.gated:
        functions["gate_fn"] = getattr(jax.nn, layer.recurrent_activation)
    return functions


def _linen() -> _Run:
    import flax.linen

    def run(
        layer: Recurrent, weights: Mapping[str, Array], x: Any, carry: Any, lengths: Any
    ) -> Any:
        cell = getattr(flax.linen, CELLS[layer.class_name])(
            layer.units, dtype=x.dtype, param_dtype=x.dtype, **_functions(layer)
        )
        parameters = {"params": {"cell": _parameters(layer, weights)}}
        rnn = flax.linen.RNN(cell, return_carry=True)
        return rnn.apply(parameters, x, initial_carry=carry, seq_lengths=lengths)

    return run


def _nnx() -> _Run:
    from flax import nnx

    def run(
        layer: Recurrent, weights: Mapping[str, Array], x: Any, carry: Any, lengths: Any
    ) -> Any:
        if layer.class_name == "GRU" and layer.use_bias:
            raise Unsupported("no recurrent bias in nnx.GRUCell")
        cell = getattr(nnx, CELLS[layer.class_name])(
            x.shape[2],
            layer.units,
            dtype=x.dtype,
            param_dtype=x.dtype,
            rngs=nnx.Rngs(0),
            **_functions(layer),
        )
        if layer.class_name == "GRU":
            gru = gru_weights(layer, weights)
            cell.dense_i.kernel[...], cell.dense_h.kernel[...] = gru.W.T, gru.U.T
        else:
            for name, arrays in _parameters(layer, weights).items():
                dense = getattr(cell, _NNX_NAMES.get(name, name))
                for part, array in arrays.items():
                    getattr(dense, part)[...] = array
        rnn = nnx.RNN(cell, return_carry=True)
        return rnn(x, initial_carry=carry, seq_lengths=lengths)

    return run


# How nnx names what linen names otherwise.
_NNX_NAMES = {"if": "if_", "i": "dense_i", "h": "dense_h"}


def _parameters(layer: Recurrent, weights: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Return the parameters of linen's cells by the name of their Dense layer."""
    gru = gru_weights(layer, weights) if layer.class_name == "GRU" else None
    if gru is not None:
        W, U, bias = gru.W.T, gru.U.T, gru.b
        gates, biased = "rzn", "i"
    else:
        W, U = weights["kernel"], weights["recurrent_kernel"]
        bias = weights.get("bias", np.zeros(W.shape[1], W.dtype))
        gates, biased = ("ifgo", "h") if layer.class_name == "LSTM" else ("", "i")
    count = max(len(gates), 1)
    parameters: dict[str, dict[str, Array]] = {}
    for side, array in (("i", W), ("h", U)):
        for index, kernel in enumerate(np.split(array, count, axis=1)):
            name = side + gates[index : index + 1]
            parameters[name] = {"kernel": kernel}
            if side == biased:
                parameters[name]["bias"] = np.split(bias, count)[index]
    if gru is not None:
        parameters["hn"]["bias"] = gru.b_n
    return parameters


def _is_simple_rnn_with_lengths(problem: Problem) -> bool:
    """Return whether a problem is a plain SimpleRNN that runs forward over lengths."""
    layer = problem.layer
    if not isinstance(layer, Recurrent) or layer.class_name != "SimpleRNN" or layer.go_backwards:
        return False
    plain = layer.use_bias and not layer.return_sequences and problem.initial_state is None
    return plain and problem.mask is not None and layer.activation == "tanh"


LINEN_SCRIPT = LayerScript("Flax", "reproduce_flax.py.j2", expresses=_is_simple_rnn_with_lengths)
SUBJECTS = tuple(
    Registration(
        f"flax:{api}",
        partial(make, api),
        f"Flax {api}, RNN with its LSTMCell, GRUCell and SimpleCell",
        packages=("flax", "jax"),
        extra="flax",
        rank=51,
        script=LINEN_SCRIPT if api == "linen" else None,
    )
    for api in ("linen", "nnx")
)
