"""Mistakes in how halves, layers, states and calls are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import FindingType
from rnnparity.problem.layers import Stack, halves
from rnnparity.problem.problem import Problem
from validation.mistakes.memory import has_joined_halves
from validation.mistakes.mistake import (
    Implementation,
    Mistake,
    is_stack,
    is_two_ways,
    masked,
    port,
)
from validation.mistakes.port import Port, merged, returning
from validation.off_list.cells import Behaviour, States, run

AFTER, INPUTS, AXES = FindingType.AFTER_LAYER, FindingType.INPUTS, FindingType.AXES_EXCHANGED
Rng = np.random.Generator


def _interleaved(mode: str | None, sequences: Sequence[Array]) -> list[Array]:
    if mode != "concat":
        return merged(mode, sequences)
    return [np.stack(sequences, axis=-1).reshape(*sequences[0].shape[:-1], -1)]


def _sum_for_mean(mode: str | None, sequences: Sequence[Array]) -> list[Array]:
    return merged({"ave": "sum", "sum": "ave"}.get(mode or "", mode), sequences)


def _reversed_within_lengths(y: Array, mask: Array) -> Array:
    """Reverse only as many steps as count: the padded ones stay where they were computed."""
    result = y.copy()
    for row, count in enumerate(mask.sum(axis=1)):
        result[row, :count] = y[row, :count][::-1]
    return result


def _last_step(problem: Problem, rng: Rng) -> Implementation:
    """Take the last time step of the sequence of both halves: out[:, -1]."""

    def implementation(problem: Problem) -> list[Array]:
        whole = returning(problem.layer, sequences=True)
        output, *states = run(replace(problem, layer=whole))
        return [output[:, -1], *states]

    return implementation


def _first(edit: Callable[[Array], Array]) -> Callable[..., States]:
    def first(states: States, call: int) -> States:
        return {name: edit(array) for name, array in states.items()} if call == 0 else states

    return first


def _at_calls(edit: Callable[[Array, int], Array]) -> Callable[..., States]:
    def first(states: States, call: int) -> States:
        return {name: edit(array, call) for name, array in states.items()} if call else states

    return first


def _without_first_row(states: Array, call: int) -> Array:
    return states * (np.arange(len(states)) > 0)[:, None]


def _between_dropped(problem: Problem, rng: Rng) -> Implementation:
    rate, seed = float(rng.choice([0.1, 0.2, 0.3, 0.4])), int(rng.integers(1 << 30))

    def between(x: Array, y: Array) -> Array:
        keep = np.random.default_rng(seed).random(y.shape) >= rate
        return y * keep / np.float32(1 - rate)

    return Port(between=between)


def _cell_state_between(problem: Problem, rng: Rng) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        prefixes = [prefix for prefix, _ in halves(problem.layer) if prefix.startswith("0/")]
        return run(problem, dict.fromkeys(prefixes, Behaviour(returns="c")))

    return implementation


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


def _equal_layers(problem: Problem) -> bool:
    units = {half.units for _, half in halves(problem.layer)}
    return is_stack(problem) and len(units) == 1


def _below_is_lstm(problem: Problem) -> bool:
    return is_stack(problem) and problem.layer.layers[0].class_name == "LSTM"  # type: ignore[union-attr]


def _shared_weights(problem: Problem, rng: Rng) -> Implementation:
    """Let the last half use the weights of the one before."""

    def implementation(problem: Problem) -> list[Array]:
        count = len(problem.weights) // 2
        arrays = [t.data for t in problem.weights[:count]] * 2
        pairs = zip(problem.weights, arrays, strict=True)
        return run(replace(problem, weights=tuple(replace(t, data=array) for t, array in pairs)))

    return implementation


def _can_share(problem: Problem) -> bool:
    shapes = [tensor.shape for tensor in problem.weights]
    count = len(shapes) // 2
    return (
        not len(shapes) % 2 and shapes[:count] == shapes[count:] and len(halves(problem.layer)) == 2
    )


def wiring_mistakes() -> list[Mistake]:
    """Return these mistakes."""
    return [
        Mistake(
            "units of the halves alternate",
            ((AXES, "halves"),),
            port(merge=_interleaved),
            has_joined_halves,
        ),
        Mistake(
            "sum for mean",
            (),
            port(merge=_sum_for_mean),
            lambda p: is_two_ways(p) and p.layer.merge_mode in ("sum", "ave"),
        ),
        Mistake(
            "backward output reversed within lengths",
            ((AFTER, "reversed-within-lengths"),),
            port(backward=_reversed_within_lengths),
            lambda p: is_two_ways(p) and masked(p),
            sequences=True,
            source="lmnt-com/haste#12",
        ),
        Mistake("last time step of both halves", (), _last_step, is_two_ways, sequences=False),
        Mistake(
            "weights of the other half", ((FindingType.BLOCK, ""),), _shared_weights, _can_share
        ),
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
        ),
        Mistake(
            "dropout between layers left on", ((INPUTS, "dropped"),), _between_dropped, is_stack
        ),
        Mistake(
            "relu between layers",
            ((AFTER, "relu"),),
            port(between=lambda x, y: np.maximum(y, 0)),
            is_stack,
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
            _equal_layers,
            source="pytorch: h_n[0] for h_n[-1]",
        ),
        Mistake(
            "initial state of row 0 for all rows",
            ((FindingType.INITIAL_STATE, ""),),
            port(first=_first(lambda s: s[:1].repeat(len(s), 0))),
            lambda p: p.initial_state is not None,
        ),
        Mistake(
            "initial states in other rows",
            ((FindingType.INITIAL_STATE, ""),),
            port(first=_first(lambda s: np.roll(s, 1, 0))),
            lambda p: p.initial_state is not None,
        ),
        Mistake(
            "initial states read from (H, B) memory",
            ((FindingType.INITIAL_STATE, ""),),
            port(first=_first(lambda s: s.T.reshape(s.shape))),
            lambda p: p.initial_state is not None,
        ),
        Mistake(
            "states of other rows in the next call",
            ((FindingType.RECURRENCE, "calls-rows-permuted"),),
            port(first=_at_calls(lambda s, call: np.roll(s, 1, 0))),
            calls=True,
            source="keras-team/keras#1870",
        ),
        Mistake(
            "one row reset between calls",
            ((FindingType.RECURRENCE, "calls-row-reset"),),
            port(first=_at_calls(_without_first_row)),
            calls=True,
        ),
        Mistake(
            "reset before the last call",
            ((FindingType.RECURRENCE, "call-restarts"),),
            port(first=_at_calls(lambda s, call: s * (call != 2))),
            lambda p: len(p.calls or ()) > 2,
            calls=True,
        ),
    ]
