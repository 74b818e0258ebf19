"""An explanation as JSON for programs."""

from __future__ import annotations

import math

from rnnparity.problem.results import Explanation, Finding, Mismatch
from rnnparity.report.explanation_phrases import known_texts, slice_text
from rnnparity.report.messages import UNEXPLAINED, fault_name, faults_name


def as_json(explanation: Explanation) -> dict[str, object]:
    """Return the explanation as JSON for programs."""
    cause = explanation.cause
    name = None if cause is None else " + ".join(cause.names) or UNEXPLAINED
    also_fits = cause.also_fits if cause else ()
    content: dict[str, object] = {
        "verdict": str(explanation.verdict),
        "cause": name,
        "fault": faults_name(cause.faults) or None if cause else None,
        "first": _first_json(explanation.first) if explanation.first else None,
        "sigma": {
            "before": _finite(explanation.sigma),
            "after": _finite(explanation.sigma_with_cause),
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


def _finite(sigma: float | None) -> float | str | None:
    return sigma if sigma is None or math.isfinite(sigma) else "Infinity"
