"""What a run compares with: the goldens and the known differences of a folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import gradient_cases
from rnnparity.golden.goldens import GRADIENTS, KNOWN, Goldens, default_folder, read_goldens
from rnnparity.golden.known_differences import KnownDifference, of_outputs, read_known
from rnnparity.problem.results import CaseResult
from rnnparity.reference.tolerance import Expected
from rnnparity.session.outcome import Outcome
from rnnparity.session.session import Session
from rnnparity.verdict.judge import with_known


@dataclass(frozen=True)
class Fixtures:
    """The goldens of the catalogue, and the entries of the known differences.

    `gradients`: the goldens are gradients instead of outputs.
    """

    goldens: Goldens
    known: tuple[KnownDifference, ...]
    gradients: bool = False

    def result(
        self,
        session: Session,
        outcome: Outcome,
        expected: Mapping[str, Expected] | None = None,
    ) -> CaseResult:
        """Judge an outcome with its golden and the known differences of the subject."""
        result = session.judge(outcome, self.goldens, expected)
        return with_known(result, self.known, session.name, session.versions)


def read_fixtures(
    folder: Path | None = None, only: Collection[str] | None = None, *, gradients: bool = False
) -> Fixtures:
    """Read the fixtures of a folder, or the project's own; of the families of some cases only.

    Raises:
        FormatError: a file is missing, malformed, edited or not used.
    """
    folder = folder or default_folder()
    known = read_known(folder / KNOWN)
    if not gradients:
        return Fixtures(read_goldens(folder, catalogue(), only), of_outputs(known))
    cases = gradient_cases()
    selected = None if only is None else [case for case in only if case in cases]
    return Fixtures(read_goldens(folder / GRADIENTS, cases, selected), known, gradients=True)
