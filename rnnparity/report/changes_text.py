"""The changes since an earlier run, as lines on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnparity.report.changes import Changes

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
            names = ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
            yield f"    {_cases(len(ids))}: {before}, now {now}: {names}"
        if each.added:
            yield f"    {_cases(each.added)} more"
        if each.removed:
            yield f"    {_cases(each.removed)} not run"


def _versions(versions: Mapping[str, tuple[str, str]]) -> str:
    changed = [
        f"{name} {before or '(none)'} to {now or '(none)'}"
        for name, (before, now) in versions.items()
    ]
    return f": {', '.join(changed)}" if changed else ""


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"
