"""The executable specification: what Keras' recurrent layers compute, in readable NumPy.

`compute` gives the outputs in float64 (or float32 when asked), `compute_exactly` the correctly
rounded ones by way of hundreds of digits, `compute_with_noise` the outputs with sigma beside every
value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot
from rnnparity.reference.arithmetic import CORRELATED, ManyDigits, Plain, WithNoise
from rnnparity.reference.engine import TraceStep, Unroller

__all__ = [
    "CORRELATED",
    "NoisyOutputs",
    "TraceStep",
    "Unroller",
    "compute",
    "compute_exactly",
    "compute_with_noise",
    "prepare",
    "trace",
    "variants",
]


def compute(problem: Problem, dtype: type[Any] = np.float64) -> tuple[Tensor, ...]:
    """The outputs in Keras' order, computed and returned in `dtype` (numpy.float64 or
    numpy.float32)."""
    return prepare(problem, dtype)()


def prepare(problem: Problem, dtype: type[Any] = np.float64) -> Callable[[], tuple[Tensor, ...]]:
    """`compute` with the weights made ready beforehand: what it returns can be called again and
    again."""
    unroller = Unroller(problem, Plain(dtype))
    return lambda: _named(unroller.slots, unroller.run().outputs)


def compute_exactly(problem: Problem) -> tuple[Tensor, ...]:
    """The outputs as correctly rounded float64, computed with hundreds of digits (some 100 times
    slower)."""
    letters = Unroller(problem, ManyDigits()).run().outputs
    slots = problem.output_slots()
    return tuple(
        Tensor(slot.name, np.asarray(letter, np.float64))
        for slot, letter in zip(slots, letters, strict=True)
    )


def trace(problem: Problem) -> list[TraceStep]:
    """Every gate and state (B, H) of every half at every step, in processing order, in float64."""
    return Unroller(problem, Plain()).run(trace=True).trace


def variants(problem: Problem, weights: Mapping[str, Array]) -> list[Array]:
    """The outputs in float64 for several sets of weights at once: each array has a leading axis of
    V variants.

    Weights not named keep their values. The outputs have the leading axis too.
    """
    count = len(next(iter(weights.values())))
    pairs = zip(
        Unroller(problem, Plain(), weights).run().outputs, problem.output_slots(), strict=True
    )
    return [np.broadcast_to(x, (count, *x.shape[-len(slot.shape) :])) for x, slot in pairs]


@dataclass(frozen=True)
class NoisyOutputs:
    """Outputs in float64, their sigma in absolute units, and every half's states with theirs over
    all steps."""

    outputs: tuple[Tensor, ...]
    sigmas: tuple[Array, ...]
    states: Mapping[str, tuple[Array, Array]]


def compute_with_noise(problem: Problem) -> NoisyOutputs:
    """The outputs and the noise that arithmetic in the compute type of each layer would leave in
    them.

    `states` maps a half's state ("h", "forward/c") to its values and sigmas, (T, B, H) each in
    processing order.
    """
    arithmetics = {name: WithNoise(name) for name in FLOAT_TYPES}
    result = Unroller(problem, arithmetics.__getitem__).run(trace=True)
    states: dict[str, tuple[list[Array], list[Array]]] = {}
    for step in result.trace:
        for name, letter in step.states.items():
            values, noises = states.setdefault(step.half + name, ([], []))
            values.append(letter.value)
            noises.append(letter.noise)
    named = _named(problem.output_slots(), [letter.value for letter in result.outputs])
    stacked = {
        name: (np.stack(values), np.sqrt(np.stack(noises)))
        for name, (values, noises) in states.items()
    }
    return NoisyOutputs(named, tuple(letter.sigma for letter in result.outputs), stacked)


def _named(slots: Sequence[Slot], outputs: Sequence[Array]) -> tuple[Tensor, ...]:
    return tuple(Tensor(slot.name, array) for slot, array in zip(slots, outputs, strict=True))
