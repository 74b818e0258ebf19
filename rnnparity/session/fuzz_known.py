"""Known differences in random problems, which are recognized by how they show, not by a case's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np

from rnnparity.faults import FAULTS
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import KnownDifference, of_outputs, read_known
from rnnparity.problem.answer import Answer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.reference.tolerance import Expected


@dataclass(frozen=True)
class KnownSigns:
    """The known differences of a subject in its version."""

    entries: Sequence[KnownDifference]

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
        """Return a failing result of outputs as `known` where it is due to known differences.

        These are an error with a stated message, outputs that are off by no more than a stated
        amount, or outputs that listed faults explain with certainty.
        """
        if result.verdict not in FAILING or problem.cotangents is not None:
            return result
        names = self._names(result, problem, () if answer is None else answer.outputs, expected)
        return replace(result, verdict=Verdict.KNOWN, known=names) if names else result

    def _names(
        self, result: CaseResult, problem: Problem, outputs: Sequence[Tensor], expected: Expected
    ) -> tuple[str, ...]:
        if result.verdict is Verdict.ERROR:
            return tuple(
                entry.name
                for entry in self.entries
                if any(message in result.reason for message in entry.messages)
            )[:1]
        error = _largest_error(outputs, expected)
        coarse = tuple(entry.name for entry in self.entries if error <= entry.error)
        return coarse[:1] or self._of_faults(problem, outputs, expected)

    def _of_faults(
        self, problem: Problem, outputs: Sequence[Tensor], expected: Expected
    ) -> tuple[str, ...]:
        if not self._patterns:
            return ()
        from rnnparity.explanation.chosen_faults import explained_by  # slow to import

        faults = [fault for fault in FAULTS if any(self._entries_of(fault.cause, fault.variant))]
        causes = explained_by(problem, outputs, expected, faults)
        names = [next(self._entries_of(cause.cause, cause.variant)) for cause in causes]
        return tuple(dict.fromkeys(names))

    def _entries_of(self, cause: str, variant: str) -> Iterator[str]:
        """Yield the names of the entries that a fault explains."""
        for entry, patterns in self._patterns.items():
            if any(fnmatchcase(f"{cause}: {variant}", pattern) for pattern in patterns):
                yield entry


def known_signs(subject: str, versions: Mapping[str, str]) -> KnownSigns:
    """Return the known differences of a subject, of outputs, that are listed for these versions.

    Raises:
        FormatError: the list cannot be read.
    """
    entries = of_outputs(read_known(default_folder() / KNOWN))
    return KnownSigns([entry for entry in entries if entry.applies(subject, versions)])


def _largest_error(outputs: Sequence[Tensor], expected: Expected) -> float:
    """Return the largest error, relative where a value is larger than 1.

    It is infinite where shapes differ or a value is not finite.
    """
    pairs = list(zip(outputs, expected.outputs, strict=False))
    if len(outputs) != len(expected.outputs) or any(a.shape != e.shape for a, e in pairs):
        return np.inf
    errors = (
        (np.abs(a.data.astype(np.float64) - e.data) / np.maximum(np.abs(e.data), 1)).max(initial=0)
        for a, e in pairs
    )
    return max(float(error) if np.isfinite(error) else np.inf for error in errors)
