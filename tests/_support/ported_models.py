"""A model in NumPy (LSTM, Dense, Bidirectional GRU, Dense) and ports of it, with faults or without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from _support.random_problems import random_problem

from rnnparity.faults import lookup, mutate
from rnnparity.models.calls import Call, Recording
from rnnparity.models.ports.port import Port
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute

B, T, D, H, K = 3, 7, 4, 6, 5
LSTM = {"class_name": "LSTM", "config": {"units": H, "return_sequences": True}}
GRU = {
    "class_name": "Bidirectional",
    "config": {"layer": {"class_name": "GRU", "config": {"units": 3}}},
}


def dense(x, columns, seed):
    W = np.random.default_rng(seed).standard_normal((x.shape[-1], columns))
    return np.tanh(x @ W).astype("float32")


def outputs_of(problem, fault=None):
    """The outputs in float32, with a fault (cause, variant)."""
    tensors = compute(problem) if fault is None else mutate(problem, lookup(*fault))[0].outputs
    return tuple(Tensor.of(tensor.name, tensor.data) for tensor in tensors)


def run_model(faults=None, head_seed=3):
    """(problem, outputs) of both layers, the hidden activations between them, and the final output."""
    faults = faults or {}
    first = replace(random_problem(LSTM, 1, (B, T, D)), id="first")
    first_outputs = outputs_of(first, faults.get("first"))
    hidden = dense(first_outputs[0].data, K, 2)
    second = random_problem(GRU, 4, (B, T, K))
    second = replace(second, id="encoder/second", inputs=Tensor("inputs", hidden))
    second_outputs = outputs_of(second, faults.get("second"))
    return first, first_outputs, second, second_outputs, dense(second_outputs[0].data, 2, head_seed)


def call_of(problem, outputs):
    shapes = problem.inputs.shape, None, outputs[0].shape
    return Call(problem.id, "RNN", 1, *shapes, problem, outputs)


def recorded_model():
    """What is recorded of the healthy model."""
    first, first_outputs, second, second_outputs, final = run_model()
    calls = (call_of(first, first_outputs), call_of(second, second_outputs))
    inputs = (Tensor("x", first.inputs.data),)
    return Recording(calls, inputs, (Tensor("0", final),))


def ported_model(faults=None, head_seed=3, extra=()):
    """A port with other names and orders of axes, and tensors that belong to nothing."""
    first, first_outputs, second, second_outputs, final = run_model(faults, head_seed)
    rng = np.random.default_rng(9)
    sequence = first_outputs[0].data
    arrays = [
        ("x", first.inputs.data),
        ("noise_0", rng.standard_normal((B, T, H))),
        ("lstm", sequence.transpose(1, 0, 2)[:, None]),
        ("lstm_copy", sequence),
        ("dense", second.inputs.data),
        ("gru", second_outputs[0].data.reshape(B, 2, 3).transpose(1, 0, 2)),
        *extra,
        ("final", final),
    ]
    tensors = tuple(Tensor(name, array.astype("float32")) for name, array in arrays)
    return Port(tensors, tensors[-1:])
