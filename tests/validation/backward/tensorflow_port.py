"""The port to TensorFlow: each half is a tf.custom_gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Tensor
from validation.backward.half import Half
from validation.backward.ops import Arrays, T, TensorFlowOps
from validation.backward.port import Port, as_array


class TensorFlowPort(Port):
    ops = TensorFlowOps()

    def leaf(self, tensor: Tensor) -> T:
        return tf.constant(tensor.data.astype(np.float32))

    def apply(self, half: Half, x: T, weights: Arrays, states: Arrays) -> Sequence[T]:
        @tf.custom_gradient
        def run(x: T, W: T, U: T, b: T, *states: T) -> tuple[Any, Callable[..., Any]]:
            outputs = [tf.identity(each) for each in half.forward(x, W, U, b, list(states))]
            return outputs, lambda d_output, *d_last: half.backward(d_output, list(d_last))

        result: Sequence[T] = run(x, *weights, *states)
        return result

    def found(self, leaves: Arrays, cotangents: Arrays) -> Sequence[Array | None]:
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            outputs = self.outputs()
        return list(map(as_array, tape.gradient(outputs, leaves, cotangents)))
