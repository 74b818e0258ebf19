"""What a subject returns for a problem, and the interface that every subject has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rnnparity.problem.problem import Problem, Tensor


class Unsupported(Exception):  # noqa: N818 - a verdict, not an error
    """This subject cannot run this problem; the message is the reason."""


@dataclass(frozen=True)
class Answer:
    """What a subject gave: outputs in its own types, facts it stated (see `expectations`), seconds
    inside it."""

    outputs: tuple[Tensor, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Subject(Protocol):
    """An implementation of the layers."""

    def versions(self) -> dict[str, str]:
        """Name and version of what computes, e.g. {"keras": "3.15.1"}."""

    def answer(self, problem: Problem) -> Answer:
        """Run one problem.

        Raises:
            Unsupported: this problem is none for this subject.
        """
