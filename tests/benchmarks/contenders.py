"""The same forward pass by every implementation that is installed, each made ready once and then
called.

`CONTENDERS[name](problem)` gives the call that is timed: from the problem's inputs (B, T, D) to its
output (B, T, H) as a NumPy array. Weights, sessions, traced functions and compiled code are made
before. Frameworks keep to one thread. Only SimpleRNN, LSTM, GRU with `reset_after` and
Bidirectional of them with `concat`, all with `return_sequences`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from rnnparity.problem.layers import Bidirectional, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference import prepare

Call = Callable[[], Any]


class LeftOutError(Exception):
    """This contender cannot run here; the message is the reason."""


def needs(module: str) -> None:
    if find_spec(module) is None:
        raise LeftOutError(f"{module} is not installed")


def half_weights(problem: Problem) -> list[tuple[np.ndarray, ...]]:
    """Kernel (D, G*H), recurrent kernel (H, G*H) and bias of each half."""
    count = len(halves(problem.layer))
    arrays = [tensor.data for tensor in problem.weights]
    each = len(arrays) // count
    return [tuple(arrays[n * each : (n + 1) * each]) for n in range(count)]


# --- NumPy
# -----------------------------------------------------------------------------------------------------------


def reference(dtype: type[Any]) -> Callable[[Problem], Call]:
    def ready(problem: Problem) -> Call:
        run = prepare(problem, dtype)
        return lambda: run()[0].data

    return ready


def products(dtype: type[Any]) -> Callable[[Problem], Call]:
    """What no implementation with these products can do without: x W of all steps, and h U step by
    step."""

    def ready(problem: Problem) -> Call:
        batch, steps, features = problem.inputs.shape
        x = problem.inputs.data.astype(dtype).reshape(batch * steps, features)
        weights = [
            (kernel.astype(dtype), recurrent.astype(dtype))
            for kernel, recurrent, _ in half_weights(problem)
        ]
        h = np.zeros((batch, weights[0][1].shape[0]), dtype)
        projected = np.empty((batch * steps, weights[0][0].shape[1]), dtype)
        z = np.empty((batch, weights[0][1].shape[1]), dtype)

        def call() -> None:
            for kernel, recurrent in weights:
                np.matmul(x, kernel, out=projected)
                for _ in range(steps):
                    np.matmul(h, recurrent, out=z)

        return call

    return ready


# --- tf.keras
# --------------------------------------------------------------------------------------------------------


def keras_layer(problem: Problem) -> Any:
    import keras

    half = problem.layer.forward if isinstance(problem.layer, Bidirectional) else problem.layer
    layer = getattr(keras.layers, half.class_name)(half.units, return_sequences=True)
    if isinstance(problem.layer, Bidirectional):
        layer = keras.layers.Bidirectional(layer)
    layer.build(problem.inputs.shape)
    layer.set_weights([tensor.data for tensor in problem.weights])
    return layer


@cache
def tensorflow() -> Any:
    needs("tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def tf_keras(path: str) -> Callable[[Problem], Call]:
    def ready(problem: Problem) -> Call:
        tf = tensorflow()
        layer = keras_layer(problem)
        x = tf.constant(problem.inputs.data)
        if path == "eager":
            return lambda: layer(x).numpy()
        function = tf.function(layer, jit_compile=path == "xla", autograph=False)
        return lambda: function(x).numpy()

    return ready


def keras_numpy(problem: Problem) -> Call:
    """In a process of its own, for Keras reads its backend when it is imported; the way there and
    back is timed too."""
    needs("keras")
    pipe = _numpy_process()
    pipe.send(problem)
    message = pipe.recv()
    if isinstance(message, str):
        raise LeftOutError(message)

    def call() -> Any:
        pipe.send(message)
        return pipe.recv()

    return call


@cache
def _numpy_process() -> Any:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there,), daemon=True).start()
    there.close()
    return here


def _serve(pipe: Any) -> None:
    """Answers a problem with the number of its layer (or why there is none), and a number with that
    layer's output."""
    os.environ["KERAS_BACKEND"] = "numpy"
    calls: list[Call] = []
    while True:
        try:
            asked = pipe.recv()
        except EOFError:  # the other end has gone
            return
        if isinstance(asked, int):
            pipe.send(calls[asked]())
            continue
        try:
            layer = keras_layer(asked)
        except ImportError as error:
            pipe.send(f"Keras' NumPy backend cannot be imported: {error}")
            continue
        calls.append(lambda layer=layer, x=asked.inputs.data: np.asarray(layer(x)))
        pipe.send(len(calls) - 1)


# --- PyTorch
# ---------------------------------------------------------------------------------------------------------


def pytorch(problem: Problem) -> Call:
    needs("torch")
    import torch

    torch.set_num_threads(1)
    half = halves(problem.layer)[0][1]
    kind = {"SimpleRNN": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}[half.class_name]
    both = isinstance(problem.layer, Bidirectional)
    layer = kind(problem.inputs.shape[2], half.units, batch_first=True, bidirectional=both)
    # Keras' order of blocks and PyTorch's: LSTM i f c o in both, GRU z r h and r z n.
    order = {"SimpleRNN": "h", "LSTM": "ifco", "GRU": "rzh"}[half.class_name]
    with torch.no_grad():
        for suffix, (kernel, recurrent, bias) in zip(
            ("", "_reverse"), half_weights(problem), strict=False
        ):
            rows = np.broadcast_to(bias, (2, kernel.shape[1])) * (
                1.0 if bias.ndim == 2 else [[1.0], [0.0]]
            )
            for name, array in {
                "weight_ih": kernel,
                "weight_hh": recurrent,
                "bias_ih": rows[0],
                "bias_hh": rows[1],
            }.items():
                value = in_order(array, half.class_name, order).T.astype(np.float32)
                getattr(layer, f"{name}_l0{suffix}").copy_(
                    torch.from_numpy(np.ascontiguousarray(value))
                )
    x = torch.from_numpy(problem.inputs.data)

    def call() -> Any:
        with torch.inference_mode():
            return layer(x)[0].numpy()

    return call


# --- ONNX
# ------------------------------------------------------------------------------------------------------------


def onnx_model(problem: Problem) -> Any:
    """One RNN, LSTM or GRU node between two transpositions: ONNX has T first and keeps the
    directions apart."""
    needs("onnx")
    from onnx import TensorProto, helper, numpy_helper

    half = halves(problem.layer)[0][1]
    kind, order = {"SimpleRNN": ("RNN", "h"), "LSTM": ("LSTM", "iofc"), "GRU": ("GRU", "zrh")}[
        half.class_name
    ]
    W, R, B = [], [], []
    for kernel, recurrent, bias in half_weights(problem):
        W.append(in_order(kernel, half.class_name, order).T)
        R.append(in_order(recurrent, half.class_name, order).T)
        rows = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        B.append(np.concatenate([in_order(row, half.class_name, order) for row in rows]))
    batch, steps, features = problem.inputs.shape
    named = {"W": W, "R": R, "B": B}
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(np.stack(v), np.float32), k)
        for k, v in named.items()
    ]
    constants.append(
        numpy_helper.from_array(np.array([batch, steps, len(W) * half.units]), "shape")
    )
    direction = "bidirectional" if len(W) == 2 else "forward"
    node = helper.make_node(
        kind, ["x_t", *named], ["y_t"], hidden_size=half.units, direction=direction,
        **({"linear_before_reset": 1} if kind == "GRU" else {}),
    )  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["x"], ["x_t"], perm=[1, 0, 2]),
        node,
        helper.make_node(
            "Transpose", ["y_t"], ["y_b"], perm=[2, 0, 1, 3]
        ),  # (T, 2, B, H) -> (B, T, 2, H)
        helper.make_node("Reshape", ["y_b", "shape"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, steps, features])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, steps, len(W) * half.units])
    graph = helper.make_graph(nodes, "rnn", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def onnx_runtime(problem: Problem) -> Call:
    needs("onnxruntime")
    model = onnx_model(problem)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": problem.inputs.data})[0]


def onnx_evaluator(problem: Problem) -> Call:
    model = onnx_model(problem)
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)
    return lambda: session.run(None, {"x": problem.inputs.data})[0]


def in_order(array: np.ndarray, class_name: str, order: str) -> np.ndarray:
    """The blocks of the last axis in another framework's order."""
    keras_order = {"SimpleRNN": "h", "LSTM": "ifco", "GRU": "zrh"}[class_name]
    blocks = np.split(array, len(keras_order), axis=-1)
    return np.concatenate([blocks[keras_order.index(gate)] for gate in order], axis=-1)


CONTENDERS: dict[str, Callable[[Problem], Call]] = {
    "products float64": products(np.float64),
    "products float32": products(np.float32),
    "reference float64": reference(np.float64),
    "reference float32": reference(np.float32),
    "tf.keras eager": tf_keras("eager"),
    "tf.keras graph": tf_keras("graph"),
    "tf.keras XLA": tf_keras("xla"),
    "Keras NumPy": keras_numpy,
    "PyTorch": pytorch,
    "ONNX Runtime": onnx_runtime,
    "ONNX ReferenceEvaluator": onnx_evaluator,
}
