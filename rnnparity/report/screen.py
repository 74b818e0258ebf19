"""A run on the screen: the failing cases, a table and what there is to say in sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from rnnparity.catalogue import catalogue
from rnnparity.problem.results import (
    EVERY_HALF,
    CaseResult,
    DifferenceType,
    Report,
    Score,
    SubjectResult,
    Verdict,
)
from rnnparity.report.messages import UNEXPLAINED, failure, faults_name, sigma_text, stale_text
from rnnparity.session.fuzz import Summary

# Past this many failing cases the rest is counted: the causes are few, the cases many.
SHOWN = 10
# The columns that are there even where they are empty.
ALWAYS = (Verdict.AGREES, Verdict.DIVERGES)


def print_report(report: Report, console: Console) -> None:
    """The failing cases, then one row a subject, then what the run says in a sentence."""
    for subject in report.subjects:
        # The shortest names are the plainest cases: what fails there is seldom what a special case
        # is about.
        for verdict in sorted(subject.failing, key=lambda verdict: len(verdict.id))[:SHOWN]:
            console.out(
                failure(catalogue()[verdict.id], verdict, subject.name) + "\n",
                highlight=False,
            )
        more = len(subject.failing) - SHOWN
        if more > 0:
            console.out(
                f"... and {more} more cases of {subject.name} (all of them with --json FILE)\n",
                highlight=False,
            )
        for stale in subject.stale:
            console.out(
                f"{subject.name}: known difference {stale.name!r} is stale: {stale_text(stale)}; "
                "remove it from known_differences.toml\n",
                highlight=False,
            )
    console.print(_table(report))
    for subject in report.subjects:
        for line in _notes(subject):
            console.out(line, highlight=False)
    if report.score:
        said = f"mutation score: {_score(report.score)}"
        if report.score_constant and report.score_constant != report.score:
            said += f" (cases with constant weights only: {_score(report.score_constant)})"
        console.out(said, highlight=False)


def _score(score: Score) -> str:
    return f"{score.detected}/{score.applicable}"


def not_run(report: Report) -> Iterator[str]:
    """What could not be run, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for out in report.skipped:
        reasons.setdefault(re.sub("^subject '[^']*'[: ]+", "", out.reason), []).append(out.subject)
    for why, names in reasons.items():
        yield f"not run: {', '.join(names)}: {why}"


def _table(report: Report) -> Table:
    met = sum((subject.counts for subject in report.subjects), Counter[Verdict]())
    kinds = [kind for kind in Verdict if met[kind] or kind in ALWAYS]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject", overflow="fold")
    for kind in kinds:
        table.add_column(str(kind), justify="right", no_wrap=True)
    table.add_column("worst", justify="right", no_wrap=True)
    for subject in report.subjects:
        counts = subject.counts
        sigmas = [verdict.sigma for verdict in subject.cases if verdict.verdict is Verdict.AGREES]
        cells = [str(counts[kind] or "-") for kind in kinds]
        table.add_row(subject.name, *cells, f"{sigma_text(max(sigmas))} sigma" if sigmas else "-")
    return table


def _notes(subject: SubjectResult) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in subject.versions.items())
    lines = [f"{subject.name} {_state(subject)}{f' ({versions})' if versions else ''}"]
    lines += _causes(subject)
    errors = Counter(
        verdict.reason for verdict in subject.failing if verdict.verdict is Verdict.ERROR
    )
    lines += [f"  error: {reason} ({_cases(count)})" for reason, count in errors.most_common(SHOWN)]
    names = sorted({name for verdict in subject.cases for name in verdict.known})
    if names:
        lines.append(f"  known differences met: {', '.join(names)}")
    reasons = Counter(
        verdict.reason for verdict in subject.cases if verdict.verdict is Verdict.UNSUPPORTED
    )
    lines += [
        f"  unsupported: {reason} ({_cases(count)})" for reason, count in sorted(reasons.items())
    ]
    return lines


def _causes(subject: SubjectResult) -> Iterator[str]:
    """A line for each cause of failing cases, the most frequent first."""
    counts = Counter(_cause(case) for case in subject.failing if _has_cause(case))
    for name, count in counts.most_common():
        yield f"  cause: {name} ({_cases(count)})"


def _has_cause(case: CaseResult) -> bool:
    """Whether a fault of the list may explain it: facts and dtypes have none."""
    return case.cause is not None or not case.difference_types <= {
        DifferenceType.FACT,
        DifferenceType.DTYPE,
    }


def _cause(case: CaseResult) -> str:
    if case.cause is None:
        return "not searched, beyond the first cases"
    # A fault of every half is, over layers of one half and of several, one fault.
    faults = [
        replace(fault, location="") if fault.location == EVERY_HALF else fault
        for fault in case.cause.faults
    ]
    name = faults_name(faults) or UNEXPLAINED
    return f"{name}, or an equally consistent one" if case.cause.also_fits else name


def _state(subject: SubjectResult) -> str:
    """What is to be said of a subject in a few words; cases that are unsupported have no part in
    it."""
    compared, listed = _cases(subject.compared), subject.counts[Verdict.KNOWN]
    if not subject.compared:
        return f"ran none of {_cases(len(subject.cases))}"
    if subject.failing:
        return f"failed: {len(subject.failing)} of {compared}"
    if not subject.passed:
        return f"failed: {compared}"
    if listed:
        return f"passed: {compared}, {listed} of them known differences"
    return f"passed: {compared}"


def _cases(count: int) -> str:
    return f"{count} case{'s' if count != 1 else ''}"


def print_sweep(found: Mapping[str, Summary], console: Console) -> None:
    """One row a float type, then what fixed tolerances would have said.

    Worst distance of a conclusive verdict in sigma; changes of one weight array that were seen, all
    of it scaled or each element up or down; and the relative change that would be seen in 99 of 100
    problems.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (
        "type",
        "verdicts",
        "alarms",
        "inconclusive",
        "worst",
        "seen",
        "signs",
        "smallest",
    ):
        table.add_column(column, justify="left" if column == "type" else "right", no_wrap=True)
    for dtype, part in found.items():
        table.add_row(
            dtype,
            str(part.verdicts),
            str(part.false_alarms),
            f"{100 * part.inconclusive / part.verdicts:.1f} %",
            sigma_text(part.worst),
            *(f"{part.detected[form]}/{part.changed[form]}" for form in ("scaled", "signs")),
            f"{part.smallest_detected.get('scaled', 0):.1e}",
        )
    console.print(table)
    for dtype, part in found.items():
        for name, count in part.rejected_elsewhere.items():
            conclusive = part.verdicts - part.inconclusive
            console.out(
                f"{name} would have refused {count} of {conclusive} {dtype} outputs",
                highlight=False,
            )
        for record in part.examples:
            console.out(
                f"false alarm: {record.description} {record.path} {sigma_text(record.sigma)} sigma",
                highlight=False,
            )
