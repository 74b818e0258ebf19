"""Mistakes with the rows, the memory and the padding of inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import FindingType
from rnnparity.problem.layers import Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from validation.mistakes.mistake import (
    Implementation,
    Mistake,
    is_two_ways,
    on_inputs,
    on_output,
    one_output,
)
from validation.off_list.cells import run

INPUTS, AXES, ROWS = FindingType.INPUTS, FindingType.AXES_EXCHANGED, FindingType.ROWS_PERMUTED
Rng = np.random.Generator


def _reshaped(y: Array, _: Problem) -> Array:
    batch, steps, units = y.shape
    return y.transpose(1, 0, 2).reshape(batch, steps, units)


def _everything_reshaped(problem: Problem, rng: Rng) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        x = problem.inputs.data
        batch, steps, features = x.shape
        read = x.reshape(steps, batch, features).transpose(1, 0, 2)
        output, *others = run(replace(problem, inputs=Tensor("inputs", read)))
        return [output.transpose(1, 0, 2).reshape(output.shape), *others]

    return implementation


def _onnx_memory(y: Array, problem: Problem) -> Array:
    """Return (T, 2, B, H) in the memory of (B, T, 2H)."""
    batch, steps, width_ = y.shape
    return y.reshape(batch, steps, 2, -1).transpose(1, 2, 0, 3).reshape(batch, steps, width_)


def _states_memory(y: Array, problem: Problem) -> Array:
    """Return (2, B, H) in the memory of (B, 2H)."""
    return y.reshape(len(y), 2, -1).transpose(1, 0, 2).reshape(y.shape)


def has_joined_halves(problem: Problem) -> bool:
    return is_two_ways(problem) and problem.layer.merge_mode == "concat"  # type: ignore[union-attr]


def _padded(*, before: bool) -> Callable[[Problem, Rng], Implementation]:
    """Return the maker of an implementation that computes one to three steps of zeros as well."""

    def make(problem: Problem, rng: Rng) -> Implementation:
        count = int(rng.integers(1, 4))

        def implementation(problem: Problem) -> list[Array]:
            batch, steps, features = problem.inputs.shape
            zeros = np.zeros((batch, count, features), np.float32)
            parts = [zeros, problem.inputs.data] if before else [problem.inputs.data, zeros]
            inputs = np.concatenate(parts, axis=1)
            output, *states = run(replace(problem, inputs=Tensor("inputs", inputs)))
            if output.ndim == 3:
                last = last_layer(problem.layer)
                reverses = isinstance(last, Recurrent) and last.go_backwards
                output = output[:, count:] if before is not reverses else output[:, :steps]
            return [output, *states]

        return implementation

    return make


def last_layer(layer: Layer) -> Layer:
    """Return the layer whose output is returned."""
    return layer.layers[-1] if isinstance(layer, Stack) else layer


def _by_length(problem: Problem, rng: Rng) -> Implementation:
    """Return the rows in the order of their lengths, the longest first."""

    def implementation(problem: Problem) -> list[Array]:
        assert problem.mask is not None
        order = np.argsort(-problem.mask.sum(axis=1), kind="stable")
        return [array[order] for array in run(problem)]

    return implementation


def _unsorted(problem: Problem) -> bool:
    return problem.mask is not None and bool((np.diff(problem.mask.sum(axis=1)) > 0).any())


def _over_batch(problem: Problem, rng: Rng) -> Implementation:
    """Let time be the first axis of the inputs: batch_first was forgotten."""

    def implementation(problem: Problem) -> list[Array]:
        inputs = Tensor("inputs", problem.inputs.data.swapaxes(0, 1))
        (output,) = run(replace(problem, inputs=inputs))
        return [output.swapaxes(0, 1)]

    return implementation


def _only_sequences(problem: Problem) -> bool:
    no_state = problem.initial_state is None and problem.mask is None
    return no_state and [slot.name for slot in problem.output_slots()] == ["output"]


def memory_mistakes() -> list[Mistake]:
    """Return these mistakes."""
    return [
        Mistake(
            "row 0 for all rows",
            ((ROWS, ""),),
            lambda p, rng: lambda p: [a[:1].repeat(len(a), 0) for a in run(p)],
        ),
        Mistake(
            "rows sorted by length",
            ((ROWS, ""),),
            _by_length,
            _unsorted,
            source="pytorch/pytorch#3662",
        ),
        Mistake(
            "output read from (T, B, H) memory",
            ((AXES, "reshaped"),),
            on_output(_reshaped),
            one_output,
            sequences=True,
            source="sherjilozair/ctc#1",
        ),
        Mistake(
            "inputs read from (T, B, D) memory",
            ((INPUTS, "read-as-time-first"),),
            on_inputs(lambda x: x.transpose(1, 0, 2).reshape(x.shape)),
        ),
        Mistake(
            "inputs and output reshaped to time first",
            ((AXES, "read-as-time-first"),),
            _everything_reshaped,
            one_output,
            sequences=True,
            source="HHTseng/video-classification#42",
        ),
        Mistake(
            "recurs over the batch",
            ((AXES, "over-batch"),),
            _over_batch,
            _only_sequences,
            sequences=True,
            source="AndersonJo/dqn-pytorch#1",
        ),
        Mistake(
            "output read from (T, 2, B, H) memory",
            ((AXES, "halves"),),
            on_output(_onnx_memory),
            has_joined_halves,
            sequences=True,
            source="onnx/onnx#921",
        ),
        Mistake(
            "last output read from (2, B, H) memory",
            ((AXES, "halves"),),
            on_output(_states_memory),
            has_joined_halves,
            sequences=False,
            source="graykode/nlp-tutorial#38",
        ),
        Mistake(
            "zero steps before",
            ((INPUTS, "zero-steps-before"),),
            _padded(before=True),
            lambda p: p.mask is None,
        ),
        Mistake(
            "zero steps after",
            ((INPUTS, "zero-steps-after"),),
            _padded(before=False),
            lambda p: p.mask is None,
        ),
    ]
