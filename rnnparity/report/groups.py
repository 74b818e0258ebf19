"""What a subject's verdicts have in common: the same known difference, fault, error or reason is
one group."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rnnparity.problem.results import EVERY_HALF, Verdict
from rnnparity.report.stored_report import StoredVerdict

# Beyond so many of one kind the rarest are one group: they are told apart by accidents of their
# text.
MOST = 20
OF_A_TYPE, OF_A_FACT = (
    "another type than specified",
    "what the layer says of itself: symbolic shapes, parameters",
)
# Where in a layer a fault was found, as `faults.fault.Placed.name` says it: one fault, wherever it
# strikes.
_PLACE = re.compile(rf" \((?:{EVERY_HALF}|(?:\d+/)?(?:forward|backward|\d+))\)")
NOT_LOOKED_FOR = "a cause not looked for, beyond the first cases"


@dataclass(frozen=True)
class Group:
    """Verdicts of one kind under one name."""

    kind: Verdict
    name: str


def groups(verdicts: Iterable[StoredVerdict]) -> dict[Group, list[StoredVerdict]]:
    """All that is not agreement, by group: what fails first, then the most frequent."""
    found: dict[Group, list[StoredVerdict]] = {}
    for verdict in verdicts:
        if verdict.verdict is not Verdict.AGREES:
            found.setdefault(Group(verdict.verdict, _name(verdict)), []).append(verdict)
    order = (
        Verdict.DIVERGES,
        Verdict.ERROR,
        Verdict.KNOWN,
        Verdict.INCONCLUSIVE,
        Verdict.UNSUPPORTED,
    )
    sorted_ = sorted(
        found.items(), key=lambda pair: (order.index(pair[0].kind), -len(pair[1]), pair[0].name)
    )
    kept: dict[Group, list[StoredVerdict]] = {}
    for group, own in sorted_:
        full = sum(other.kind is group.kind for other in kept) >= MOST
        kept.setdefault(Group(group.kind, "others") if full else group, []).extend(own)
    return kept


def plainest(verdicts: Iterable[StoredVerdict]) -> StoredVerdict:
    """The one with the shortest name, which says the most about what they have in common."""
    return min(verdicts, key=lambda verdict: (len(verdict.id), verdict.id))


def _name(verdict: StoredVerdict) -> str:
    if verdict.verdict is Verdict.KNOWN:
        return " + ".join(verdict.known)
    if verdict.verdict is Verdict.UNSUPPORTED:
        return verdict.reason
    if (
        verdict.verdict is not Verdict.DIVERGES
    ):  # numbers differ from case to case, those of float32 do not
        return re.sub(r"(?<![A-Za-z])\d+([.e+-]\d+)*", "…", verdict.reason)
    if verdict.cause:
        return _PLACE.sub("", verdict.fault) or verdict.cause
    if "dtype" in verdict.kinds:
        return OF_A_TYPE
    return OF_A_FACT if set(verdict.kinds) <= {"fact"} else NOT_LOOKED_FOR
