"""Conversion of stored reports of the format "rnnparity-report/1", which held sentences.

What it stores as a sentence only (the evidence of an example) is dropped; what identifies a result
(faults, known entries, distances, pictures) is converted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from rnnparity.problem.explanations import (
    EVERY_HALF,
    Cause,
    Explanation,
    FaultDescription,
    FaultId,
    Picture,
)
from rnnparity.problem.results import (
    CaseResult,
    KnownEntry,
    Machine,
    Report,
    Score,
    Skipped,
    Stale,
    StaleReason,
    SubjectResult,
)
from rnnparity.problem.verdicts import Difference, DifferenceType, Verdict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = "rnnparity-report/1"


@dataclass(frozen=True)
class _Verdict:
    id: str
    verdict: Verdict
    sigma: float | Literal["Infinity"]
    reason: str
    known: tuple[str, ...] = ()
    kinds: tuple[DifferenceType, ...] = ()
    cause: str = ""
    fault: str = ""
    also: int = 0


@dataclass(frozen=True)
class _Picture:
    name: str
    across: str
    shape: tuple[int, int]
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Example:
    id: str
    cause: str
    fault: str
    headline: str
    says: tuple[str, ...]
    text: str
    picture: _Picture | None = None


@dataclass(frozen=True)
class _Stale:
    name: str
    why: str


@dataclass(frozen=True)
class _Subject:
    name: str
    versions: dict[str, str]
    date: str
    machine: Machine
    seconds: float
    verdicts: tuple[_Verdict, ...]
    stale: tuple[_Stale, ...] = ()
    examples: tuple[_Example, ...] = ()


@dataclass(frozen=True)
class _Skipped:
    subject: str
    why: str
    asked: bool


@dataclass(frozen=True)
class _Score:
    visible: int
    total: int


@dataclass(frozen=True)
class _Report:
    format: str
    rnnparity: str
    catalogue: str
    left_out: tuple[_Skipped, ...]
    known: tuple[KnownEntry, ...]
    subjects: tuple[_Subject, ...]
    faults: _Score | None = None
    by_constants: _Score | None = None


def report_of_version_1(value: object) -> Report:
    """Return a report of version 1, a JSON value, as results.

    Raises:
        ValueError: a key is missing, unknown or of the wrong type.
    """
    stored = _adapter().validate_json(json.dumps([value]))[0]
    return Report(
        subjects=tuple(_subject(subject) for subject in stored.subjects),
        skipped=tuple(_skipped(skipped) for skipped in stored.left_out),
        known=stored.known,
        score=_score(stored.faults),
        score_constant=_score(stored.by_constants),
        rnnparity=stored.rnnparity,
        catalogue=stored.catalogue,
    )


@cache
def _adapter() -> TypeAdapter[tuple[_Report]]:
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(strict=True, extra="forbid")
    return TypeAdapter(tuple[_Report], config=config)


def _score(stored: _Score | None) -> Score | None:
    return Score(stored.visible, stored.total) if stored else None


def _skipped(stored: _Skipped) -> Skipped:
    # Some reasons named the subject once more.
    prefix = f"subject {stored.subject!r}"
    reason = stored.why.removeprefix(prefix).lstrip(": ")
    return Skipped(stored.subject, reason, stored.asked)


def _subject(stored: _Subject) -> SubjectResult:
    examples = {example.id: example for example in stored.examples}
    return SubjectResult(
        name=stored.name,
        versions=stored.versions,
        cases=tuple(_case(verdict, examples) for verdict in stored.verdicts),
        stale=tuple(_stale(stale) for stale in stored.stale),
        seconds=stored.seconds,
        date=stored.date,
        machine=stored.machine,
    )


def _stale(stored: _Stale) -> Stale:
    numbers = [int(word) for word in stored.why.split() if word.isdecimal()]
    if not numbers:
        return Stale(stored.name, StaleReason.NO_CASE)
    return Stale(stored.name, StaleReason.ALL_AGREE, numbers[0])


def _case(stored: _Verdict, examples: Mapping[str, _Example]) -> CaseResult:
    known = stored.known
    sigma = stored.sigma
    result = CaseResult(
        id=stored.id,
        verdict=stored.verdict,
        sigma=math.inf if sigma == "Infinity" else sigma,
        reason=stored.reason.removeprefix(f"{', '.join(known)}: "),
        differences=tuple(Difference(kind) for kind in stored.kinds),
        known=known,
        cause=_cause(stored),
    )
    example = examples.get(stored.id)
    if example is None:
        return result
    explanation = Explanation(
        result.id,
        Verdict.DIVERGES,
        # Without a cause nothing is printed as its evidence, which was a text.
        descriptions=tuple(FaultDescription(line, "") for line in example.says),
        sigma=result.sigma,
        picture=_picture(example.picture),
        known=known,
    )
    return replace(result, explanation=explanation)


def _cause(stored: _Verdict) -> Cause | None:
    if not stored.cause:
        return None
    # The causes that fit as well were counted, not named.
    return Cause(_faults(stored.fault), ((),) * stored.also)


def _picture(stored: _Picture | None) -> Picture | None:
    if stored is None:
        return None
    across = "time" if stored.across == "time" else "rows"
    return Picture(stored.name, across, stored.shape, stored.rows)


# "gate-order: LSTM iofc (ONNX) (1/forward)": the location is last, where the layer has several.
_NAME = re.compile(
    r"(?P<cause>[^:]*): (?P<variant>.*?)"
    rf"(?: \((?P<location>{EVERY_HALF}|(?:\d+/)?(?:forward|backward|\d+))\))?$"
)


def _faults(name: str) -> tuple[FaultId, ...]:
    """Return the faults that a stored name joins with " + "."""
    matches = [_NAME.match(part) for part in name.split(" + ")]
    return tuple(_fault(match) for match in matches if match)


def _fault(match: re.Match[str]) -> FaultId:
    location = match["location"] or ""
    if location not in ("", EVERY_HALF):
        location += "/"
    return FaultId(match["cause"], match["variant"], location)
