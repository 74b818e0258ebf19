"""Between a run and its stored form: what is kept of it, with one example of each group explained,
and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from rnnparity import __version__
from rnnparity.explanation.causes import Cause
from rnnparity.explanation.explain import Explanation, explain
from rnnparity.golden.known_differences import KnownDifference
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.stored import Machine, this_machine
from rnnparity.report.explanation_page import sentences
from rnnparity.report.explanation_text import COLUMNS, ROWS, across, headline, levels, shrunk, text
from rnnparity.report.groups import groups, plainest
from rnnparity.report.stored_report import (
    Example,
    Faults,
    KnownEntry,
    LeftOut,
    Picture,
    Stale,
    StoredReport,
    StoredSubject,
    StoredVerdict,
    fingerprint,
)
from rnnparity.session import check as runner
from rnnparity.session.check import Report, SubjectReport
from rnnparity.verdict.judge import Kind, Verdict

# A subject that is wrong in more ways than that has its most frequent ones explained.
EXAMPLES = 12

Progress = Callable[[str, int, int], None]


def stored_report(
    report: Report, entries: Sequence[KnownDifference], progress: Progress | None
) -> StoredReport:
    """What is kept of a run that has just ended here; `entries` are the listed differences."""
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"), this_machine()
    subjects = [_subject(subject, date, machine, progress) for subject in report.subjects]
    met = {name for subject in subjects for verdict in subject.verdicts for name in verdict.known}
    faults, by_constants = (
        Faults(visible=found[0], total=found[1]) if found else None
        for found in (report.faults, report.by_constants)
    )
    return StoredReport(
        format="rnnparity-report/1",
        rnnparity=__version__,
        catalogue=fingerprint(),
        left_out=[LeftOut.model_validate(vars(out)) for out in report.left_out],
        known=[
            KnownEntry(
                name=entry.name,
                cause=entry.cause,
                standing=entry.standing,
                reason=" ".join(entry.reason.split()),
                link=entry.link,
            )
            for entry in entries
            if entry.name in met
        ],
        subjects=subjects,
        faults=faults,
        by_constants=by_constants,
    )


def _subject(
    report: SubjectReport, date: str, machine: Machine, progress: Progress | None
) -> StoredSubject:
    verdicts = [_verdict(verdict, report.causes.get(verdict.id)) for verdict in report.verdicts]
    return StoredSubject(
        name=report.name,
        versions=dict(report.versions),
        date=date,
        machine=machine,
        seconds=round(report.seconds, 3),
        stale=[Stale(name=entry.name, why=why) for entry, why in report.stale],
        verdicts=verdicts,
        examples=list(_examples(report, verdicts, progress)),
    )


def _verdict(verdict: Verdict, cause: Cause | None) -> StoredVerdict:
    return StoredVerdict(
        id=verdict.id,
        verdict=verdict.kind,
        sigma=float(verdict.sigma) if math.isfinite(verdict.sigma) else "Infinity",
        reason=verdict.reason,
        known=list(verdict.known),
        kinds=sorted({difference.kind for difference in verdict.differences}),
        cause=cause.cause if cause else "",
        fault=cause.fault if cause else "",
        also=cause.also if cause else 0,
    )


def _examples(
    report: SubjectReport, verdicts: Sequence[StoredVerdict], progress: Progress | None
) -> Iterator[Example]:
    """The plainest case of each group of which there are outputs, explained."""
    wrong = {problem.id: problem for problem in report.wrong}
    chosen = []
    for own in groups(verdicts).values():
        if told := [verdict for verdict in own if verdict.id in wrong]:
            chosen.append((len(own), plainest(told).id))
    chosen = sorted(chosen, key=lambda pair: -pair[0])[:EXAMPLES]
    for done, (_, case) in enumerate(chosen, 1):
        yield _example(explain(wrong[case]))
        if progress:
            progress(f"{report.name}: examples", done, len(chosen))


def _example(told: Explanation) -> Example:
    return Example(
        id=told.problem.id,
        cause=told.cause or "",
        fault=told.fault.name if told.fault else "",
        headline=headline(told),
        says=sentences(told),
        text=text(told, pictured=False),
        picture=_picture(told),
    )


def _picture(told: Explanation) -> Picture | None:
    if told.picture is None:
        return None
    name, off = told.picture
    heights = shrunk(levels(off, FLOAT_TYPES[told.problem.threshold_type].threshold), ROWS, COLUMNS)
    return Picture(name=name, across=across(told), shape=list(off.shape), rows=heights.tolist())


def as_report(stored: StoredReport) -> Report:
    """A stored report as it was when it ended, but for the outputs and where exactly they
    differ."""
    faults, constants = (
        (f.visible, f.total) if f else None for f in (stored.faults, stored.by_constants)
    )
    return Report(
        [_as_subject(subject) for subject in stored.subjects],
        faults,
        constants,
        left_out=[runner.LeftOut(**out.model_dump()) for out in stored.left_out],
    )


def _as_subject(stored: StoredSubject) -> SubjectReport:
    return SubjectReport(
        stored.name,
        stored.versions,
        [
            Verdict(v.id, v.verdict, float(v.sigma), v.reason, known=tuple(v.known))
            for v in stored.verdicts
        ],
        # Of an entry its name is told.
        [
            (KnownDifference(stale.name, "", (), (), {}, "", "", "", ""), stale.why)
            for stale in stored.stale
        ],
        {
            v.id: Cause(v.cause, v.fault, v.also)
            for v in stored.verdicts
            if v.verdict is Kind.DIVERGES and not set(v.kinds) <= {"fact", "dtype"}
        },
        stored.seconds,
    )
