"""Ports of Keras' layers with a fault, under the names of Keras' layers, and other custom layers.

Import it only where TensorFlow is there.
"""

from __future__ import annotations

import keras
from keras import layers


@keras.saving.register_keras_serializable("port")
class SwappedCell(layers.LSTMCell):
    """An LSTM cell that takes the input gate for the forget gate."""

    def _compute_carry_and_output_fused(self, z, c_tm1):
        i, f, c, o = z
        return super()._compute_carry_and_output_fused((f, i, c, o), c_tm1)


@keras.saving.register_keras_serializable("port")
class LSTM(layers.LSTM):
    """A port of LSTM under its name, whose step is wrong."""

    def __init__(self, units, **options):
        super().__init__(units, **options)
        self.cell = SwappedCell(units)


@keras.saving.register_keras_serializable("port")
class MinimalCell(layers.Layer):
    """A cell that no layer of Keras has."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = self.state_size = self.output_size = units

    def call(self, inputs, states):
        h = states[0] + keras.ops.mean(inputs, axis=-1, keepdims=True)
        return h, [h]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("port")
class Encoder(keras.Model):
    """A model with an Embedding and a list of layers as attributes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.embedding = layers.Embedding(20, 4, mask_zero=True)
        self.recurrent = [layers.GRU(5, return_sequences=True), layers.LSTM(3)]

    def call(self, ids):
        x = self.embedding(ids)
        for layer in self.recurrent:
            x = layer(x)
        return x


class Decoder(keras.Model):
    """A model that calls a cell itself."""

    def __init__(self):
        super().__init__()
        self.cell = layers.GRUCell(3, name="cell")

    def call(self, x):
        h = keras.ops.zeros((x.shape[0], 3))
        for step in range(x.shape[1]):
            h, _ = self.cell(x[:, step], [h])
        return h


class Vectorized(keras.Model):
    """A model whose layer gets no numbers, only symbols."""

    def __init__(self):
        super().__init__()
        self.layer = layers.GRU(3)

    def call(self, x):
        return keras.ops.vectorized_map(lambda row: self.layer(row[None])[0], x)


class Sum(keras.Model):
    """A model with two arguments."""

    def __init__(self):
        super().__init__()
        self.layer = layers.GRU(3)

    def call(self, x, y):
        return self.layer(x + y)
