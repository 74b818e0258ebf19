"""An explanation as JSON for programs."""

from __future__ import annotations

import math

from rnnparity.problem.explanations import Cause, Explanation, Mismatch
from rnnparity.problem.findings import PATTERNS, Finding
from rnnparity.report.text.messages import UNEXPLAINED, fault_name, faults_name
from rnnparity.report.text.phrases import known_texts, slice_text


def as_json(explanation: Explanation) -> dict[str, object]:
    """Return the explanation as JSON for programs."""
    cause = explanation.cause
    also_fits = cause.also_fits if cause else ()
    content: dict[str, object] = {
        "verdict": str(explanation.verdict),
        "cause": cause_json(cause),
        "fault": fault_json(cause),
        "first": _first_json(explanation.first) if explanation.first else None,
        "sigma": {
            "before": finite(explanation.sigma),
            "after": finite(explanation.sigma_with_cause),
        },
        "certain": explanation.unambiguous if cause and cause.explained else None,
        "also_fits": [faults_name(faults) for faults in also_fits],
        "blind_to": [fault_name(fault) for fault in explanation.blind_to],
    }
    for key, noun, is_pattern in (("findings", "finding", False), ("patterns", "pattern", True)):
        chosen = [f for f in explanation.findings if (f.type in PATTERNS) is is_pattern]
        content[key] = [{noun: str(finding.type), **_finding_json(finding)} for finding in chosen]
    if cause and cause.rivals:
        content["rivals"] = [
            {"finding": str(rival.type), **_finding_json(rival)} for rival in cause.rivals
        ]
    if explanation.experiment:
        content["experiment"] = str(explanation.experiment)
    if explanation.explain_next:
        content["explain_next"] = str(explanation.explain_next)
    if explanation.slice:
        content["slice"] = slice_text(explanation.slice)
    if explanation.known:
        content["listed"] = known_texts(explanation.known)
    return content


def cause_json(cause: Cause | None) -> str | None:
    """Return the names of the causes, or that there is none; None where nothing is explained."""
    return None if cause is None else " + ".join(cause.names) or UNEXPLAINED


def fault_json(cause: Cause | None) -> str | None:
    """Return the faults of a cause with variants and locations, None where there is none."""
    return None if cause is None else faults_name(cause.faults) or None


def _first_json(mismatch: Mismatch) -> dict[str, int | str]:
    content: dict[str, int | str] = {"output": mismatch.output, "row": mismatch.row}
    if mismatch.step is not None:
        content["step"] = mismatch.step
    content["unit"] = mismatch.unit
    if mismatch.direction:
        content["direction"] = mismatch.direction
    if mismatch.gates:
        content["gate"] = ", ".join(mismatch.gates)
    return content


def _finding_json(finding: Finding) -> dict[str, object]:
    """Return the fields that a finding has."""
    content: dict[str, object] = {"certain": finding.certain}
    for key in ("name", "half", "change", "value", "shift"):
        if getattr(finding, key) not in ("", None):
            content[key] = getattr(finding, key)
    if finding.numbers:
        content["numbers"] = list(finding.numbers)
    for key, block in (("block", finding.block), ("source", finding.source)):
        if block is not None:
            content[key] = {name: value for name, value in vars(block).items() if value is not None}
    if finding.sigma is not None:
        content["sigma"] = finite(finding.sigma)
    return content


def finite(sigma: float | None) -> float | str | None:
    """Return a number as JSON has it, which knows no infinity."""
    return sigma if sigma is None or math.isfinite(sigma) else "Infinity"
