"""Runs that were made apart, one CI job each, as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from rnnparity.catalogue import catalogue
from rnnparity.golden import known_differences as known
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Verdict
from rnnparity.report.messages import stale_text
from rnnparity.report.stored_report import Stale, StoredReport, StoredSubject

Row = TypeVar("Row")


def merge(reports: Mapping[str, StoredReport], entries: Sequence[KnownDifference]) -> StoredReport:
    """Several reports by the name of where they come from, as one; the parts of one subject are
    joined.

    `entries` are the listed differences: what no part could know to be stale all of them together
    may.

    Raises:
        RequestError: they are of different versions of rnnparity; or two hold the same case of one
        subject, or have
            run it in different versions.
    """
    (first_name, first), *others = reports.items()
    for name, report in others:
        if report.rnnparity != first.rnnparity:
            raise RequestError(
                f"{name}: is of rnnparity {report.rnnparity}, but {first_name} of {first.rnnparity}"
            )
    parts: dict[str, dict[str, StoredSubject]] = {}
    for where, report in reports.items():
        for subject in report.subjects:
            parts.setdefault(subject.name, {})[where] = subject
    subjects = [_joined(own, entries) for own in parts.values()]
    widest = _widest(list(reports.values()))
    return first.model_copy(
        update={
            "left_out": [
                out
                for out in _once(out for r in reports.values() for out in r.left_out)
                if out.subject not in parts
            ],
            "known": _once(entry for report in reports.values() for entry in report.known),
            "subjects": subjects,
            "faults": widest and widest.faults,
            "by_constants": widest and widest.by_constants,
        }
    )


def _once(rows: Iterable[Row]) -> list[Row]:
    """Without those that are there already."""
    found: list[Row] = []
    for row in rows:
        if row not in found:
            found.append(row)
    return found


def _joined(
    parts: Mapping[str, StoredSubject], entries: Sequence[KnownDifference]
) -> StoredSubject:
    """One subject from its parts."""
    (first_name, first), *others = parts.items()
    home = {verdict.id: first_name for verdict in first.verdicts}
    for where, part in others:
        if part.versions != first.versions:
            versions = f"{_plain(part.versions)}, but {_plain(first.versions)} in {first_name}"
            raise RequestError(f"{where}: {part.name} is {versions}")
        again = [verdict.id for verdict in part.verdicts if verdict.id in home]
        if again:
            more = f" and {len(again) - 1} more" if len(again) > 1 else ""
            both = (
                f"{again[0]}{more} of {part.name} are" if more else f"{again[0]} of {part.name} is"
            )
            raise RequestError(
                f"{where}: {both} in {home[again[0]]} too; merge runs of different cases"
            )
        home |= {verdict.id: where for verdict in part.verdicts}
    if not others:
        return first
    place = {case: number for number, case in enumerate(catalogue())}
    verdicts = [verdict for part in parts.values() for verdict in part.verdicts]
    used = {name for verdict in verdicts for name in verdict.known}
    ran = {verdict.id for verdict in verdicts if verdict.verdict is not Verdict.UNSUPPORTED}
    stale = known.stale(entries, first.name, first.versions, used, ran, catalogue())
    processors = sorted({part.machine.processor for part in parts.values()})
    return first.model_copy(
        update={
            "date": max(part.date for part in parts.values()),
            "machine": first.machine.model_copy(update={"processor": "; ".join(processors)}),
            "seconds": sum(part.seconds for part in parts.values()),
            "stale": [Stale(name=entry.name, why=stale_text(entry)) for entry in stale],
            "verdicts": sorted(verdicts, key=lambda verdict: place[verdict.id]),
            "examples": [example for part in parts.values() for example in part.examples],
        }
    )


def _plain(versions: Mapping[str, str]) -> str:
    return (
        ", ".join(f"{name} {version}" for name, version in versions.items()) or "without versions"
    )


def _widest(reports: Sequence[StoredReport]) -> StoredReport | None:
    """The report whose cases hold those of all others: what they would have shown all of them
    would."""
    silent = (Verdict.UNSUPPORTED, Verdict.ERROR)
    cases = [
        {
            v.id
            for s in report.subjects
            if s.name != "reference"
            for v in s.verdicts
            if v.verdict not in silent
        }
        for report in reports
    ]
    everything: set[str] = set().union(*cases)
    return next(
        (report for report, own in zip(reports, cases, strict=True) if own == everything), None
    )
