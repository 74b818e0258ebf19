"""The subject of the README's example: an LSTM that has exchanged its input and forget gates."""

from dataclasses import replace

import numpy as np

from rnnparity import run


def swapped_lstm(problem):
    """Return the outputs of the problem with the blocks i and f of every weight exchanged."""
    weights = []
    for tensor in problem.weights:
        i, f, c, o = np.split(tensor.data, 4, axis=-1)
        weights.append(replace(tensor, data=np.concatenate([f, i, c, o], axis=-1)))
    outputs = run(replace(problem, weights=tuple(weights))).outputs
    return [tensor.data.astype(np.float32) for tensor in outputs]
