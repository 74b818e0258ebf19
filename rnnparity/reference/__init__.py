"""What Keras' recurrent layers compute: the specification (`spec`) and the engine behind it.

`compute` returns the outputs in float64 (or float32 if asked), `compute_exactly` the correctly
rounded ones from hundreds of digits, `compute_with_noise` the outputs with sigma beside every
value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnnparity.problem.dtypes import Array, FloatType
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import Slot
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.reference.engine import StepRecord, Unroller
from rnnparity.reference.extremes import ExtremesRecorder, StateExtremes
from rnnparity.reference.memory import NOISE, PLAIN, TRACE, check_memory
from rnnparity.reference.noise import CORRELATED, NoiseArithmetic

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

FloatScalar: TypeAlias = type[np.float64] | type[np.float32]
TraceStep: TypeAlias = StepRecord[Array]


def compute(problem: Problem, dtype: FloatScalar = np.float64) -> tuple[Tensor, ...]:
    """Return the outputs in Keras' order, computed in `dtype`.

    Raises:
        RequestError: the problem does not fit in memory, here as in every function below.
    """
    return prepare(problem, dtype)()


def prepare(problem: Problem, dtype: FloatScalar = np.float64) -> Callable[[], tuple[Tensor, ...]]:
    """Return `compute` as a function that can be called many times, with the weights prepared."""
    check_memory(problem, PLAIN)
    unroller = Unroller(problem, PlainArithmetic(dtype))
    return lambda: _named(unroller.slots, unroller.run())


def compute_exactly(problem: Problem) -> tuple[Tensor, ...]:
    """Return the outputs as correctly rounded float64, some 100 times slower than `compute`.

    Raises:
        RequestError: mpmath is missing.
    """
    from rnnparity.reference.exact import ExactArithmetic

    outputs = Unroller(problem, ExactArithmetic()).run()
    rounded = [np.asarray(output, np.float64) for output in outputs]
    return _named(problem.output_slots(), rounded)


def trace(problem: Problem) -> list[TraceStep]:
    """Return every gate and state (B, H) of every half at every step, in processing order."""
    check_memory(problem, TRACE)
    steps: list[TraceStep] = []
    Unroller(problem, PlainArithmetic()).run(steps.append)
    return steps


def variants(problem: Problem, weights: Mapping[str, Array]) -> list[Array]:
    """Return the outputs for V sets of weights, each array of which has a leading axis V.

    Weights that are not named keep their values. The outputs have the leading axis too.
    """
    count = len(next(iter(weights.values())))
    outputs = Unroller(problem, PlainArithmetic(), weights).run()
    return [
        np.broadcast_to(output, (count, *output.shape[-len(slot.shape) :]))
        for output, slot in zip(outputs, problem.output_slots(), strict=True)
    ]


@dataclass(frozen=True)
class NoisyOutputs:
    """Outputs in float64 with their sigma, in units of the values.

    `extremes` has those of every state of every half ("h", "forward/c") at every step.
    """

    outputs: tuple[Tensor, ...]
    sigmas: tuple[Array, ...]
    extremes: Mapping[str, StateExtremes]


def compute_with_noise(problem: Problem, precision: FloatType | None = None) -> NoisyOutputs:
    """Return the outputs with the noise that arithmetic in each layer's type leaves in them.

    A declared precision counts for the layers whose type is finer.
    """
    check_memory(problem, NOISE)
    recorder = ExtremesRecorder()
    unroller = Unroller(problem, NoiseArithmetic(problem.layer.compute_dtype, precision))
    noisy = unroller.run(recorder.record)
    outputs = _named(unroller.slots, [output.value for output in noisy])
    return NoisyOutputs(outputs, tuple(output.sigma for output in noisy), recorder.extremes())


def _named(slots: Sequence[Slot], arrays: Sequence[Array]) -> tuple[Tensor, ...]:
    return tuple(Tensor(slot.name, array) for slot, array in zip(slots, arrays, strict=True))
