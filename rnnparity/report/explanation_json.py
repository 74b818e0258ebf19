"""An explanation as JSON for programs."""

from __future__ import annotations

import math

from rnnparity.problem.results import Explanation, Finding, Mismatch
from rnnparity.report.explanation_phrases import known_texts, slice_text
from rnnparity.report.messages import UNEXPLAINED, fault_name, faults_name


def as_json(explanation: Explanation) -> dict[str, object]:
    """Return the explanation as JSON for programs."""
    cause = explanation.cause
    also_fits = cause.also_fits if cause else ()
    content: dict[str, object] = {
        "verdict": str(explanation.verdict),
        "cause": cause_json(explanation),
        "fault": faults_name(cause.faults) or None if cause else None,
        "first": _first_json(explanation.first) if explanation.first else None,
        "sigma": {
            "before": finite(explanation.sigma),
            "after": finite(explanation.sigma_with_cause),
        },
        "certain": cause.unambiguous if cause and cause.explained else None,
        "also_fits": [faults_name(faults) for faults in also_fits],
        "blind_to": [fault_name(fault) for fault in explanation.blind_to],
    }
    if explanation.findings:
        content["findings"] = [_finding_json(finding) for finding in explanation.findings]
    if explanation.slice:
        content["slice"] = slice_text(explanation.slice)
    if explanation.known:
        content["listed"] = known_texts(explanation.known)
    return content


def cause_json(explanation: Explanation | None) -> str | None:
    """Return the names of the causes, or that there is none; None where nothing is explained."""
    if explanation is None or explanation.cause is None:
        return None
    return " + ".join(explanation.cause.names) or UNEXPLAINED


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
    content: dict[str, object] = {"finding": str(finding.type)}
    if finding.name:
        content["name"] = finding.name
    if finding.numbers:
        content["numbers"] = list(finding.numbers)
    if finding.value is not None:
        content["value"] = finding.value
    return content


def finite(sigma: float | None) -> float | str | None:
    """Return a number as JSON has it, which knows no infinity."""
    return sigma if sigma is None or math.isfinite(sigma) else "Infinity"
