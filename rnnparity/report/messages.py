"""What a failing case says: everything that is needed to look further, and the command that shows
it again."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import WHOLE, FaultId
from rnnparity.problem.shapes import axis_letters
from rnnparity.verdict.compare import Difference
from rnnparity.verdict.judge import Kind, Verdict

_ALONE = {
    "the subject": "golden and reference agree; the subject stands alone",
    "the reference": "golden and subject agree; the reference stands alone, so the reference broke",
    "the golden": "subject and reference agree; the golden stands alone, so it has drifted",
    "nobody: all three differ": "golden, reference and subject all differ",
}


def failure(problem: Problem, verdict: Verdict, subject: str, cause: str = "") -> str:
    """Several lines about one verdict that is not a pass; without a subject's name about somebody's
    outputs.

    `cause` is what explains it, where that is known.
    """
    what = {
        Kind.ERROR: "fails",
        Kind.INCONCLUSIVE: "is inconclusive",
        Kind.UNSUPPORTED: "is unsupported",
    }
    said = (
        f"{subject} {what.get(verdict.kind, verdict.kind)}"
        if subject
        else f"these outputs: {verdict.kind}"
    )
    lines = [f"{verdict.id}: {said}"]
    if verdict.kind in (Kind.DIVERGES, Kind.KNOWN) and verdict.differences:
        for difference in verdict.differences:
            lines += [f"  {line}" for line in describe(difference, problem)]
    else:
        lines.append(f"  {verdict.reason}")
    if verdict.known:
        lines.append(f"  known: {', '.join(verdict.known)}")
    if verdict.alone:
        lines.append(f"  witnesses: {_ALONE[verdict.alone]}")
    if cause:
        lines += [
            f"  cause: {cause}",
            f"  why: rnnparity explain {verdict.id} --subject {quote(subject)}",
        ]
    if problem.case is not None:
        lines.append(f"  about: {problem.case.why}")
        if subject:
            lines.append(f"  again: rnnparity show {verdict.id} --subject {quote(subject)}")
    return "\n".join(lines)


def describe(difference: Difference, problem: Problem) -> list[str]:
    """One difference in one to three lines."""
    if difference.kind not in ("values", "finiteness"):
        return [difference.text]
    letters = axis_letters(difference.output, len(difference.shape))
    shape = ", ".join(
        f"{letter}={size}" for letter, size in zip(letters, difference.shape, strict=True)
    )
    threshold = FLOAT_TYPES[problem.threshold_type].threshold
    off = f", {sigma_text(difference.sigma)} sigma off ({threshold:g} are allowed)"
    if difference.kind == "finiteness":
        off = ": not finite"
    lines = [
        f"{difference.output} ({shape}): {difference.differing} of {difference.total} values differ",
        f"worst: {difference.text}{off}",
    ]
    if difference.first_step is not None:
        lines.append(f"first: at index {difference.first_step} of axis T")
    return lines


def fault_name(fault: FaultId) -> str:
    """Return the name of a fault: "gate-order: LSTM fico in all weights (forward)"."""
    where = "" if fault.location in ("", WHOLE) else f" ({fault.location.rstrip('/')})"
    return f"{fault.cause}: {fault.variant}{where}"


def faults_name(faults: Iterable[FaultId]) -> str:
    """Return the name of faults that act together."""
    return " + ".join(fault_name(fault) for fault in faults)


def cause_name(faults: Iterable[FaultId]) -> str:
    """Return the causes of faults that act together, without their variants and locations."""
    return " + ".join(dict.fromkeys(fault.cause for fault in faults))


def sigma_text(sigma: float) -> str:
    """A distance in sigma, short: 0.42, 12, 3.1e+05. Where the right value is exact, any error is
    beyond counting."""
    if sigma > 1e9:
        return "over 1e9"
    return f"{sigma:.2g}" if sigma < 10 or sigma >= 1e5 else f"{sigma:.0f}"
