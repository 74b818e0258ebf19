"""Between a run and its stored form: what is kept of it, with one example of each group explained,
and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem import results
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import (
    CaseResult,
    Cause,
    Explanation,
    Report,
    Score,
    Skipped,
    StaleReason,
    SubjectResult,
)
from rnnparity.problem.stored import Machine
from rnnparity.report.explanation_page import sentences
from rnnparity.report.explanation_phrases import ACROSS
from rnnparity.report.explanation_text import headline, text
from rnnparity.report.groups import groups, plainest
from rnnparity.report.messages import UNEXPLAINED, cause_name, faults_name, stale_text, summary
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
    stored_faults,
)
from rnnparity.session.check import Run

# A subject that is wrong in more ways than that has its most frequent ones explained.
EXAMPLES = 12

Progress = Callable[[str, int, int], None]


def stored_report(run: Run, progress: Progress | None) -> StoredReport:
    """What is kept of a run that has just ended here."""
    report = run.report
    faults, by_constants = (
        Faults(visible=score.detected, total=score.applicable) if score else None
        for score in (report.score, report.score_constant)
    )
    return StoredReport(
        format="rnnparity-report/1",
        rnnparity=report.rnnparity,
        catalogue=report.catalogue,
        left_out=[
            LeftOut(subject=out.subject, why=out.reason, asked=out.requested)
            for out in report.skipped
        ],
        known=[KnownEntry.model_validate(vars(entry)) for entry in report.known],
        subjects=[
            _subject(subject, run.wrong[subject.name], progress) for subject in report.subjects
        ],
        faults=faults,
        by_constants=by_constants,
    )


def _subject(
    result: SubjectResult, wrong: Sequence[Problem], progress: Progress | None
) -> StoredSubject:
    verdicts = [_verdict(case) for case in result.cases]
    return StoredSubject(
        name=result.name,
        versions=dict(result.versions),
        date=result.date,
        machine=Machine.model_validate(vars(result.machine)),
        seconds=result.seconds,
        stale=[Stale(name=stale.name, why=stale_text(stale)) for stale in result.stale],
        verdicts=verdicts,
        examples=list(_examples(result, wrong, verdicts, progress)),
    )


def _verdict(result: CaseResult) -> StoredVerdict:
    cause = result.cause
    return StoredVerdict(
        id=result.id,
        verdict=result.verdict,
        sigma=float(result.sigma) if math.isfinite(result.sigma) else "Infinity",
        reason=summary(result, catalogue()[result.id]),
        known=list(result.known),
        kinds=sorted(result.difference_types),
        cause=(cause_name(cause.faults) or UNEXPLAINED) if cause else "",
        fault=faults_name(cause.faults) if cause else "",
        also=len(cause.also_fits) if cause else 0,
    )


def _examples(
    result: SubjectResult,
    outputs: Sequence[Problem],
    verdicts: Sequence[StoredVerdict],
    progress: Progress | None,
) -> Iterator[Example]:
    """The plainest case of each group of which there are outputs, explained."""
    wrong = {problem.id: problem for problem in outputs}
    explanations = {case.id: case.explanation for case in result.cases}
    chosen = []
    for own in groups(verdicts).values():
        if told := [verdict for verdict in own if verdict.id in wrong]:
            chosen.append((len(own), plainest(told).id))
    chosen = sorted(chosen, key=lambda pair: -pair[0])[:EXAMPLES]
    for done, (_, case) in enumerate(chosen, 1):
        yield _example(explanations[case] or diagnose(wrong[case]).explanation)
        if progress:
            progress(f"{result.name}: examples", done, len(chosen))


def _example(explanation: Explanation) -> Example:
    faults = explanation.cause.faults if explanation.cause else ()
    return Example(
        id=explanation.id,
        cause=cause_name(faults) or UNEXPLAINED,
        fault=faults_name(faults),
        headline=headline(explanation),
        says=sentences(explanation),
        text=text(explanation, with_picture=False),
        picture=_picture(explanation.picture) if explanation.picture else None,
    )


def _picture(picture: results.Picture) -> Picture:
    return Picture(
        name=picture.output,
        across=ACROSS[picture.across],
        shape=list(picture.shape),
        rows=[list(row) for row in picture.levels],
    )


def as_report(stored: StoredReport) -> Report:
    """A stored report as it was when it ended, but for the outputs and where exactly they
    differ."""
    scores = (
        Score(found.visible, found.total) if found else None
        for found in (stored.faults, stored.by_constants)
    )
    score, score_constant = scores
    return Report(
        tuple(_as_subject(subject) for subject in stored.subjects),
        tuple(Skipped(out.subject, out.why, out.asked) for out in stored.left_out),
        score=score,
        score_constant=score_constant,
        rnnparity=stored.rnnparity,
        catalogue=stored.catalogue,
    )


def _as_subject(stored: StoredSubject) -> SubjectResult:
    return SubjectResult(
        stored.name,
        stored.versions,
        tuple(_as_case(verdict) for verdict in stored.verdicts),
        tuple(_as_stale(stale) for stale in stored.stale),
        stored.seconds,
        stored.date,
        results.Machine(**stored.machine.model_dump()),
    )


def _as_case(stored: StoredVerdict) -> CaseResult:
    cause = None
    if stored.cause:
        # The stored form counts the other causes and does not name them.
        cause = Cause(stored_faults(stored.fault), ((),) * stored.also)
    return CaseResult(
        stored.id,
        stored.verdict,
        float(stored.sigma),
        # The known entries are put in front where it is printed.
        stored.reason.removeprefix(f"{', '.join(stored.known)}: "),
        known=tuple(stored.known),
        cause=cause,
    )


def _as_stale(stored: Stale) -> results.Stale:
    if stored.why == "matches no case":
        return results.Stale(stored.name, StaleReason.NO_CASE)
    count = [int(word) for word in stored.why.split() if word.isdecimal()]
    return results.Stale(stored.name, StaleReason.ALL_AGREE, *count)
