"""A run on the screen: the failing cases, a table and what there is to say in sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from rnnparity.catalogue import catalogue
from rnnparity.explanation.causes import Cause
from rnnparity.problem.results import EVERY_HALF
from rnnparity.report.messages import failure, sigma_text
from rnnparity.session.check import Report, SubjectReport
from rnnparity.session.fuzz import Summary
from rnnparity.verdict.judge import Kind

# Past this many failing cases the rest is counted: the causes are few, the cases many.
SHOWN = 10
# The columns that are there even where they are empty.
ALWAYS = (Kind.AGREES, Kind.DIVERGES)


def print_report(report: Report, console: Console) -> None:
    """The failing cases, then one row a subject, then what the run says in a sentence."""
    for subject in report.subjects:
        # The shortest names are the plainest cases: what fails there is seldom what a special case
        # is about.
        for verdict in sorted(subject.failing, key=lambda verdict: len(verdict.id))[:SHOWN]:
            cause = _cause(subject.causes.get(verdict.id))
            console.out(
                failure(catalogue()[verdict.id], verdict, subject.name, cause) + "\n",
                highlight=False,
            )
        more = len(subject.failing) - SHOWN
        if more > 0:
            console.out(
                f"... and {more} more cases of {subject.name} (all of them with --json FILE)\n",
                highlight=False,
            )
        for entry, why in subject.stale:
            console.out(
                f"{subject.name}: the known difference {entry.name!r} is stale: {why}; take it out of "
                "known_differences.toml\n",
                highlight=False,
            )
    console.print(_table(report))
    for subject in report.subjects:
        for line in _notes(subject):
            console.out(line, highlight=False)
    if report.faults:
        said = "these cases would have shown {} of the {} faults that fit them".format(
            *report.faults
        )
        if report.by_constants and report.by_constants != report.faults:
            said += ", those with constant weights alone {} of {}".format(*report.by_constants)
        console.out(said, highlight=False)


def not_run(report: Report) -> Iterator[str]:
    """What could not be run, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for out in report.left_out:
        reasons.setdefault(re.sub("^subject '[^']*'[: ]+", "", out.why), []).append(out.subject)
    for why, names in reasons.items():
        yield f"not run: {', '.join(names)}: {why}"


def _table(report: Report) -> Table:
    met = sum((subject.counts for subject in report.subjects), Counter[Kind]())
    kinds = [kind for kind in Kind if met[kind] or kind in ALWAYS]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject", overflow="fold")
    for kind in kinds:
        table.add_column(str(kind), justify="right", no_wrap=True)
    table.add_column("worst", justify="right", no_wrap=True)
    for subject in report.subjects:
        counts = subject.counts
        sigmas = [verdict.sigma for verdict in subject.verdicts if verdict.kind is Kind.AGREES]
        cells = [str(counts[kind] or "-") for kind in kinds]
        table.add_row(subject.name, *cells, f"{sigma_text(max(sigmas))} sigma" if sigmas else "-")
    return table


def _cause(cause: Cause | None) -> str:
    """A cause in a line, or nothing where none was looked for."""
    if cause is None or not cause.cause:
        return ""
    return f"{cause.fault or cause.cause}{f', or {cause.also} more that give the same here' if cause.also else ''}"


def _notes(subject: SubjectReport) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in subject.versions.items())
    lines = [f"{subject.name} {_state(subject)}{f' ({versions})' if versions else ''}"]
    # A fault of every half is, over layers of one half and of several, one fault.
    names = [
        (cause.fault.replace(f" ({EVERY_HALF})", "") or cause.cause)
        + (", or what gives the same" if cause.also else "")
        for cause in subject.causes.values()
    ]
    counts = Counter(name or "not looked for, beyond the first of them" for name in names)
    lines += [f"  cause: {fault} ({_cases(count)})" for fault, count in counts.most_common()]
    errors = Counter(verdict.reason for verdict in subject.failing if verdict.kind is Kind.ERROR)
    lines += [f"  error: {reason} ({_cases(count)})" for reason, count in errors.most_common(SHOWN)]
    names = sorted({name for verdict in subject.verdicts for name in verdict.known})
    if names:
        lines.append(f"  known differences met: {', '.join(names)}")
    reasons = Counter(
        verdict.reason for verdict in subject.verdicts if verdict.kind is Kind.UNSUPPORTED
    )
    lines += [
        f"  unsupported: {reason} ({_cases(count)})" for reason, count in sorted(reasons.items())
    ]
    return lines


def _state(subject: SubjectReport) -> str:
    """What is to be said of a subject in a few words; cases that are unsupported have no part in
    it."""
    compared, listed = _cases(subject.compared), subject.counts[Kind.KNOWN]
    if not subject.compared:
        return f"ran none of {_cases(len(subject.verdicts))}"
    if subject.failing:
        return f"fails: {len(subject.failing)} of {compared}"
    if not subject.passed:
        return f"fails: {compared}"
    return f"differs only as listed: {listed} of {compared}" if listed else f"passes: {compared}"


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
            *(f"{part.seen[form]}/{part.changed[form]}" for form in ("scaled", "signs")),
            f"{part.smallest.get('scaled', 0):.1e}",
        )
    console.print(table)
    for dtype, part in found.items():
        for name, count in part.elsewhere.items():
            conclusive = part.verdicts - part.inconclusive
            console.out(
                f"{name} would have refused {count} of {conclusive} {dtype} outputs",
                highlight=False,
            )
        for record in part.examples:
            console.out(
                f"false alarm: {record.what} {record.path} {sigma_text(record.sigma)} sigma",
                highlight=False,
            )
