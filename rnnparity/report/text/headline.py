"""A report in a few sentences, and what it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from shlex import quote

from rnnparity.catalogue.features import FEATURES, cases_of
from rnnparity.problem.results import Report, Shards, SubjectResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.table import number_of_cases


def headline(report: Report) -> str:
    """Return the whole table in one to three sentences."""
    compared = [subject for subject in report.subjects if subject.compared]
    others = [subject.name for subject in report.subjects if not subject.compared]
    sentences = [_outcome(compared)] if compared else []
    if others:
        sentences.append(f"{_listed(others)} {'was' if len(others) == 1 else 'were'} not compared.")
    if report.skipped:
        sentences.append(f"{len(report.skipped)} more could not run.")
    ran = max(len(subject.cases) for subject in report.subjects)
    total = len(cases_of(FEATURES[0]))
    if ran < total:
        sentences.append(f"{ran} of {total} cases were selected.")
    if report.gradients:
        sentences.append("Gradients were compared, not outputs.")
    if report.interrupted:
        sentences.append("The run was interrupted: the report has what was finished.")
    sentences += [f"{text}." for text in incomplete_texts(report)]
    return " ".join(sentences)


def _outcome(subjects: Sequence[SubjectResult]) -> str:
    passed = [subject.name for subject in subjects if subject.passed]
    failed = [subject.name for subject in subjects if not subject.passed]
    known = any(subject.counts[Verdict.KNOWN] for subject in subjects)
    exception = ", with known differences" if known and not failed else ""
    if len(subjects) == 1:
        return f"{subjects[0].name} {'fails' if failed else 'passes'}{exception}."
    if not failed:
        return f"All {len(subjects)} subjects pass{exception}."
    if not passed:
        return f"None of {len(subjects)} subjects passes."
    verb = "fails" if len(failed) == 1 else "fail"
    passing = "passes" if len(passed) == 1 else "pass"
    return f"{len(passed)} of {len(subjects)} subjects {passing}; {_listed(failed)} {verb}."


def _listed(names: Sequence[str]) -> str:
    """Return up to four names in words."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} others"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def not_covered_text(subject: SubjectResult) -> str:
    """Return the option values that no compared case of a subject had, by option."""
    options: dict[str, list[str]] = {}
    for missing in subject.not_covered:
        options.setdefault(missing.option, []).append(missing.value)
    return ", ".join(f"{option} ({'; '.join(values)})" for option, values in options.items())


def incomplete_texts(report: Report) -> Iterator[str]:
    """Yield what is not in the report of which subjects, such as shards that were not run."""
    names: dict[str, list[str]] = {}
    for subject in report.subjects:
        for text in _missing(subject):
            names.setdefault(text, []).append(subject.name)
    for text, subjects in names.items():
        yield f"{_listed(subjects)}: {text}"


def _missing(subject: SubjectResult) -> Iterator[str]:
    if subject.unfinished:
        have = "case has" if subject.unfinished == 1 else "cases have"
        yield f"{subject.unfinished} {have} no result, because the run was not finished"
    for shards in subject.shards:
        if shards.missing:
            yield _missing_shards(shards)


def _missing_shards(shards: Shards) -> str:
    names, verb = ("shard", "is") if len(shards.missing) == 1 else ("shards", "are")
    selection = f" of -k {quote(shards.k)}" if shards.k else " of --full" if shards.full else ""
    numbers = f"{_ranges(shards.missing)} of {len(shards.sizes)}{selection}"
    count = number_of_cases(shards.missing_cases)
    return f"{names} {numbers} {verb} not in this report ({count})"


def _ranges(numbers: Sequence[int]) -> str:
    """Return increasing numbers with their ranges: "2-4, 7"."""
    texts = []
    for _, group in groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        members = [number for _, number in group]
        last = f"-{members[-1]}" if len(members) > 1 else ""
        texts.append(f"{members[0]}{last}")
    return ", ".join(texts)
