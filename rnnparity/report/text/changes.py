"""The changes since an earlier run, as lines on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnparity.problem.verdicts import Verdict
from rnnparity.report.changes import Changes
from rnnparity.report.table import number_of_cases

# So many cases of a change are named.
SHOWN = 3


def change_lines(changes: Changes) -> Iterator[str]:
    """Yield what changed since the earlier run, subject by subject."""
    if not changes.any:
        yield "since the earlier run: no verdict and no version changed"
        return
    yield "since the earlier run:"
    for name in changes.added:
        yield f"  {name}: new"
    for name in changes.removed:
        yield f"  {name}: not run"
    for each in changes.subjects:
        if not each.any:
            continue
        yield f"  {each.subject}{_versions(each.versions)}"
        if each.precision:
            first, last = (precision or "the layer's own" for precision in each.precision)
            yield f"    precision: {first}, now {last}"
        for (before, now), ids in each.verdicts.items():
            yield f"    {verdict_line(before, now, ids)}"
        if each.added:
            yield f"    {number_of_cases(each.added)} more"
        if each.removed:
            yield f"    {number_of_cases(each.removed)} not run"


def verdict_line(before: Verdict, now: Verdict, ids: Sequence[str]) -> str:
    """Return how many cases had another verdict before, and the first of them."""
    names = ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
    return f"{number_of_cases(len(ids))}: {before}, now {now}: {names}"


def _versions(versions: Mapping[str, tuple[str, str]]) -> str:
    changed = [
        f"{name} {before or '(none)'} to {now or '(none)'}"
        for name, (before, now) in versions.items()
    ]
    return f": {', '.join(changed)}" if changed else ""
