"""Releases of a framework as lines: a table of known differences and features, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rnnparity.catalogue.features import FEATURES, Feature, cases_of
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.changes import changed_verdicts
from rnnparity.report.table import number_of_cases
from rnnparity.report.text.changes import verdict_line
from rnnparity.report.text.columns import number_columns
from rnnparity.report.text.differences import sigma_text
from rnnparity.session.first_difference import FirstDifference, Tried
from rnnparity.session.history import ReleaseResult
from rnnparity.session.occurrence import Occurrence

# What follows a cell that differs from that of the release before.
CHANGED = "*"
NOTHING = "-"
# So many releases are named one by one.
FEW = 3


def history_lines(package: str, results: Sequence[ReleaseResult]) -> Iterator[str]:
    """Yield a row for each known difference and each feature that differs, then the changes.

    A known difference has the number of its cases, whatever releases it is listed for; a feature
    how many of its compared cases agree.
    """
    ran = [result for result in results if not result.error]
    if ran:
        yield f"{package}: cases that differ, by release; {CHANGED} changed"
        yield from number_columns([["", *(result.version for result in ran)], *_rows(ran)])
    before: ReleaseResult | None = None
    for result in ran:
        if before is not None:
            yield from _changes(result, before)
        before = result
    for result in results:
        if result.error:
            yield f"{result.version} was not run: {result.error}"


def occurrence_lines(package: str, found: Sequence[Occurrence]) -> Iterator[str]:
    """Yield in which releases each known difference occurs, and where its stated range is another."""
    if found:
        yield "known differences by release:"
    for each in found:
        yield f"  {each.name}: {occurrence_text(each)}"
        if each.contradicts:
            yield f"    stated: {package} {each.stated}; {contradiction(each)}"


def occurrence_text(occurrence: Occurrence) -> str:
    """Return the first and the last release that shows a difference, and those that do not."""
    seen, absent = occurrence.seen, occurrence.absent
    if not seen:
        return f"in none of {_span(absent)}"
    return f"{_span(seen)}{f', not in {_span(absent)}' if absent else ''}"


def contradiction(occurrence: Occurrence) -> str:
    """Return what a stated range has too much or too little, "" where it is right."""
    parts = {"also seen in": occurrence.outside, "not seen in": occurrence.missing}
    return "; ".join(f"{what} {', '.join(found)}" for what, found in parts.items() if found)


def _span(versions: Sequence[str]) -> str:
    """Return some releases in a row: "3.1.1 to 3.15.1 (15 releases)", a few one by one."""
    if len(versions) <= FEW:
        return ", ".join(versions)
    return f"{versions[0]} to {versions[-1]} ({len(versions)} releases)"


def tried_line(tried: Tried, good: str) -> str:
    """Return what a release computes in a line, compared with the release `good` if it is another."""
    what = "".join(f": {text}" for text in (", ".join(tried.known), tried.reason) if text)
    if tried.version == good:
        return f"{tried.version}: {tried.verdict}{what}"
    same = f"{'differs from' if tried.differs else 'same as'} release {good}"
    moved = f" ({sigma_text(tried.from_good)} sigma from it)" if tried.from_good else ""
    return f"{tried.version}: {tried.verdict}{what}, {same}{moved}"


def first_difference_lines(package: str, found: FirstDifference) -> Iterator[str]:
    """Yield where an answer changed."""
    yield f"first release that differs: {package} {found.first.version}"
    yield f"last release that does not: {package} {found.last.version}"


def _rows(results: Sequence[ReleaseResult]) -> Iterator[list[str]]:
    yield _row("agree", [_count(result, Verdict.AGREES) for result in results])
    names = dict.fromkeys(name for result in results for name in result.listed)
    for name in names:
        yield _row(name, [_number(result.listed.get(name, 0)) for result in results])
    yield _row("not listed", [_number(len(result.unlisted)) for result in results])
    yield _row("not compared", [_number(_not_compared(result)) for result in results])
    for feature in FEATURES:
        cells = [_share(feature, result) for result in results]
        if any(_incomplete(cell) for cell in cells) or len(set(cells)) > 1:
            yield _row(f"{feature.group}: {feature.name}".removeprefix(": "), cells)
    moved = [result.moved for result in results]
    yield ["numbers moved", *(NOTHING if m is None else str(m.bits) for m in moved)]
    yield ["moved beyond the tolerance", *(NOTHING if m is None else str(m.far) for m in moved)]


def _row(name: str, cells: Sequence[str]) -> list[str]:
    """Return a row whose cells are marked where they differ from the one before."""
    marks = ["", *(CHANGED if a != b else "" for a, b in pairwise(cells))]
    return [name, *(cell + mark for cell, mark in zip(cells, marks, strict=True))]


def _count(result: ReleaseResult, verdict: Verdict) -> str:
    return _number(sum(case.verdict is verdict for case in result.cases))


def _number(count: int) -> str:
    return str(count) if count else NOTHING


def _not_compared(result: ReleaseResult) -> int:
    return sum(not case.verdict.compared for case in result.cases)


def _share(feature: Feature, result: ReleaseResult) -> str:
    ids = cases_of(feature)
    verdicts = [case.verdict for case in result.cases if case.id in ids and case.verdict.compared]
    return f"{verdicts.count(Verdict.AGREES)}/{len(verdicts)}" if verdicts else NOTHING


def _incomplete(share: str) -> bool:
    agreeing, _, compared = share.partition("/")
    return agreeing != compared and share != NOTHING


def _changes(result: ReleaseResult, before: ReleaseResult) -> Iterator[str]:
    """Yield the cases whose verdict changed, by the change, and by how much numbers moved."""
    for (was, now), ids in changed_verdicts(before.cases, result.cases).items():
        yield f"{result.version}: {verdict_line(was, now, ids)}"
    moved = result.moved
    if moved and moved.far:
        yield (
            f"{result.version}: numbers moved by up to {sigma_text(moved.sigma)} sigma "
            f"in {number_of_cases(moved.far)}"
        )
