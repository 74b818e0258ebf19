"""The calls of a model's recurrent layers, and their results, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from rnnparity.explanation.digits import PrintedDigits
from rnnparity.problem.errors import DIFFERS, USAGE
from rnnparity.problem.explanations import Explanation
from rnnparity.problem.findings import AfterLayer
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict


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
class Recording:
    """One run of a model: the calls of its recurrent layers, its inputs and its final outputs.

    `inputs` and `outputs` have the model's order; inputs have its names where it has any.
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class CallResult:
    """A call and the verdict on its outputs; `unsupported` where the layer is not computed.

    `problem` has the outputs that were judged. A result that differs has its cause, and the
    explanation unless the cause is that of an earlier call.
    """

    call: Call
    result: CaseResult
    problem: Problem | None = None


@dataclass(frozen=True, eq=False)
class PortCall(CallResult):
    """A call of the model, and the verdict on the port's outputs; `unsupported` if not compared.

    `problem` has the port's own inputs and its outputs, `tensor` is the name of the first of these.
    `inputs_differ`: the port's own inputs or states are not those of the model, by more than noise.
    `hidden` is a call before one that differs: the port does not show what it returns, so that the
    model's was taken. `printed` are the digits that its outputs were printed with, and compared to.
    `padding_differs`: it agrees but for masked steps, on which the final outputs do not depend.
    `applied` is the function of the model's inputs that the port's are, where they differ by one.
    """

    tensor: str = ""
    inputs_differ: bool = False
    hidden: str = ""
    printed: PrintedDigits | None = None
    padding_differs: bool = False
    applied: AfterLayer | None = None

    @property
    def suspect(self) -> str:
        """The hidden call that may be what differs instead, "" where the cause of this one is certain."""
        cause = self.result.cause
        return "" if cause is not None and cause.explained and cause.certain else self.hidden


Result = TypeVar("Result", bound=CallResult)


@dataclass(frozen=True, eq=False)
class _Results(Generic[Result]):
    """The results of calls in the order of execution."""

    calls: tuple[Result, ...]

    @property
    def first_failing(self) -> Result | None:
        """The first of these calls whose outputs differ."""
        return next((call for call in self.calls if call.result.failing), None)

    @property
    def first_difference(self) -> CallResult | None:
        """The first call whose outputs differ."""
        return self.first_failing

    @property
    def explanation(self) -> Explanation | None:
        """The explanation of the first call whose outputs differ."""
        first = self.first_difference
        return first.result.explanation if first else None

    @property
    def compared(self) -> int:
        """The number of calls that were compared."""
        return sum(call.result.verdict.compared for call in self.calls)

    @property
    def status(self) -> int:
        """The exit status: 1 where something differs, 2 where nothing was compared, else 0."""
        if self.first_difference is not None:
            return DIFFERS
        return 0 if self.compared else USAGE

    @property
    def passed(self) -> bool:
        return self.status == 0


@dataclass(frozen=True)
class OutputComparison:
    """A final output of the model and the port's: the largest difference of a value.

    `tolerance` is the largest that counts as noise, in the units of the values, and `relative` the
    part of the largest value that it is. `follows`: a recurrent layer differs, so that the output
    must differ too, and is not judged. `printed` are the digits that the port's was printed with.
    """

    name: str
    largest: float
    tolerance: float
    relative: float
    follows: bool = False
    printed: PrintedDigits | None = None

    @property
    def differs(self) -> bool:
        return not self.largest <= self.tolerance


@dataclass(frozen=True, eq=False)
class PortResult(_Results[PortCall]):
    """The comparison of a model with the port of this name: its calls and its final outputs.

    `weights` maps the weights of layers to the keys of a state dict.
    """

    port: str = ""
    outputs: tuple[OutputComparison, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def changed_inputs(self) -> PortCall | None:
        """The first call whose inputs differ although no call before it does.

        Then other layers before it differ, or calls that were not compared. Noise that has grown
        in an inconclusive call is no such difference.
        """
        for call in self.calls:
            if call.inputs_differ:
                return call
            if call.result.failing or call.result.verdict is Verdict.INCONCLUSIVE:
                return None
        return None

    @property
    def without_weights(self) -> tuple[PortCall, ...]:
        """The calls of layers for which a state dict has no weights: it is not known to agree."""
        if not self.weights:
            return ()
        unsupported = Verdict.UNSUPPORTED
        return tuple(
            call
            for call in self.calls
            if call.call.problem is not None and call.result.verdict is unsupported
        )

    @property
    def status(self) -> int:
        if self.changed_inputs is not None or any(output.differs for output in self.outputs):
            return DIFFERS
        if self.without_weights and self.first_difference is None:
            return USAGE
        return 0 if self.outputs and self.first_difference is None else super().status


@dataclass(frozen=True, eq=False)
class ModelResult(_Results[CallResult]):
    """The comparison of a model with what Keras specifies, and with a port where there is one."""

    port: PortResult | None = None

    @property
    def first_difference(self) -> CallResult | None:
        """The first call whose outputs differ from what Keras specifies, else the port's first."""
        if self.first_failing is None and self.port is not None:
            return self.port.first_difference
        return self.first_failing

    @property
    def status(self) -> int:
        if self.port is not None and self.first_failing is None:
            return self.port.status
        return super().status


def not_compared(call: Call) -> CallResult:
    """Return the result of a call that is not computed."""
    return CallResult(call, CaseResult(call.id, Verdict.UNSUPPORTED, reason=call.reason))
