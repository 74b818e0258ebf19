"""Reports of `check` made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from rnnparity import __version__
from rnnparity.catalogue import digest
from rnnparity.problem.explanations import (
    Cause,
    Explanation,
    FaultDescription,
    FaultId,
    Mismatch,
    Picture,
)
from rnnparity.problem.results import CaseResult, KnownEntry, Machine, Report, SubjectResult
from rnnparity.problem.verdicts import Difference, DifferenceType, Verdict

MACHINE = Machine("Abacus 9", 2, "Linux x86_64", "3.11.7")
PLAIN = "lstm-spread-last"
MASKED = "lstm-spread-last-mask_left"
BOTH_WAYS = "bi_gru-spread-sum-last"
STATEFUL = "stateful-gru-forward-sequences"
WIDE = "dtype-float64-lstm-forward"
HALF = "dtype-float16-lstm-ave"
CASES = (PLAIN, MASKED, BOTH_WAYS, STATEFUL, WIDE, HALF)

KNOWN = KnownEntry(
    "left-out-by-choice", "mask-ignored", "undocumented", "It <was> decided.", "https://example.org/1"
)  # fmt: skip
FAULT = FaultId("mask-ignored", "every step counts", "")
WORST = Difference(
    DifferenceType.VALUES,
    "output",
    actual=1.5,
    expected=0.25,
    shape=(2, 5),
    dtype="float32",
    index=(1, 0),
    sigma=1e6,
    differing=3,
    total=10,
)
EXPLANATION = Explanation(
    MASKED,
    Verdict.DIVERGES,
    differences=(WORST,),
    cause=Cause((FAULT,)),
    descriptions=(FaultDescription("Masked steps are <computed>.", "Keep the state."),),
    first=Mismatch("output", row=0, unit=3),
    sigma=1e6,
    sigma_with_cause=0.25,
    threshold=10.0,
    candidates=141,
    picture=Picture("output", "time", (2, 3), ((0, 4, 8), (0, 0, 1))),
)


def results(*verdicts: Verdict | str, reason: str = "") -> list[CaseResult]:
    """Results of the first cases of CASES with these verdicts."""
    chosen = zip(CASES, verdicts, strict=False)
    return [CaseResult(case, Verdict(verdict), 0.5, reason) for case, verdict in chosen]


AGREEING = tuple(results(*["agrees"] * len(CASES)))
# One of everything that is not agreement.
MIXED = (
    AGREEING[0],
    CaseResult(
        MASKED,
        Verdict.DIVERGES,
        1e6,
        differences=(WORST,),
        cause=EXPLANATION.cause,
        explanation=EXPLANATION,
    ),
    CaseResult(BOTH_WAYS, Verdict.KNOWN, reason="TypeError: no", known=(KNOWN.name,)),
    CaseResult(STATEFUL, Verdict.ERROR, reason="ValueError: no such <gate> (port.py, line 12)"),
    CaseResult(WIDE, Verdict.UNSUPPORTED, reason="float64 | is not built in"),
    CaseResult(HALF, Verdict.INCONCLUSIVE, reason="a relative change of 0.03 would be hidden"),
)


def only(*cases: str, of: tuple[CaseResult, ...] = AGREEING) -> tuple[CaseResult, ...]:
    """Some of the results."""
    return tuple(result for result in of if result.id in cases)


def subject(
    name: str,
    cases: tuple[CaseResult, ...],
    versions: Mapping[str, str] | None = None,
    **fields: object,
) -> SubjectResult:
    """A subject with these results; other fields of SubjectResult have defaults that can be seen."""
    defaults = {"seconds": 1.5, "date": "2026-07-30T12:34Z", "machine": MACHINE}
    return SubjectResult(name, versions or {"port": "1.0"}, cases, **(defaults | fields))


def report(*subjects: SubjectResult, **fields: object) -> Report:
    """A report of these subjects on the whole catalogue."""
    met = any(case.known for subject in subjects for case in subject.cases)
    defaults = {
        "known": (KNOWN,) if met else (),
        "rnnparity": __version__,
        "catalogue": digest(),
    }
    return Report(subjects, **(defaults | fields))


def both() -> Report:
    """A subject that agrees, and one with one of everything."""
    return report(subject("agreeing", AGREEING), subject("a:mixed", MIXED))
