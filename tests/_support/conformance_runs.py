"""Stored reports of `check` made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnparity import __version__
from rnnparity.catalogue import digest
from rnnparity.report.stored_report import StoredReport, parse

MACHINE = {"processor": "Abacus 9", "cores": 2, "system": "Linux x86_64", "python": "3.11.7"}
PLAIN, MASKED, BOTH_WAYS = (
    "lstm-spread-last",
    "lstm-spread-last-mask_left",
    "bi_gru-spread-sum-last",
)
STATEFUL, WIDE, HALF = (
    "stateful-gru-forward-sequences",
    "dtype-float64-lstm-forward",
    "dtype-float16-lstm-ave",
)
RIGHT = dict.fromkeys((PLAIN, MASKED, BOTH_WAYS, STATEFUL, WIDE, HALF), ("agrees", ""))
KNOWN = {
    "cause": "mask-ignored",
    "standing": "undocumented",
    "name": "left-out-by-choice",
    "reason": "It <was> decided.",
    "link": "https://example.org/1",
}
PICTURE = {"name": "output", "across": "time", "shape": [2, 3], "rows": [[0, 4, 8], [0, 0, 1]]}
EXAMPLE = {
    "id": MASKED,
    "cause": "mask-ignored",
    "fault": "mask-ignored: every step counts",
    "headline": "mask-ignored: every step counts; first mismatch: output at row 0, step 1",
    "says": ["Masked steps are computed like any other.", "Keep the state."],
    "text": "the whole <evidence>",
    "picture": PICTURE,
}
# One of everything that is not agreement.
MIXED = {
    **RIGHT,
    MASKED: (
        "diverges", "output[0]=1 | but 2", {"fault": EXAMPLE["fault"], "cause": "mask-ignored", "kinds": ["values"]}
    ),
    BOTH_WAYS: ("known", "left-out-by-choice: TypeError: no", {"known": [KNOWN["name"]]}),
    STATEFUL: ("error", "ValueError: no such <gate> (port.py, line 12)"),
    WIDE: ("unsupported", "float64 | is not built in"),
    HALF: ("inconclusive", "a relative change of 0.03 would stay under the threshold"),
}  # fmt: skip


def verdicts(rows: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Verdict and reason by case, with more keys where there is a third value."""
    return [
        {
            "id": case,
            "verdict": row[0],
            "sigma": 0.5,
            "reason": row[1],
            **(row[2] if len(row) > 2 else {}),
        }
        for case, row in rows.items()
    ]


def subject(name: str, rows: Mapping[str, tuple[Any, ...]], **other: Any) -> dict[str, Any]:
    return {
        "name": name,
        "versions": {"port": "1.0"},
        "date": "2026-07-30T12:34Z",
        "machine": MACHINE,
        "seconds": 1.5,
        "verdicts": verdicts(rows),
        **other,
    }


def fields(*subjects: dict[str, Any], **other: Any) -> dict[str, Any]:
    met = any(verdict.get("known") for one in subjects for verdict in one["verdicts"])
    return {
        "format": "rnnparity-report/1",
        "rnnparity": __version__,
        "catalogue": digest(),
        "left_out": [],
        "known": [KNOWN] if met else [],
        "subjects": list(subjects),
        **other,
    }


def report(*subjects: dict[str, Any], **other: Any) -> StoredReport:
    return parse(fields(*subjects, **other), "by hand")


def both() -> StoredReport:
    """One that agrees, one with one of everything."""
    return report(subject("right", RIGHT), subject("a:mixed", MIXED, examples=[EXAMPLE]))
