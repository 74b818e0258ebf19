"""The answer of a subject to a problem, and the interface of every subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from rnnparity.problem.answer_types import Gradients
from rnnparity.problem.problem import Problem, Tensor


class Unsupported(Exception):  # noqa: N818 - a verdict, not an error
    """A subject cannot run a problem; the message is the reason.

    >>> raise Unsupported("no masks")
    Traceback (most recent call last):
    rnnparity.problem.answer.Unsupported: no masks
    """


@dataclass(frozen=True)
class Answer:
    """The outputs of a subject in its own dtypes, and the seconds inside the subject.

    `facts` are what it states without computing (see `rnnparity.verdict.expectations`); `versions`
    those that it announces with an answer, as a program does that is not known before. `gradients`
    are there where these were asked for, in the order of `Problem.gradient_slots`.
    """

    outputs: tuple[Tensor, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    gradients: Gradients | None = None


class Subject(Protocol):
    """An implementation of the layers."""

    def versions(self) -> dict[str, str]:
        """Return name and version of every package that computes: {"keras": "3.15.1"}."""

    def answer(self, problem: Problem) -> Answer:
        """Return the outputs of one problem.

        Raises:
            Unsupported: the subject cannot run this problem.
        """


@runtime_checkable
class TrainableSubject(Subject, Protocol):
    """An implementation that can also be trained."""

    def train(self, problem: Problem) -> Answer:
        """Return the weights after the problem's training step, as outputs.

        Raises:
            Unsupported: the subject cannot do this step.
        """


@runtime_checkable
class DifferentiableSubject(Subject, Protocol):
    """An implementation that can also run backward."""

    def gradients(self, problem: Problem) -> Answer:
        """Return the gradients for the cotangents of one problem; no outputs are needed.

        Raises:
            Unsupported: the subject has no gradients of this problem.
        """
