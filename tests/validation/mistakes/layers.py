"""Mistakes in what goes from layer to layer of a stack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import FindingType
from rnnparity.problem.layers import Stack, halves
from rnnparity.problem.problem import Problem, Tensor
from validation.mistakes.mistake import (
    Implementation,
    Mistake,
    is_stack,
    port,
)
from validation.mistakes.port import Port
from validation.off_list.cells import Behaviour, run

AFTER, INPUTS, AXES = FindingType.AFTER_LAYER, FindingType.INPUTS, FindingType.AXES_EXCHANGED
Rng = np.random.Generator


def _between_dropped(problem: Problem, rng: Rng) -> Implementation:
    rate, seed = float(rng.choice([0.1, 0.2, 0.3, 0.4])), int(rng.integers(1 << 30))

    def between(x: Array, y: Array) -> Array:
        keep = np.random.default_rng(seed).random(y.shape) >= rate
        keep[0, :, 0] = False  # something is dropped
        return y * keep / np.float32(1 - rate)

    return Port(between=between)


def _cell_state_between(problem: Problem, rng: Rng) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        prefixes = [prefix for prefix, _ in halves(problem.layer) if prefix.startswith("0/")]
        return run(problem, dict.fromkeys(prefixes, Behaviour(returns="c")))

    return implementation


def _second_over_batch(problem: Problem, rng: Rng) -> Implementation:
    """Give the second layer batch and time in place of each other."""

    def implementation(problem: Problem) -> list[Array]:
        assert isinstance(problem.layer, Stack)
        weights = [
            tuple(replace(t, name=t.name[2:]) for t in problem.weights if t.name.startswith(prefix))
            for prefix in ("0/", "1/")
        ]
        first, second = problem.layer.layers
        (between,) = run(replace(problem, layer=first, weights=weights[0]))
        inputs = Tensor("inputs", between.swapaxes(0, 1))
        (output,) = run(replace(problem, layer=second, weights=weights[1], inputs=inputs))
        return [output.swapaxes(0, 1)]

    return implementation


def returns_state(problem: Problem) -> bool:
    return len(problem.output_slots()) > 1


def _first_layer(problem: Problem, rng: Rng) -> Implementation:
    """Return the output of the first layer: h_n[0] instead of h_n[-1]."""

    def implementation(problem: Problem) -> list[Array]:
        assert isinstance(problem.layer, Stack)
        outputs = run(problem)
        first = replace(
            problem.layer.layers[0],
            return_sequences=problem.layer.layers[-1].return_sequences,
            return_state=False,
        )
        weights = tuple(t for t in problem.weights if t.name.startswith("0/"))
        states = problem.initial_state
        if states is not None:
            states = tuple(t for t in states if t.name.startswith("0/"))
        alone = replace(problem, layer=Stack((first,)), weights=weights, initial_state=states)
        return [run(alone)[0], *outputs[1:]]

    return implementation


def equal_layers(problem: Problem) -> bool:
    units = {half.units for _, half in halves(problem.layer)}
    return is_stack(problem) and len(units) == 1


def _below_is_lstm(problem: Problem) -> bool:
    return is_stack(problem) and problem.layer.layers[0].class_name == "LSTM"  # type: ignore[union-attr]


def layer_mistakes() -> list[Mistake]:
    """Return these mistakes."""
    return [
        Mistake(
            "last step of the layer below repeated",
            ((INPUTS, "of-last-step"),),
            port(between=lambda x, y: np.repeat(y[:, -1:], y.shape[1], axis=1)),
            is_stack,
        ),
        Mistake(
            "c of the layer below",
            ((FindingType.OTHER_QUANTITY, "c"),),
            _cell_state_between,
            _below_is_lstm,
            source="pytorch/examples#167",
        ),
        Mistake(
            "dropout between layers left on",
            ((INPUTS, "dropped"),),
            _between_dropped,
            is_stack,
            True,
        ),
        Mistake(
            "relu between layers",
            ((AFTER, "relu"),),
            port(between=lambda x, y: np.maximum(y, 0)),
            is_stack,
        ),
        Mistake(
            "inputs of the layer below",
            ((FindingType.OTHER_QUANTITY, "what goes into the layer"),),
            port(between=lambda x, y: x),
            lambda p: is_stack(p) and p.inputs.shape[-1] == p.layer.layers[0].units,
            source="Currie32/Spell-Checker#12",
        ),
        Mistake(
            "second layer over the batch",
            ((AXES, "over-batch"),),
            _second_over_batch,
            lambda p: (
                is_stack(p) and p.mask is None and p.initial_state is None and not returns_state(p)
            ),
            sequences=True,
            source="exe1023/LSTM_LN#1",
        ),
        Mistake(
            "residual between layers",
            ((AFTER, "inputs-added"),),
            port(between=lambda x, y: x + y),
            lambda p: is_stack(p) and p.inputs.shape[-1] == p.layer.layers[0].units,
        ),
        Mistake(
            "output of the layer below reversed",
            ((INPUTS, "steps-reversed"),),
            port(between=lambda x, y: y[:, ::-1]),
            is_stack,
        ),
        Mistake(
            "output of the first layer",
            ((FindingType.OTHER_QUANTITY, "the output of layer 0"),),
            _first_layer,
            equal_layers,
        ),
    ]
