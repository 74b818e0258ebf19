"""Checks that a problem has what its layer needs: names, shapes, dtypes, finite numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnparity.problem.errors import FormatError
from rnnparity.problem.shapes import Slot, dropout_slots, state_slots, weight_slots
from rnnparity.problem.tensor import Tensor

if TYPE_CHECKING:
    from rnnparity.problem.answer_types import Gradients, TrainingStep
    from rnnparity.problem.problem import Problem

AXES = (("B", "batch"), ("T", "time"), ("D", "feature"))


def check_problem(problem: Problem) -> None:
    """Raise FormatError for the first thing that the layer does not have."""
    where, shape = problem.id, problem.inputs.shape
    if len(shape) != len(AXES):
        raise FormatError(f"{where}: inputs: got shape {shape}, expected the axes B, T, D")
    for (letter, axis), size in zip(AXES, shape, strict=True):
        if size == 0:
            message = f"got shape {shape}, expected at least 1 along the {axis} axis {letter}"
            raise FormatError(f"{where}: inputs: {message}")
    batch, _, features = shape
    _check_tensors(f"{where}: weights", problem.weights, weight_slots(problem.layer, features))
    _check_finite(f"{where}: inputs", problem.inputs)
    _check_mask(problem)
    if problem.initial_state is not None:
        slots = state_slots(problem.layer, batch)
        _check_tensors(f"{where}: initial_state", problem.initial_state, slots)
    _check_calls(problem)
    if problem.dropout_masks is not None:
        _check_dropout_masks(problem, problem.dropout_masks)
    if problem.cotangents is not None:
        _check_tensors(f"{where}: cotangents", problem.cotangents, problem.output_slots())
    if problem.training_step is not None:
        _check_training_step(problem, problem.training_step)
    if problem.gradients is not None:
        _check_gradients(problem, problem.gradients)


def _check_training_step(problem: Problem, step: TrainingStep) -> None:
    where = f"{problem.id}: training_step"
    if not (step.lr > 0 and np.isfinite(step.lr) and float(np.float32(step.lr)) == step.lr):
        example = "a positive number that float32 represents exactly, such as 0.125"
        raise FormatError(f"{where}: lr: got {step.lr}, expected {example}")
    _check_tensors(f"{where}: targets", step.targets, problem.output_slots())
    if problem.cotangents is not None:
        raise FormatError(f"{where}: got cotangents too, expected one of both")
    if len(problem.steps) > 1:
        raise FormatError(f"{where}: got {len(problem.steps)} calls, expected one")


def _check_gradients(problem: Problem, gradients: Gradients) -> None:
    """Names and shapes only: numbers that are not finite are for the verdict."""
    where, slots = f"{problem.id}: gradients", problem.gradient_slots()
    if problem.cotangents is None:
        raise FormatError(f"{where}: got gradients without cotangents, expected both")
    if len(gradients) != len(slots):
        names = ", ".join(slot.name for slot in slots)
        raise FormatError(f"{where}: got {len(gradients)}, expected {len(slots)}: {names}")
    for tensor, slot in zip(gradients, slots, strict=True):
        if tensor is not None and tensor.name != slot.name:
            raise FormatError(f"{where}: got {tensor.name}, expected {slot.name}")
        if tensor is not None and tensor.shape != slot.shape:
            message = f"got shape {tensor.shape}, expected {slot.shape}"
            raise FormatError(f"{where}: {slot.name}: {message}")


def _check_mask(problem: Problem) -> None:
    mask, expected = problem.mask, problem.inputs.shape[:2]
    if mask is not None and (mask.dtype != bool or mask.shape != expected):
        actual = f"got {mask.dtype} of shape {mask.shape}"
        raise FormatError(f"{problem.id}: mask: {actual}, expected bool of shape {expected}")


def _check_dropout_masks(problem: Problem, masks: Sequence[Tensor]) -> None:
    """Check that each mask is one that the layer may have, for all gates or for each."""
    where = f"{problem.id}: dropout_masks"
    batch, _, features = problem.inputs.shape
    slots = {slot.name: slot for slot in dropout_slots(problem.layer, batch, features)}
    names = [tensor.name for tensor in masks]
    if not names or names != [name for name in slots if name in names]:
        actual, expected = ", ".join(names) or "none", ", ".join(slots)
        raise FormatError(f"{where}: got {actual}, expected some of {expected}, in this order")
    for tensor in masks:
        gates, *rest = slots[tensor.name].shape
        shapes = sorted({(1, *rest), (gates, *rest)})
        if tensor.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise FormatError(f"{where}: {tensor.name}: got {tensor.shape}, expected {expected}")
        _check_finite(f"{where}: {tensor.name}", tensor)


def _check_calls(problem: Problem) -> None:
    calls, steps = problem.calls, problem.inputs.shape[1]
    if calls is None:
        return
    if not problem.layer.stateful:
        raise FormatError(f"{problem.id}: calls: got {list(calls)}, expected a stateful layer")
    if min(calls, default=0) < 1 or sum(calls) != steps:
        expected = f"positive numbers of sum T={steps}"
        raise FormatError(f"{problem.id}: calls: got {list(calls)}, expected {expected}")


def _check_tensors(where: str, tensors: Sequence[Tensor], slots: Sequence[Slot]) -> None:
    actual = ", ".join(tensor.name for tensor in tensors) or "none"
    expected = ", ".join(slot.name for slot in slots)
    if actual != expected:
        raise FormatError(f"{where}: got {actual}, expected {expected}")
    for tensor, slot in zip(tensors, slots, strict=True):
        if tensor.shape != slot.shape:
            message = f"got shape {tensor.shape}, expected {slot.shape}"
            raise FormatError(f"{where}: {tensor.name}: {message}")
        _check_finite(f"{where}: {tensor.name}", tensor)


def _check_finite(where: str, tensor: Tensor) -> None:
    finite = np.isfinite(tensor.data)
    if not finite.all():
        index = [int(axis) for axis in np.argwhere(~finite)[0]]
        value = tensor.data[tuple(index)]
        raise FormatError(f"{where}{index}: got {value}, expected a finite number")
