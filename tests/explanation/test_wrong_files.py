"""Files whose weights are wrong: the other side is right, and what the weights seem to be is named."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, SHAPE, random_problem, spec_of

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.reference import compute
from rnnparity.report.text.messages import faults_name


def in_blocks(order):
    """Cut Keras' blocks, and join them in another order."""

    def edit(w):
        blocks = np.split(w, len(order), axis=-1)
        return np.concatenate([blocks["ifco".index(gate)] for gate in order], axis=-1)

    return edit


def by_units(w):
    """Order the columns by units, all gates of unit 0 first."""
    return w.reshape(*w.shape[:-1], 4, -1).swapaxes(-1, -2).reshape(w.shape)


def by_gates(w):
    """Order columns that are taken to be by units as whole gates."""
    return w.reshape(*w.shape[:-1], -1, 4).swapaxes(-1, -2).reshape(w.shape)


@pytest.mark.parametrize(
    ("edit", "arrays", "name", "seems"),
    [
        (
            in_blocks("iofc"),
            (0, 1, 2),
            "gate-order: LSTM iofc (ONNX) in all weights",
            "i, o, f, c (ONNX)",
        ),
        (
            in_blocks("icof"),
            (0, 1, 2),
            "gate-order: LSTM icof (from ONNX) in all weights",
            "i, c, o, f",
        ),
        (
            by_units,
            (0, 1, 2),
            "kernel-layout: all weights interleaved",
            "seem to be all gates of one",
        ),
        (
            by_gates,
            (0,),
            "kernel-layout: kernel interleaved, read as whole gates",
            "reordered by mistake",
        ),
        (
            lambda w: w.T.reshape(w.shape),
            (0,),
            "kernel-layout: kernel reshaped to (G*H, D)",
            "from (G*H, D) to (D, G*H)",
        ),
        (lambda w: w[::-1], (0,), "features-reversed: kernel", "reverse order"),
        (lambda b: 2 * b, (2,), "bias-halved", "twice"),
        (lambda b: b / 2, (2,), "bias-doubled", "half"),
    ],
)
def test_mistake_in_the_weights_of_the_file_is_named(edit, arrays, name, seems):
    problem = random_problem(spec_of("lstm", 5, **BOTH), 0, SHAPE)
    weights = [
        replace(tensor, data=edit(tensor.data) if index in arrays else tensor.data)
        for index, tensor in enumerate(problem.weights)
    ]
    wrong_file = replace(problem, weights=tuple(weights)).with_outputs(compute(problem, np.float32))
    diagnosis = diagnose(wrong_file)
    assert faults_name(diagnosis.fits[0].faults) == name
    assert seems in diagnosis.explanation.descriptions[0].in_file


def test_order_in_which_blocks_arrive_is_named():
    """Code for Keras' order that got ONNX' blocks."""
    problem = random_problem(spec_of("lstm", 5, **BOTH), 0, SHAPE)
    weights = [replace(tensor, data=in_blocks("iofc")(tensor.data)) for tensor in problem.weights]
    outputs = compute(replace(problem, weights=tuple(weights)), np.float32)
    diagnosis = diagnose(problem.with_outputs(outputs))
    assert faults_name(diagnosis.fits[0].faults).startswith("gate-order: LSTM icof (from ONNX)")
    assert (
        "the blocks that it gets are i, o, f, c (ONNX)" in diagnosis.explanation.descriptions[0].fix
    )
