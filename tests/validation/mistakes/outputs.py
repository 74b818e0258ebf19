"""Mistakes with the output of a layer: what is done to it afterwards."""

from __future__ import annotations

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import FindingType
from rnnparity.problem.problem import Problem
from validation.mistakes.mistake import (
    Implementation,
    Mistake,
    on_output,
    one_output,
    output_edit,
    width,
)
from validation.off_list.cells import run

AFTER = FindingType.AFTER_LAYER
Rng = np.random.Generator


def _affine(problem: Problem, rng: Rng) -> Implementation:
    scale, shift = (np.float32(rng.uniform(0.3, 2.5)) for _ in range(2))
    return output_edit(lambda y, _: scale * y - shift)


def _shift(problem: Problem, rng: Rng) -> Implementation:
    bias = rng.standard_normal(width(problem)).astype(np.float32)
    return output_edit(lambda y, _: y + bias)


def _batch_norm(problem: Problem, rng: Rng) -> Implementation:
    scale, shift = rng.standard_normal((2, width(problem))).astype(np.float32)
    return output_edit(lambda y, _: y * scale + shift)


def _layer_norm(problem: Problem, rng: Rng) -> Implementation:
    epsilon = np.float32(rng.choice([1e-12, 1e-8, 1e-6, 1e-2]))
    return output_edit(lambda y, _: _normalized(y, epsilon))


def _layer_norm_with_weights(problem: Problem, rng: Rng) -> Implementation:
    scale, shift = rng.standard_normal((2, width(problem))).astype(np.float32)
    return output_edit(lambda y, _: _normalized(y, 1e-3) * scale + shift)


def _normalized(y: Array, epsilon: float) -> Array:
    return (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + epsilon)


def _clipped(problem: Problem, rng: Rng) -> Implementation:
    most = np.abs(run(problem)[0]).max() * np.float32(rng.uniform(0.3, 0.8))
    return output_edit(lambda y, _: np.clip(y, -most, most))


def _dropped(problem: Problem, rng: Rng) -> Implementation:
    rate = float(rng.choice([0.1, 0.2, 0.3, 0.4]))
    shape = run(problem)[0].shape
    keep = rng.random(shape) >= rate
    keep[0] &= np.arange(shape[-1]) > 0  # something is dropped

    def edit(y: Array, _: Problem) -> Array:
        return y * keep / np.float32(1 - rate)

    return output_edit(edit)


def _of_batch(y: Array, _: Problem) -> Array:
    axes = tuple(range(y.ndim - 1))
    return (y - y.mean(axes)) / np.sqrt(y.var(axes) + 1e-3)


def output_mistakes() -> list[Mistake]:
    """Return these mistakes."""
    return [
        Mistake("2 y - 1", ((AFTER, "scaled-and-shifted"),), _affine, one_output),
        Mistake("y + bias", ((AFTER, "units-shifted"),), _shift, one_output),
        Mistake(
            "fused batch normalization",
            ((AFTER, "units-scaled-and-shifted"),),
            _batch_norm,
            one_output,
        ),
        Mistake(
            "normalized over the batch",
            ((AFTER, "units-scaled-and-shifted"), (AFTER, "batch-normalized")),
            on_output(_of_batch),
            one_output,
        ),
        Mistake(
            "inputs added",
            ((AFTER, "inputs-added"),),
            on_output(lambda y, p: y + p.inputs.data),
            lambda p: one_output(p) and width(p) == p.inputs.shape[-1],
            sequences=True,
        ),
        Mistake(
            "last inputs added",
            ((AFTER, "inputs-added"),),
            on_output(lambda y, p: y + p.inputs.data[:, -1]),
            lambda p: one_output(p) and width(p) == p.inputs.shape[-1],
            sequences=False,
        ),
        Mistake(
            "layer normalization, another epsilon",
            ((AFTER, "layer-normalized-epsilon"), (AFTER, "layer-normalized", 0.0)),
            _layer_norm,
            lambda p: one_output(p) and width(p) > 2,
        ),
        Mistake(
            "layer normalization with weights",
            ((AFTER, "layer-normalized-and-scaled"),),
            _layer_norm_with_weights,
            lambda p: one_output(p) and width(p) > 2,
        ),
        Mistake("output clipped", ((AFTER, "clipped"),), _clipped, one_output),
        Mistake("dropout of the output left on", (), _dropped, one_output, cause="dropout-active"),
        Mistake(
            "mean over the rows",
            ((AFTER, "mean-of-rows"),),
            lambda p, rng: lambda p: [a.mean(0, keepdims=True).repeat(len(a), 0) for a in run(p)],
        ),
    ]
