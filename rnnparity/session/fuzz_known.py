"""Known differences in random problems, which are recognized by how they show, not by a case's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property

from rnnparity.faults import BACKWARD_FAULTS, FAULTS, Fault
from rnnparity.faults.engines import ENGINE_FAULTS
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import KnownDifference, of_outputs, read_known
from rnnparity.problem.answer import Answer
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.reference.tolerance import Expected
from rnnparity.verdict.compare import compare_values
from rnnparity.verdict.judge import expect_answer

# What a subject returned: outputs, or gradients, None where it has none.
_Tensors = Sequence[Tensor | None]


@dataclass(frozen=True)
class KnownSigns:
    """The known differences of a subject in its version."""

    entries: Sequence[KnownDifference]

    @cached_property
    def of_outputs(self) -> Sequence[KnownDifference]:
        """Those that may show in outputs."""
        return of_outputs(self.entries)

    @cached_property
    def _patterns(self) -> dict[str, tuple[str, ...]]:
        """Patterns of the faults that explain an entry, by its name; of those that have any."""
        listed = {f"{fault.cause}: {fault.variant}" for fault in FAULTS}
        patterns = {
            entry.name: (*((entry.cause,) if entry.cause in listed else ()), *entry.faults)
            for entry in self.entries
        }
        return {name: each for name, each in patterns.items() if each}

    def judged(
        self, result: CaseResult, problem: Problem, answer: Answer | None, expected: Expected
    ) -> CaseResult:
        """Return a failing result as `known` where it is due to known differences.

        These are an error with a stated message, values that agree in a stated coarser arithmetic, or
        values that listed faults explain with certainty, also in that arithmetic.
        """
        if result.verdict not in FAILING:
            return result
        names = self._names(result, problem, _tensors(problem, answer), expected)
        return replace(result, verdict=Verdict.KNOWN, known=names) if names else result

    def _names(
        self, result: CaseResult, problem: Problem, tensors: _Tensors, expected: Expected
    ) -> tuple[str, ...]:
        is_gradient = problem.answer_type is AnswerType.GRADIENTS
        entries = self.entries if is_gradient else self.of_outputs
        if result.verdict is Verdict.ERROR:
            return tuple(
                entry.name
                for entry in entries
                if any(message in result.reason for message in entry.messages)
            )[:1]
        coarser = list(self._in_coarser_arithmetic(problem))
        for entry, allowed in coarser:
            if _agree(tensors, allowed):
                return (entry.name,)
        if names := self._of_faults(problem, tensors, expected):
            return names
        for entry, allowed in coarser:
            if names := self._of_faults(problem, _converted(problem, tensors), allowed):
                return (*names, entry.name)
        return ()

    def _in_coarser_arithmetic(
        self, problem: Problem
    ) -> Iterator[tuple[KnownDifference, Expected]]:
        """Yield the entries of a coarser arithmetic, with the answers that are expected in it."""
        bits = FLOAT_TYPES[problem.threshold_type].bits
        for entry in self.of_outputs:
            if entry.precision is not None and entry.precision.bits < bits:
                yield entry, expect_answer(problem, precision=entry.precision)

    def _of_faults(
        self, problem: Problem, tensors: _Tensors, expected: Expected
    ) -> tuple[str, ...]:
        if not self._patterns:
            return ()
        is_gradient = problem.answer_type is AnswerType.GRADIENTS
        faults = [
            fault
            for fault in (BACKWARD_FAULTS if is_gradient else (*FAULTS, *ENGINE_FAULTS))
            if any(self._entries_of(fault.cause, fault.variant))
        ]
        causes = _explained_by(problem, tensors, expected, faults)
        names = [next(self._entries_of(cause.cause, cause.variant)) for cause in causes]
        return tuple(dict.fromkeys(names))

    def _entries_of(self, cause: str, variant: str) -> Iterator[str]:
        """Yield the names of the entries that a fault explains."""
        for entry, patterns in self._patterns.items():
            if any(fnmatchcase(f"{cause}: {variant}", pattern) for pattern in patterns):
                yield entry


def known_signs(subject: str, versions: Mapping[str, str]) -> KnownSigns:
    """Return the known differences of a subject that are listed for these versions.

    Raises:
        FormatError: the list cannot be read.
    """
    entries = read_known(default_folder() / KNOWN)
    return KnownSigns([entry for entry in entries if entry.applies(subject, versions)])


def _tensors(problem: Problem, answer: Answer | None) -> _Tensors:
    """Return the outputs of an answer, or the gradients if the problem asks for these."""
    if answer is None:
        return ()
    if problem.answer_type is AnswerType.GRADIENTS:
        return answer.gradients or ()
    return answer.outputs


def _explained_by(
    problem: Problem, tensors: _Tensors, expected: Expected, faults: Sequence[Fault]
) -> tuple[FaultId, ...]:
    from rnnparity.explanation.chosen_faults import explained_by, gradients_explained_by  # slow

    if problem.answer_type is AnswerType.GRADIENTS:
        return gradients_explained_by(problem, tensors, expected, faults)
    outputs = [tensor for tensor in tensors if tensor is not None]
    return explained_by(problem, outputs, expected, faults)


def _has_shapes_of(tensors: _Tensors, expected: Expected) -> bool:
    """Return whether there are as many arrays as expected, and of the same shapes."""
    shapes = [None if tensor is None else tensor.shape for tensor in tensors]
    return shapes == [tensor.shape for tensor in expected.outputs]


def _converted(problem: Problem, tensors: _Tensors) -> _Tensors:
    """Return values in the types that the problem asks for."""
    pairs = zip(tensors, problem.answer_slots(), strict=False)
    return [
        None if tensor is None else Tensor.of(tensor.name, tensor.data, slot.dtype)
        for tensor, slot in pairs
    ]


def _agree(tensors: _Tensors, expected: Expected) -> bool:
    """Return whether values are within the noise, whatever their types."""
    if not _has_shapes_of(tensors, expected):
        return False
    if expected.unpredictable:
        return True
    actual = [tensor for tensor in tensors if tensor is not None]
    threshold = expected.dtype.threshold
    return not compare_values(actual, expected.outputs, expected.sigmas, threshold).differences
