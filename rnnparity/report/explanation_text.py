"""An explanation on one screen, and the same as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnparity.explanation.explain import UNEXPLAINED, Explanation
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.report.messages import describe, fault_name, sigma_text

BLOCKS = " ▁▂▃▄▅▆▇█"
# A picture has no more rows and columns than this; neighbours share one, the largest distance
# counts.
ROWS, COLUMNS = 16, 60
# Blocks grow from the threshold to so many times the threshold, by powers of ten.
DECADES = 6


def headline(told: Explanation) -> str:
    """The answer in a sentence."""
    if told.verdict != "diverges":
        return f"these outputs {'agree' if told.verdict == 'agrees' else 'are inconclusive'}."
    where = f", first seen in {_where(told)}" if told.first else ""
    doubt = "" if told.certain else ", perhaps"
    if told.cause == UNEXPLAINED and told.listed:
        return f"listed as {told.listed[0]}"
    return f"{told.cause if told.fault is None else told.fault.name}{doubt}{where}."


def text(told: Explanation, pictured: bool = True) -> str:
    """Verdict, place, cause, evidence, how to mend it, a picture."""
    said = {"agrees": "agree", "diverges": "diverge", "inconclusive": "are inconclusive"}[
        told.verdict
    ]
    lines = [f"{told.problem.id}: these outputs {said}"]
    if told.verdict != "diverges":
        lines.append(f"  largest distance {sigma_text(told.before)} sigma")
    if told.slice:
        lines.append(f"  looked at a slice: {told.slice}")
    for difference in told.differences:
        # Where it first differs in the order of processing is told below.
        said_of = describe(difference, told.problem)
        lines += [f"  {line}" for line in said_of if not line.startswith("first:")]
    lines += _place(told)
    if told.hint:
        lines.append(f"  note: {told.hint}")
    lines += _cause(told)
    lines += [f"  listed: {line}" for line in told.listed]
    if told.blind_to and told.verdict != "inconclusive":
        lines.append(
            f"  these inputs could not have shown: {_some([fault_name(fault) for fault in told.blind_to])}"
        )
    if pictured:
        lines += picture(told)
    return "\n".join(lines)


def coloured(said: str) -> str:
    """The same for a terminal; what is printed into a pipe loses it again."""
    from os import environ

    from typer import style

    if environ.get("NO_COLOR"):
        return said
    styles = {
        "  cause:": {"fg": "red", "bold": True},
        "  mend:": {"fg": "green"},
        "  starts:": {"bold": True},
        "    |": {"fg": "red"},
    }
    first, *rest = said.splitlines()
    lines = [style(first, fg="green" if first.endswith("agree") else "yellow", bold=True)]
    for line in rest:
        words = next((words for start, words in styles.items() if line.startswith(start)), None)
        lines.append(style(line, **words) if words else line)  # type: ignore[arg-type]  # colours and flags
    return "\n".join(lines)


def _place(told: Explanation) -> Iterator[str]:
    if told.first:
        yield f"  starts: {_where(told)}"
    if told.pattern:
        yield f"  pattern: {'; '.join(told.pattern)}"


def _where(told: Explanation) -> str:
    output, *where = told.first.items()
    return f"{output[1]} at " + ", ".join(f"{name} {value}" for name, value in where)


def _cause(told: Explanation) -> Iterator[str]:
    others = tuple(mutant.name for mutant in told.also_fits)
    if told.cause == UNEXPLAINED and not told.listed:
        tried = f"; none of {told.tried} hypotheses gives these outputs" if told.tried else ""
        yield f"  cause: {UNEXPLAINED}{tried}"
    if told.fault is None:
        return
    yield f"  cause: {told.fault.name}"
    for placed in told.fault.placed:
        which = f"{placed.name}: " if len(told.fault.placed) > 1 else ""
        yield f"    {which}{placed.fault.description}"
        yield f"  mend: {placed.fault.fix}"
    rejected = told.tried - 1 - len(others)
    noise = f" within the noise of {told.level}" if told.level else ""
    tried = f"; {rejected} of {told.tried} hypotheses do not fit" if told.tried else ""
    if not told.tried:
        yield f"  evidence: read so, the values agree: {sigma_text(told.after or 0)} sigma at most{noise}"
        return
    yield (
        f"  evidence: {sigma_text(told.before)} sigma from what is right, {sigma_text(told.after or 0)} from what this "
        f"gives{noise}{tried}"
    )
    if not told.certain:
        yield "  not certain: so few values speak for it alone that one of the hypotheses might fit by chance"
    for seen in dict.fromkeys(
        placed.fault.seen_in for placed in told.fault.placed if placed.fault.seen_in
    ):
        yield f"  seen in: {seen}"
    if told.probes:
        yield f"  asked again {told.probes} time{'s' if told.probes > 1 else ''}, with inputs made to tell causes apart"
    if others:
        yield f"  fits as well, these inputs cannot tell: {_some(others)}"
        if told.apart is not None:
            yield "    --separate FILE writes a problem whose outputs would tell"


def _some(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def picture(told: Explanation) -> list[str]:
    """Sigma by unit over time, as blocks: blank is within the noise, a full block is a million
    times beyond it."""
    if told.picture is None:
        return []
    name, off = told.picture
    heights = levels(off, FLOAT_TYPES[told.problem.threshold_type].threshold)
    heights = shrunk(heights, ROWS, COLUMNS)
    each = 10 ** (DECADES / 8)
    lines = [
        f"  {name}: units down, {across(told)} across; blank is noise, a block more every {each:.1f} times"
    ]
    return lines + [
        "    |" + "".join(BLOCKS[height] for height in row) + "|" for row in heights.tolist()
    ]


def across(told: Explanation) -> str:
    """What runs from left to right in its picture."""
    return "time" if told.first and "step" in told.first else "rows of the batch"


def levels(off: Array, threshold: float) -> Array:
    """Distances in sigma as whole numbers from 0 (noise) to 8."""
    with np.errstate(divide="ignore"):
        decades = np.log10(np.minimum(off, 1e300) / threshold)
    found: Array = np.where(off > threshold, np.clip(1 + 8 * decades / DECADES, 1, 8), 0).astype(
        int
    )
    return found


def shrunk(values: Array, rows: int, columns: int) -> Array:
    """No more rows and columns than that; neighbours share one, and the largest counts."""
    for axis, most in ((0, rows), (1, columns)):
        size = values.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            values = np.maximum.reduceat(values, starts, axis=axis)
    return values


def as_json(told: Explanation) -> dict[str, Any]:
    """The same for programs."""
    return {
        "verdict": told.verdict,
        "cause": told.cause,
        "fault": None if told.fault is None else told.fault.name,
        "first": told.first or None,
        "sigma": {"before": _finite(told.before), "after": _finite(told.after)},
        "certain": told.certain and not told.also_fits if told.fault else None,
        "also_fits": [mutant.name for mutant in told.also_fits],
        "blind_to": [fault_name(fault) for fault in told.blind_to],
        **({"slice": told.slice} if told.slice else {}),
        **({"listed": list(told.listed)} if told.listed else {}),
    }


def _finite(sigma: float | None) -> float | str | None:
    return sigma if sigma is None or np.isfinite(sigma) else "Infinity"
