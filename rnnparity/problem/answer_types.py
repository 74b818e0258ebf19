"""What a problem asks for: its outputs, its gradients, or the weights after a training step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from rnnparity.problem.tensor import Tensor


class AnswerType(StrEnum):
    """What the tensors of an answer are."""

    OUTPUTS = "outputs"
    GRADIENTS = "gradients"
    TRAINED_WEIGHTS = "trained weights"


# In the order of `Problem.gradient_slots`; None where a framework has no gradient.
Gradients: TypeAlias = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class TrainingStep:
    """One step of gradient descent: after = before - lr * gradient, for every weight.

    The loss is the sum, over all outputs, of the mean of (output - target)^2 over all elements.
    `targets` have the names and shapes of the outputs; `lr` is a number of float32, as Keras keeps
    it.
    """

    lr: float
    targets: tuple[Tensor, ...]
