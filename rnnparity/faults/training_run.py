"""A training step by its parts, for steps with a fault."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute
from rnnparity.reference.gradients.arithmetic import TapedArithmetic
from rnnparity.reference.gradients.backward import BackwardUnroller
from rnnparity.reference.gradients.training import step_of


class TrainingRun:
    """A training step that can be taken in other ways."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.step = problem, step_of(problem)
        self.names = [tensor.name for tensor in problem.weights]
        self.sizes = [target.data.size for target in self.step.targets]

    @cached_property
    def before(self) -> list[Array]:
        """The weights before the step."""
        return [tensor.data.astype(np.float64) for tensor in self.problem.weights]

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        return compute(self.problem)

    @cached_property
    def change(self) -> list[Array]:
        """The learning rate times the gradient of each weight."""
        return self.change_of(np.ones(len(self.sizes)))

    def change_of(self, factors: Sequence[float] | Array) -> list[Array]:
        """Return the same where the loss of each output is multiplied by a factor."""
        slopes = self.slopes(factors)
        gradients = BackwardUnroller(self.problem, TapedArithmetic()).gradients(slopes)
        return self.change_by([gradient[0] for gradient in gradients])

    def slopes(self, factors: Sequence[float] | Array) -> list[Tensor]:
        """Return the gradients of the loss with respect to the outputs.

        The loss of each output is multiplied by a factor.
        """
        triples = zip(self.outputs, self.step.targets, factors, strict=True)
        return [
            Tensor(output.name, factor * 2 * (output.data - target.data) / target.data.size)
            for output, target, factor in triples
        ]

    def change_by(self, gradients: Sequence[Array]) -> list[Array]:
        """Return the learning rate times the gradient of each weight.

        `gradients` are those of inputs, weights and initial states.
        """
        return [self.step.lr * gradient for gradient in gradients[1 : 1 + len(self.names)]]

    def moved(self, change: Sequence[Array]) -> list[Array]:
        """Return the weights after a step by this change."""
        return [before - by for before, by in zip(self.before, change, strict=True)]
