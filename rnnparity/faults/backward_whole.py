"""Faults of the cotangents, and of all gradients together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnnparity.faults.backward_arrays import ONCE
from rnnparity.faults.backward_edit import EditCotangents, EditGradients, Gradients
from rnnparity.faults.fault import Fault
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem

SUM = "Sum over rows and steps, do not average: the gradient is that of the sum of cotangent times output."
NO_LIMIT = "Compare gradients before the optimizer clips them."
LIMIT = 1.0


def _drop_cotangents(chosen: Callable[[str], bool]) -> EditCotangents:
    """Return the edit that leaves out the cotangents of the outputs with chosen names."""

    def edited(problem: Problem, cotangents: list[Array]) -> list[Array] | None:
        drop = [chosen(slot.name) for slot in problem.output_slots()]
        if not any(drop) or all(drop):
            return None
        pairs = zip(cotangents, drop, strict=True)
        return [np.zeros_like(array) if out else array for array, out in pairs]

    return EditCotangents(edited)


def _is_state(name: str) -> bool:
    return not name.endswith("output")


def _keep_last_step(problem: Problem, cotangents: list[Array]) -> list[Array] | None:
    if not problem.layer.return_sequences or problem.inputs.shape[1] == 1:
        return None
    last = np.arange(problem.inputs.shape[1])[:, None] == problem.inputs.shape[1] - 1
    return [np.where(last, array, 0) if array.ndim == 3 else array for array in cotangents]


def _all(edit: Callable[[Problem, Array], Array], weights_only: bool = False) -> EditGradients:
    """Return the edit of every gradient, or of the weights' only."""

    def edited(problem: Problem, gradients: Gradients) -> Gradients:
        weights = {tensor.name for tensor in problem.weights}
        return {
            name: edit(problem, array) if name in weights or not weights_only else array
            for name, array in gradients.items()
        }

    return EditGradients(edited)


def clipped_values(limit: float) -> Fault:
    """Return the fault that clips every gradient."""
    return Fault("gradient-clipped", f"values, to {limit:.6g}",
        f"Every gradient is clipped to [-{limit:.6g}, {limit:.6g}].",
        NO_LIMIT, edit=_all(lambda _, array: np.clip(array, -limit, limit)))  # fmt: skip


def _over_rows(problem: Problem, array: Array) -> Array:
    return array / problem.inputs.shape[0]


def _over_rows_and_steps(problem: Problem, array: Array) -> Array:
    return array / (problem.inputs.shape[0] * problem.inputs.shape[1])


def _limited_norm(_: Problem, array: Array) -> Array:
    return array / max(1.0, float(np.linalg.norm(array)) / LIMIT)


def _limited_together(problem: Problem, gradients: Gradients) -> Gradients:
    weights = {tensor.name for tensor in problem.weights}
    squares = [float((gradients[name] ** 2).sum()) for name in weights]
    factor = 1 / max(1.0, float(np.sqrt(sum(squares))) / LIMIT)
    return {n: factor * array if n in weights else array for n, array in gradients.items()}


# fmt: off
WHOLE_BACKWARD_FAULTS = (
    Fault("cotangent-dropped", "states",
        "The cotangents of the returned states are not used.",
        "Add what flows back from the returned states: they are outputs.",
        edit=_drop_cotangents(_is_state)),
    Fault("cotangent-dropped", "outputs",
        "The cotangents of the outputs are not used, only those of the states.",
        "Add what flows back from the outputs.",
        edit=_drop_cotangents(lambda name: not _is_state(name))),
    Fault("cotangent-dropped", "state c",
        "The cotangent of the returned c is not used.",
        "Add what flows back from the returned states: they are outputs.",
        edit=_drop_cotangents(lambda name: name.endswith("c"))),
    Fault("cotangent-dropped", "all steps but the last",
        "Only the cotangent of the last step of a sequence is used.",
        "Use the cotangent of every step of a returned sequence.",
        edit=EditCotangents(_keep_last_step)),
    Fault("gradient-averaged", "over the rows",
        "All gradients are divided by the number of rows of the batch.",
        SUM, edit=_all(_over_rows)),
    Fault("gradient-averaged", "weights, over the rows",
        "The gradients of the weights are divided by the number of rows of the batch.",
        SUM, edit=_all(_over_rows, weights_only=True)),
    Fault("gradient-averaged", "weights, over rows and steps",
        "The gradients of the weights are divided by the number of rows times that of steps.",
        SUM, edit=_all(_over_rows_and_steps, weights_only=True)),
    clipped_values(LIMIT),
    Fault("gradient-clipped", "norms",
        "The gradient of each weight array is scaled to a norm of 1 at most.",
        NO_LIMIT,
        seen_in="the argument clipnorm of an optimizer",
        edit=_all(_limited_norm, weights_only=True)),
    Fault("gradient-clipped", "norm of all weights",
        "The gradients of the weights are scaled to a common norm of 1 at most.",
        NO_LIMIT,
        seen_in="the argument global_clipnorm of an optimizer, clip_grad_norm_",
        edit=EditGradients(_limited_together)),
    Fault("gradient-doubled", "all",
        "All gradients are counted twice.",
        ONCE,
        seen_in="gradients that are not set to zero before the backward pass",
        edit=_all(lambda _, array: 2 * array)),
    Fault("gradient-negated", "all",
        "All gradients have the opposite sign.",
        "Return the gradient, not the step of an optimizer.",
        edit=_all(lambda _, array: -array)),
)
# fmt: on
