"""The results of `rnnparity fuzz`: as lines, and as the table of docs/tolerance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.columns import number_columns
from rnnparity.report.text.differences import describe, sigma_text
from rnnparity.report.text.explanation import headline
from rnnparity.report.text.messages import precision_option
from rnnparity.session.fuzz import FuzzRun
from rnnparity.session.fuzz_records import CHANGES, Summary
from rnnparity.session.fuzz_tally import merged
from rnnparity.session.shrink import SmallestFailure

# So many reasons are given why problems are unsupported.
REASONS = 3
HEADER = (
    "dtype",
    "verdicts",
    "fail",
    "inconclusive",
    "max error",
    "detected, scaled",
    "detected, signs",
    "smallest",
)


def fuzz_lines(runs: Sequence[FuzzRun]) -> Iterator[str]:
    """Yield the failing problems, a row for each dtype, and what fixed tolerances would reject.

    The columns are: the largest error in sigma of compared problems; detected changes of a weight
    array, or of a gradient, all of it scaled or each element up or down; and the relative change that is detected in
    99 of 100 problems.
    """
    for run in runs:
        yield from _failing(run)
        for names, count in sorted(run.tally.known.items()):
            yield f"known: {names}: {_number_of_problems(count)} of {run.subject}"
    summaries = merged(run.tally for run in runs).summaries()
    yield from number_columns([HEADER, *summary_rows(summaries)])
    for dtype, summary in summaries.items():
        if summary.unsupported:
            asked = summary.verdicts + summary.unsupported
            yield f"{dtype}: {summary.unsupported} of {asked} problems are unsupported"
        rejected = summary.rejected_elsewhere if summary.verdicts else {}
        for name, count in rejected.items():
            yield f"{name} would reject {count} of {summary.compared} {dtype} {runs[0].compared}"
    for run in runs:
        reasons = sorted(run.tally.unsupported.items(), key=lambda item: (-item[1], item[0]))
        for reason, count in reasons[:REASONS]:
            yield f"{run.subject}: unsupported: {reason} ({_number_of_problems(count)})"
    for run in runs:
        yield origin(run)


def _number_of_problems(count: int) -> str:
    return f"{count} problem{'' if count == 1 else 's'}"


def summary_rows(summaries: Mapping[str, Summary]) -> list[list[str]]:
    """Return the rows below HEADER, without those in which every problem is unsupported."""
    return [[dtype, *_numbers(summary)] for dtype, summary in summaries.items() if summary.verdicts]


def origin(run: FuzzRun) -> str:
    """Return the subject of a run, its finished seeds and its versions."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    first, last = run.tally.seeds or run.seeds
    ending = ", interrupted" if run.interrupted else ""
    relative = f" on {run.compared}" if run.gradients else ""
    relative += f" to {run.precision}" if run.precision else ""
    where = f"{run.tally.verdicts} verdicts{relative}, seeds {first}..{last}{ending}"
    return f"{run.subject}: {where}{f' ({versions})' if versions else ''}"


def _failing(run: FuzzRun) -> Iterator[str]:
    for record in run.tally.failing:
        what = f"{record.verdict} ({sigma_text(record.sigma)} sigma)"
        if record.verdict is Verdict.ERROR:
            what = f"{record.verdict}: {record.reason}"
        yield f"{record.id}: {run.subject} {what}"
        words = f"{record.id} --subject {quote(run.subject)}{precision_option(run.precision)}"
        words += " --gradients" if run.gradients else ""
        yield f"  explain: rnnparity explain {words}"
    further = run.tally.failures - len(run.tally.failing)
    if further:
        yield f"... and {further} more of {run.subject} (--json FILE writes all)"


def smallest_lines(failure: SmallestFailure) -> Iterator[str]:
    """Yield the smallest problem of one that fails, and its cause."""
    problem = failure.problem
    yield f"smallest problem like {problem.id} that fails: {problem.description}"
    if failure.diagnosis is not None:
        yield f"  cause: {headline(failure.diagnosis.explanation)}"
    elif failure.error:
        yield f"  error: {failure.error}"
    for difference in failure.differences:
        yield from (f"  {line}" for line in describe(difference, 0))


def _numbers(summary: Summary) -> list[str]:
    return [
        str(summary.verdicts),
        str(summary.failing),
        f"{100 * summary.inconclusive / max(summary.verdicts, 1):.1f} %",
        sigma_text(summary.worst),
        *(f"{summary.detected[change]}/{summary.changed[change]}" for change in CHANGES),
        f"{summary.smallest_detected.get('scaled', 0):.1e}",
    ]
