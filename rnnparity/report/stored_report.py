"""A run of `rnnparity check` as it is stored: `rnnparity-report/1`, written, read back strictly,
and merged."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rnnparity.catalogue import catalogue, digest
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import EVERY_HALF, FaultId, Verdict
from rnnparity.problem.stored import Machine, Strict, load_stored, validated

FORMAT = "rnnparity-report/1"
AGAIN = "write it anew with `rnnparity check --json`"

Level = Annotated[int, Field(ge=0, le=8)]
Count = Annotated[int, Field(ge=0)]


class StoredVerdict(Strict):
    """A verdict; `kinds` are the kinds of its differences, `known` the listed entries that cover
    them.

    `cause` and `fault` explain it where it was looked into, `also` counts the faults that would
    give the same.
    """

    id: str
    verdict: Annotated[Verdict, Field(strict=False)]
    sigma: Annotated[float, Field(allow_inf_nan=False, ge=0)] | Literal["Infinity"]
    reason: str
    known: list[str] = Field(default=[])
    kinds: list[str] = Field(default=[])
    cause: str = ""
    fault: str = ""
    also: Count = 0


class Picture(Strict):
    """Distances from the right values, units down: 0 is noise, 8 a million times beyond it. `shape`
    is the output's, of which the rows may be a coarser view; `across` says what runs from left to
    right.
    """

    name: str
    across: str
    shape: Annotated[list[Count], Field(min_length=2, max_length=2)]
    rows: Annotated[list[Annotated[list[Level], Field(min_length=1)]], Field(min_length=1)]


class Example(Strict):
    """One case of a group explained: in a sentence, what the fault is and how it is mended, all of
    it as text."""

    id: str
    cause: str
    fault: str
    headline: str
    says: list[str]
    text: str
    picture: Picture | None = None


class Stale(Strict):
    """A listed difference that no longer says the truth, and why."""

    name: str
    why: str


class StoredSubject(Strict):
    """All that a run says of one subject; `date` is UTC, `seconds` those within the subject's own
    code."""

    name: str
    versions: dict[str, str]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\dZ$")]
    machine: Machine
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    stale: list[Stale] = Field(default=[])
    verdicts: Annotated[list[StoredVerdict], Field(min_length=1)]
    examples: list[Example] = Field(default=[])

    @property
    def passed(self) -> bool:
        return not self.stale and all(
            verdict.verdict not in (Verdict.DIVERGES, Verdict.ERROR) for verdict in self.verdicts
        )


class LeftOut(Strict):
    """A subject that could not be run, and why; see `rnnparity.problem.results.Skipped`."""

    subject: str
    why: str
    asked: bool


class KnownEntry(Strict):
    """A listed difference that was met; see `rnnparity.golden.known_differences`."""

    name: str
    cause: str
    standing: str
    reason: str
    link: str


class Faults(Strict):
    """How many faults the cases would have shown, and how many fit them."""

    visible: Count
    total: Count


class StoredReport(Strict):
    """One run, or several merged. `catalogue` is the fingerprint of the cases that there were to
    choose from."""

    format: Literal["rnnparity-report/1"]
    rnnparity: str
    catalogue: str
    left_out: list[LeftOut]
    known: list[KnownEntry]
    subjects: Annotated[list[StoredSubject], Field(min_length=1)]
    faults: Faults | None = None
    by_constants: Faults | None = None

    @property
    def passed(self) -> bool:
        return not any(out.asked for out in self.left_out) and all(
            subject.passed for subject in self.subjects
        )


def dump(report: StoredReport) -> str:
    """The report as a file; what a verdict has nothing to say of is left out."""
    return json.dumps(report.model_dump(mode="json", exclude_defaults=True), indent=1) + "\n"


def load(path: Path) -> StoredReport:
    """Read a stored report.

    Raises:
        RequestError: the file cannot be read, is cut off or malformed, or is of another format or
        catalogue.
    """
    return parse(load_stored(path, FORMAT, AGAIN), str(path))


def parse(value: Any, where: str) -> StoredReport:
    """The stored report in a JSON value.

    Raises:
        RequestError: something is missing, unknown, of a wrong type or there twice, or it is of
        another catalogue.
    """
    report = validated(StoredReport, value, where, AGAIN)
    if report.catalogue != digest():
        raise RequestError(
            f"{where}: was run on another catalogue than this rnnparity has; {AGAIN}"
        )
    _once([subject.name for subject in report.subjects], where)
    known = {entry.name for entry in report.known}
    for subject in report.subjects:
        _once([verdict.id for verdict in subject.verdicts], f"{where}: {subject.name}")
        own = {verdict.id for verdict in subject.verdicts}
        _named(own, catalogue(), f"{where}: {subject.name}: case")
        _named(
            [example.id for example in subject.examples],
            own,
            f"{where}: {subject.name}: examples: case",
        )
        met = [name for verdict in subject.verdicts for name in verdict.known]
        _named(met, known, f"{where}: {subject.name}: known difference")
    return report


# A stored fault's name ends in its location where the layer has several.
_NAME = re.compile(
    rf"(?P<cause>[^:]*): (?P<variant>.*?)(?: \((?P<location>{EVERY_HALF}|(?:\d+/)?(?:forward|backward|\d+))\))?$"
)


def stored_faults(name: str) -> tuple[FaultId, ...]:
    """Return the faults in the name of a cause as `rnnparity-report/1` stores it."""
    found = []
    for part in name.split(" + "):
        if match := _NAME.match(part):
            location = match["location"] or ""
            prefix = location if location in ("", EVERY_HALF) else f"{location}/"
            found.append(FaultId(match["cause"], match["variant"], prefix))
    return tuple(found)


def _once(names: Sequence[str], where: str) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise RequestError(f"{where}: {name} is there {count} times; {AGAIN}")


def _named(names: Collection[str], wanted: Collection[str], where: str) -> None:
    if unknown := sorted(set(names) - set(wanted)):
        raise RequestError(f"{where} {unknown[0]!r} is unknown; {AGAIN}")
