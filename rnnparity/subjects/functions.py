"""A user's own function or object as a subject; its outputs may be plain arrays of any library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.problem import Problem
from rnnparity.subjects.user_arrays import named_gradients, named_outputs

# What a problem's function may return: a sequence of arrays in Keras' order, a mapping of arrays by
# name, or one array. An array is whatever NumPy can convert.
Function = Callable[[Problem], object]


class PlainSubject(Protocol):
    """A third party's subject, whose answer may be what a function may return."""

    def versions(self) -> Mapping[str, object]:
        """Return name and version of what computes."""

    def answer(self, problem: Problem) -> object:
        """Return the outputs of a problem, or an Answer."""


class FunctionSubject:
    """A subject from a function of a Problem.

    The function returns a sequence of arrays in Keras' order, a mapping of arrays by name, or one
    array; it raises `Unsupported` for a problem that it cannot compute. It gets problems with
    dropout masks if it has a true attribute `takes_dropout_masks`. `packages` are installed ones
    whose versions are those of what computes.
    """

    def __init__(self, function: Function, packages: Sequence[str] = ()) -> None:
        self.function = function
        self.packages = packages
        self.takes_dropout_masks = bool(getattr(function, "takes_dropout_masks", False))

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in self.packages}

    def answer(self, problem: Problem) -> Answer:
        return Answer(named_outputs(problem, self.function(problem)))

    def gradients(self, problem: Problem) -> Answer:
        return _gradients_of(self.function, problem)

    def train(self, problem: Problem) -> Answer:
        """Return the weights after a training step from the function's attribute `train`."""
        train = getattr(self.function, "train", None)
        if train is None:
            raise Unsupported("it has no attribute train")
        return Answer(named_outputs(problem, train(problem)))


class ForeignSubject:
    """A third party's subject, whose answer may be an Answer or plain arrays."""

    def __init__(self, subject: PlainSubject) -> None:
        self.subject = subject
        self.takes_dropout_masks = bool(getattr(subject, "takes_dropout_masks", False))

    def versions(self) -> dict[str, str]:
        versions = self.subject.versions()
        return {str(name): str(version) for name, version in versions.items()}

    def answer(self, problem: Problem) -> Answer:
        answer = self.subject.answer(problem)
        if isinstance(answer, Answer):
            return answer
        return Answer(named_outputs(problem, answer))

    def gradients(self, problem: Problem) -> Answer:
        return _gradients_of(self.subject, problem)


def _gradients_of(owner: object, problem: Problem) -> Answer:
    """Return what the attribute `gradients` of a function or an object, itself a function, gives.

    Raises:
        Unsupported: there is none.
    """
    function = getattr(owner, "gradients", None)
    if function is None:
        raise Unsupported("it has no attribute gradients")
    answer = function(problem)
    return (
        answer
        if isinstance(answer, Answer)
        else Answer((), gradients=named_gradients(problem, answer))
    )
