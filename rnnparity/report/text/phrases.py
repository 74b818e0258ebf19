"""Phrases about the parts of an explanation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.explanations import Explanation, Mismatch, Picture, Slice, StepValue
from rnnparity.report.text.differences import sigma_text

# What runs from left to right in a picture.
ACROSS = {"time": "time", "rows": "rows of the batch"}


def evidence_text(explanation: Explanation) -> str:
    """Return how far the outputs are from the reference without and with the cause."""
    cause, count = explanation.cause, explanation.candidates
    with_cause = sigma_text(explanation.sigma_with_cause or 0)
    noise = f" (within the noise of {explanation.precision})" if explanation.precision else ""
    if not count:
        return f"the values agree with this fault; max error: {with_cause} sigma{noise}"
    without = sigma_text(explanation.sigma)
    fits = 1 + len(cause.also_fits) if cause else 0
    verb = "fits" if fits == 1 else "fit"
    return (
        f"max error: {without} sigma vs. the reference, {with_cause} with this fault{noise}; "
        f"{fits} of {count} candidate faults {verb}"
    )


def accounted_text(explanation: Explanation, distance: float, findings: int) -> str:
    """Return how far the outputs are from the reference, and from what the findings predict."""
    what = "these findings" if findings > 1 else "this finding"
    if not np.isfinite(explanation.sigma):  # of other shapes
        return f"max error: {sigma_text(distance)} sigma with {what}"
    without = sigma_text(explanation.sigma)
    return f"max error: {without} sigma vs. the reference, {sigma_text(distance)} with {what}"


def mismatch_text(mismatch: Mismatch) -> str:
    """Return the location of the first value that differs."""
    where = [f"row {mismatch.row}"]
    if mismatch.step is not None:
        where.append(f"step {mismatch.step}")
    where.append(f"unit {mismatch.unit}")
    if mismatch.direction:
        where.append(f"direction {mismatch.direction}")
    if mismatch.gates:
        plural = "s" if len(mismatch.gates) > 1 else ""
        where.append(f"gate{plural} {', '.join(mismatch.gates)}")
    return f"{mismatch.output} at {', '.join(where)}"


def step_table(values: Sequence[StepValue]) -> list[list[str]]:
    """Return the values of a step as the rows of a table with a header."""
    if not values:
        return []
    has_cause = any(value.with_cause is not None for value in values)
    header = ["", "expected", "actual", *(["with this fault"] if has_cause else [])]
    rows = [
        [value.name, *map(_number, (value.expected, value.actual, value.with_cause))]
        for value in values
    ]
    return [header, *(row[: len(header)] for row in rows)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def unit_labels(picture: Picture, rows: int) -> list[str]:
    """Return the direction and the first unit of each of the rows that a picture is drawn in."""
    units, forward = picture.shape[0], picture.forward_units
    labels = []
    for unit in (row * units // rows for row in range(rows)):
        if forward is None:
            labels.append(f"{picture.direction or 'unit'} {unit}")
        else:
            name = "forward" if unit < forward else "backward"
            labels.append(f"{name} {unit if unit < forward else unit - forward}")
    return labels


def slice_text(part: Slice) -> str:
    """Return which part of a huge problem was explained."""
    line = "all rows"
    if len(part.rows) < part.batch:
        line = f"rows {', '.join(map(str, part.rows))} of {part.batch}"
    if part.steps < part.total_steps:
        line += f", {_steps_text(part)} of {part.total_steps} processed steps"
    if part.rest_fits is None:
        return line
    return f"{line}; this cause {'fits' if part.rest_fits else 'does not fit'} the rest"


def _steps_text(part: Slice) -> str:
    if part.joined:
        return f"the first {part.joined} and the last {part.joined}"
    if part.start:
        return f"steps {part.start} to {part.start + part.steps - 1}"
    return f"the first {part.steps}"


def known_texts(names: Iterable[str]) -> list[str]:
    """Return the entries of the known differences with these names, with standing and reason."""
    wanted = set(names)
    entries = read_known(default_folder() / KNOWN) if wanted else ()
    return [known_text(entry) for entry in entries if entry.name in wanted]


def known_text(entry: KnownDifference) -> str:
    """Return an entry of the known differences in one line."""
    reason = " ".join(entry.reason.split())
    return f"{entry.name} ({entry.standing}; {entry.cause}): {reason}"
