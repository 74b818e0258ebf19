"""A run on the terminal: a table of verdicts, the causes of each subject, examples of failing cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.problem.results import Report, Score, SubjectResult
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.report.groups import group_results, plainest
from rnnparity.report.table import counted, number_of_cases, verb
from rnnparity.report.text.columns import number_columns
from rnnparity.report.text.differences import sigma_text
from rnnparity.report.text.headline import incomplete_texts, not_covered_text
from rnnparity.report.text.messages import failure, group_title, stale_text

# Of each subject an example of so many groups of failing cases is printed.
SHOWN = 10
# Long lines are wrapped at so many characters at most.
WIDTH = 100
# Faults that were not detected are named if they are so many at most.
FAULTS_SHOWN = 5
# The columns that are shown even if they are empty.
ALWAYS = (Verdict.AGREES, Verdict.DIVERGES)
# What introduces a group below the table.
_LABELS = {
    Verdict.DIVERGES: "cause",
    Verdict.ERROR: "error",
    Verdict.KNOWN: "known difference",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.UNSUPPORTED: "unsupported",
}


def report_lines(report: Report, width: int = WIDTH) -> Iterator[str]:
    """Yield a row for each subject, what the subjects' cases have in common, and examples.

    What was not covered is wrapped at `width` characters.
    """
    if report.gradients:
        yield "gradients of inputs, weights and initial states"
    yield from number_columns(_table(report))
    for subject in report.subjects:
        yield from _notes(subject)
        if subject.not_covered and subject.compared:
            text = f"not covered by its compared cases: {not_covered_text(subject)}"
            yield from wrap(text, width, initial_indent="  ", subsequent_indent="    ")
    if report.score:
        yield _score(report.score, report.score_constant, report.gradients)
    if report.interrupted:
        yield "interrupted: the report has what was finished"
    yield from incomplete_texts(report)
    if report.without_golden:
        first, count = report.without_golden[0], len(report.without_golden)
        yield f"{first} has no golden yet ({number_of_cases(count)} without); run `rnnparity regenerate`"
    for subject in report.subjects:
        yield from _examples(subject, report.gradients)


def interrupted_line(report: Report, files: Sequence[str]) -> str:
    """Return how many cases of an interrupted run have a verdict, and which files have them."""
    finished = sum(len(subject.cases) for subject in report.subjects)
    total = finished + sum(subject.unfinished for subject in report.subjects)
    kept = "; --json FILE writes verdicts as they come"
    if files:
        kept = f", written to {', '.join(files)}"
    return f"{finished} of {number_of_cases(total)} have a verdict{kept}"


def skipped_lines(report: Report) -> Iterator[str]:
    """Yield a line for each reason why subjects could not run."""
    names: dict[str, list[str]] = {}
    for skipped in report.skipped:
        names.setdefault(skipped.reason, []).append(skipped.subject)
    for reason, subjects in names.items():
        yield f"not run: {', '.join(subjects)}: {reason}"


def _examples(subject: SubjectResult, gradients: bool) -> Iterator[str]:
    """Yield the plainest case of each group that fails, and the stale known differences."""
    groups = group_results(subject.cases).items()
    failing = [results for group, results in groups if group.verdict in FAILING]
    for results in failing[:SHOWN]:
        example = plainest(results)
        problem = catalogue()[example.id]
        if gradients:
            problem = with_cotangents(problem)
        yield from ("", *failure(problem, example, subject.name))
        if len(results) > 1:
            more = f"{len(results) - 1} more case{'s' if len(results) > 2 else ''}"
            yield f"  ... and {more} like it (--json FILE writes all)"
    for stale in subject.stale:
        yield ""
        yield (
            f"{subject.name}: known difference {stale.name!r} is stale: {stale_text(stale)}; "
            "remove it from known_differences.toml"
        )


def _table(report: Report) -> list[list[str]]:
    counts = sum((subject.counts for subject in report.subjects), Counter[Verdict]())
    verdicts = [verdict for verdict in Verdict if counts[verdict] or verdict in ALWAYS]
    rows = [["subject", *verdicts, "max error"]]
    for subject in report.subjects:
        cells = [_count(subject, verdict) for verdict in verdicts]
        rows.append([subject.name, *cells, _max_error(subject)])
    return rows


def _count(subject: SubjectResult, verdict: Verdict) -> str:
    """Return the number of cases with a verdict; agreement states the declared precision."""
    count = subject.counts[verdict]
    to = f" to {subject.precision}" if verdict is Verdict.AGREES and subject.precision else ""
    return f"{count}{to}" if count else "-"


def _max_error(subject: SubjectResult) -> str:
    """Return the largest distance from the reference in the cases that agree."""
    sigmas = [case.sigma for case in subject.cases if case.verdict is Verdict.AGREES]
    return f"{sigma_text(max(sigmas))} sigma" if sigmas else "-"


def _notes(subject: SubjectResult) -> Iterator[str]:
    """Yield the outcome of a subject, then its groups."""
    line = f"{subject.name} {_outcome(subject)}"
    if subject.precision:
        line += f"; verdicts are relative to {subject.precision}"
    if subject.versions:
        versions = (f"{name} {version}" for name, version in subject.versions.items())
        line += f" ({', '.join(versions)})"
    yield line
    for group, results in group_results(subject.cases).items():
        ambiguous = any(result.cause and result.cause.also_fits for result in results)
        doubt = ", or an equally consistent fault" if ambiguous else ""
        title = group_title(group, plainest(results))
        label = "finding" if group.findings else _LABELS[group.verdict]
        yield f"  {label}: {title}{doubt} ({number_of_cases(len(results))})"


def _outcome(subject: SubjectResult) -> str:
    """Return whether a subject passed, with counts; what was not compared follows."""
    if not subject.compared:
        outcome = f"not compared: none of {number_of_cases(len(subject.cases))}"
    elif subject.failing:
        outcome = f"failed: {_failures(subject)}"
    elif subject.stale:
        entries = "entry" if len(subject.stale) == 1 else "entries"
        stale = f"{len(subject.stale)} stale {entries} of known differences"
        outcome = f"failed: {number_of_cases(subject.compared)}, {stale}"
    else:
        outcome = _passed(subject)
    not_compared = [verdict for verdict in Verdict if not verdict.compared]
    counts = [(subject.counts[verdict], verdict) for verdict in not_compared]
    return outcome + "".join(f"; {count} {verdict}" for count, verdict in counts if count)


def _failures(subject: SubjectResult) -> str:
    """Return how many of the compared cases fail, by verdict: "2 of 9 cases diverge, 1 error"."""
    failing = [verdict for verdict in Verdict if verdict in FAILING and subject.counts[verdict]]
    first, *others = failing
    count = subject.counts[first]
    compared = number_of_cases(subject.compared)
    parts = [f"{count} of {compared} {verb(count, first)}"]
    parts += [counted(subject.counts[verdict], verdict) for verdict in others]
    return ", ".join(parts)


def _passed(subject: SubjectResult) -> str:
    compared, total = subject.compared, len(subject.cases)
    known = subject.counts[Verdict.KNOWN]
    if known:
        are = "is a known difference" if known == 1 else "are known differences"
        return f"passed; {known} of {number_of_cases(compared)} {are}"
    if compared < total:
        return f"passed: {compared} of {number_of_cases(total)}"
    return f"passed: {number_of_cases(total)}"


def _score(score: Score, constant: Score | None, gradients: bool) -> str:
    faults = " faults of the backward pass" if gradients else ""
    line = f"mutation score: {score.detected}/{score.applicable}{faults}"
    if score.undetected and len(score.undetected) <= FAULTS_SHOWN:
        names = (f"{fault.cause} ({fault.variant})" for fault in score.undetected)
        line = f"{line}, not detected: {', '.join(names)}"
    if constant is None or constant == score:
        return line
    detected = f"{constant.detected}/{constant.applicable}"
    return f"{line} (cases with constant weights only: {detected})"
