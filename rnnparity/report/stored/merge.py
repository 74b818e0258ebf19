"""Merging of reports: runs of several CI jobs as one report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rnnparity.catalogue import catalogue
from rnnparity.golden import known_differences
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Machine, Report, Shards, SubjectResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.scores import with_scores


def merge(reports: Mapping[str, Report], entries: Sequence[KnownDifference]) -> Report:
    """Return reports, by the name of their file, as one; the parts of a subject are joined.

    `entries` are the known differences: an entry that no part could show to be stale may be so
    in all parts together.

    Raises:
        RequestError: the reports are of different versions or catalogues of rnnparity, or two of them contain
        the same case of a subject, or ran the subject in different versions or precisions.
    """
    (first_file, first), *others = reports.items()
    for file, report in others:
        for what, got, expected in (
            ("rnnparity", report.rnnparity, first.rnnparity),
            ("catalogue", report.catalogue, first.catalogue),
        ):
            if got != expected:
                raise RequestError(
                    f"{file}: {what}: got {got}, expected {expected} as in {first_file}; "
                    "run both with the same version of rnnparity"
                )
        if report.gradients != first.gradients:
            raise RequestError(
                f"{file}: got {_compared(report)}, expected {_compared(first)} as in {first_file}; "
                "report the two separately"
            )
    parts: dict[str, dict[str, SubjectResult]] = {}
    for file, report in reports.items():
        for subject in report.subjects:
            parts.setdefault(subject.name, {})[file] = subject
    skipped = dict.fromkeys(out for report in reports.values() for out in report.skipped)
    if not others:
        return with_scores(first) if first.interrupted else first
    merged = replace(
        first,
        # In a report of gradients no entry is stale: it may be of outputs only.
        subjects=tuple(
            _joined(subjects, () if first.gradients else entries) for subjects in parts.values()
        ),
        skipped=tuple(out for out in skipped if out.subject not in parts),
        known=tuple(dict.fromkeys(entry for report in reports.values() for entry in report.known)),
        score=None,
        score_constant=None,
        without_golden=tuple(
            dict.fromkeys(case for report in reports.values() for case in report.without_golden)
        ),
        interrupted=any(report.interrupted for report in reports.values()),
    )
    return with_scores(merged)


def _compared(report: Report) -> str:
    return "gradients" if report.gradients else "outputs"


def _joined(
    parts: Mapping[str, SubjectResult], entries: Sequence[KnownDifference]
) -> SubjectResult:
    """Return one subject from its parts by file."""
    _check_parts(parts)
    subjects = list(parts.values())
    first = subjects[0]
    if len(subjects) == 1:
        return first
    order = {case: position for position, case in enumerate(catalogue())}
    results = [result for subject in subjects for result in subject.cases]
    results.sort(key=lambda result: order[result.id])
    used = {name for result in results for name in result.known}
    ran = {result.id for result in results if result.verdict is not Verdict.UNSUPPORTED}
    stale = known_differences.stale(entries, first.name, first.versions, used, ran, catalogue())
    return replace(
        first,
        cases=tuple(results),
        stale=tuple(stale),
        unfinished=sum(subject.unfinished for subject in subjects),
        shards=tuple(_shards(subjects)),
        seconds=sum(subject.seconds for subject in subjects),
        date=max(subject.date for subject in subjects),
        machine=_machine(subject.machine for subject in subjects),
    )


def _shards(parts: Iterable[SubjectResult]) -> Iterator[Shards]:
    """Yield the shards of each selection; those are missing that no part has."""
    missing: dict[Shards, set[int]] = {}
    for part in parts:
        for shards in part.shards:
            left = set(shards.missing)
            selection = replace(shards, missing=())
            missing[selection] = missing.get(selection, left) & left
    for selection, left in missing.items():
        yield replace(selection, missing=tuple(sorted(left)))


def _check_parts(parts: Mapping[str, SubjectResult]) -> None:
    """Check that the parts of a subject have the same versions and different cases.

    Raises:
        RequestError: they have not.
    """
    (first_file, first), *others = parts.items()
    files = {result.id: first_file for result in first.cases}
    for file, part in others:
        if part.versions != first.versions:
            raise RequestError(
                f"{file}: {part.name}: got {_versions(part)}, expected {_versions(first)} as in "
                f"{first_file}"
            )
        if part.precision != first.precision:
            raise RequestError(
                f"{file}: {part.name}: got {part.precision or 'no declared precision'}, expected "
                f"{first.precision or 'no declared precision'} as in {first_file}"
            )
        twice = [result.id for result in part.cases if result.id in files]
        if twice:
            more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
            raise RequestError(
                f"{file}: {part.name}: {twice[0]}{more} also in {files[twice[0]]}; "
                "merge runs of different cases"
            )
        files |= dict.fromkeys((result.id for result in part.cases), file)


def _versions(subject: SubjectResult) -> str:
    versions = [f"{name} {version}" for name, version in subject.versions.items()]
    return ", ".join(versions) or "no versions"


def _machine(machines: Iterable[Machine | None]) -> Machine | None:
    """Return the first machine, with the processors of all of them."""
    known = [machine for machine in machines if machine is not None]
    if not known:
        return None
    processors = sorted({machine.processor for machine in known})
    return replace(known[0], processor="; ".join(processors))
