"""The calls of a model's recurrent layers, and their results, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rnnparity.problem.errors import DIFFERS, USAGE
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult, Explanation, Verdict
from rnnparity.problem.tensor import Tensor


class Note(StrEnum):
    """What is remarkable about a call, whatever its verdict."""

    # Its input has a mask, which Keras does not use because the call has initial states.
    MASK_IGNORED = "mask-ignored"
    # A file of Keras 2, in which `hard_sigmoid` is another function than in Keras 3.
    HARD_SIGMOID_KERAS_2 = "hard-sigmoid-keras-2"


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a recurrent layer, with what entered it and what it returned.

    `layer` is its path inside the model ("encoder/lstm"), `number` counts its calls from 1.
    `problem` is None where the layer is not computed, and `reason` states why. Shapes are those of
    the layer's own inputs, mask and first output.
    """

    layer: str
    class_name: str
    number: int
    input_shape: tuple[int, ...]
    mask_shape: tuple[int, ...] | None
    output_shape: tuple[int, ...]
    problem: Problem | None = None
    outputs: tuple[Tensor, ...] = ()
    reason: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def id(self) -> str:
        """The layer's path, with the number of the call from the second on."""
        return self.layer if self.number == 1 else f"{self.layer}#{self.number}"


@dataclass(frozen=True, eq=False)
class CallResult:
    """A call and the verdict on its outputs; `unsupported` where the layer is not computed."""

    call: Call
    result: CaseResult


@dataclass(frozen=True, eq=False)
class ModelResult:
    """The results of all calls in the order of execution.

    `explanation` is that of the first call that differs, None where none does.
    """

    calls: tuple[CallResult, ...]
    explanation: Explanation | None = None

    @property
    def first_difference(self) -> CallResult | None:
        """The first call whose outputs differ."""
        return next((call for call in self.calls if call.result.failing), None)

    @property
    def compared(self) -> int:
        """The number of calls that were compared."""
        return sum(call.result.verdict.compared for call in self.calls)

    @property
    def status(self) -> int:
        """The exit status: 1 where a call differs, 2 where none was compared, else 0."""
        if self.first_difference is not None:
            return DIFFERS
        return 0 if self.compared else USAGE

    @property
    def passed(self) -> bool:
        return self.status == 0


def not_compared(call: Call) -> CallResult:
    """Return the result of a call that is not computed."""
    return CallResult(call, CaseResult(call.id, Verdict.UNSUPPORTED, reason=call.reason))
