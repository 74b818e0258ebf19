"""Mistakes in how halves, initial states and calls are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import FindingType
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from validation.mistakes.layers import equal_layers
from validation.mistakes.memory import has_joined_halves
from validation.mistakes.mistake import (
    Implementation,
    Mistake,
    is_two_ways,
    masked,
    port,
)
from validation.mistakes.port import merged, returning
from validation.off_list.cells import States, run

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
        outputs = run(replace(problem, layer=whole))
        return [y[:, -1] if y.ndim == 3 else y for y in outputs]

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


def _states_of_layers(problem: Problem, rng: Rng) -> Implementation:
    """Read the initial states of the layers, (B, L, H), in the memory of (L, B, H)."""

    def implementation(problem: Problem) -> list[Array]:
        states = problem.initial_state or ()
        by_name = {t.name.rpartition("/")[2] for t in states}
        read = {}
        for name in by_name:
            same = [t for t in states if t.name.rpartition("/")[2] == name]
            stacked = np.stack([t.data for t in same], axis=1)
            arrays = stacked.reshape(len(same), *same[0].shape)
            read |= {t.name: array for t, array in zip(same, arrays, strict=True)}
        tensors = tuple(replace(t, data=read[t.name]) for t in states)
        return run(replace(problem, initial_state=tensors))

    return implementation


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
            source="pytorch/pytorch#10838",
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
            "initial states read from (B, L, H) memory",
            ((FindingType.INITIAL_STATE, ""),),
            _states_of_layers,
            lambda p: p.initial_state is not None and equal_layers(p),
            source="Stable-Baselines-Team/stable-baselines3-contrib#111",
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
