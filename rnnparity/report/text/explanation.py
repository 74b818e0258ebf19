"""An explanation as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rnnparity.explanation.picture import DECADES, LEVELS, shrunk
from rnnparity.problem.explanations import (
    ExperimentEnd,
    Explanation,
    FaultDescription,
    FaultId,
    Picture,
)
from rnnparity.problem.findings import (
    LOCATIONS,
    PATTERNS,
    Finding,
    FindingType,
    accounts_for_values,
)
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.columns import number_columns
from rnnparity.report.text.differences import describe, sigma_text
from rnnparity.report.text.findings import finding_text, printed_agreement
from rnnparity.report.text.messages import (
    NOT_LISTED,
    UNEXPLAINED,
    fault_name,
    faults_name,
    next_text,
)
from rnnparity.report.text.phrases import (
    ACROSS,
    evidence_text,
    known_texts,
    mismatch_text,
    slice_text,
    step_table,
    unit_labels,
)

BLOCKS = " ▁▂▃▄▅▆▇█"
# The picture has at most this many rows and columns on a terminal.
ROWS, COLUMNS = 16, 60
# Why an experiment does not account for all differences.
EXPERIMENTS = {
    ExperimentEnd.REFUSED: "it supports no problem that could show what it computes",
    ExperimentEnd.AGREES: "other weights and inputs are answered as expected",
    ExperimentEnd.OTHER_EQUATIONS: "no weights, states and activations give all its answers",
    ExperimentEnd.TOO_LARGE: "it supports no layer that is small enough to identify",
}
# A list of faults names this many.
FAULTS = 3


class Style(StrEnum):
    """How a line is shown on a terminal."""

    PLAIN = "plain"
    AGREES = "agrees"
    DIVERGES = "diverges"
    FIRST = "first"
    FINDING = "finding"
    CAUSE = "cause"
    FIX = "fix"
    PICTURE = "picture"


# The colour of each style, and whether it is bold.
COLOURS: dict[Style, tuple[str | None, bool | None]] = {
    Style.AGREES: ("green", True),
    Style.DIVERGES: ("yellow", True),
    Style.FIRST: (None, True),
    Style.FINDING: ("red", None),
    Style.CAUSE: ("red", True),
    Style.FIX: ("green", None),
    Style.PICTURE: ("red", None),
    Style.PLAIN: (None, None),
}


@dataclass(frozen=True)
class Line:
    """A line of text and its style."""

    text: str
    style: Style = Style.PLAIN


def headline(explanation: Explanation) -> str:
    """Return the explanation in one line without the id."""
    cause = explanation.cause
    if explanation.verdict is not Verdict.DIVERGES or cause is None:
        return verdict_text(explanation)
    if not cause.explained and explanation.known:
        return f"known difference: {', '.join(explanation.known)}"
    accounts = [finding for finding in explanation.findings if accounts_for_values(finding)]
    line = faults_name(cause.faults) if cause.explained else UNEXPLAINED
    if not cause.explained and accounts:
        line = finding_text(accounts[0])
    if not cause.certain:
        line += " (low confidence)"
    if explanation.first:
        line += f"; first mismatch: {mismatch_text(explanation.first)}"
    return line


def verdict_text(explanation: Explanation) -> str:
    """Return the verdict, and to which printed digits or declared precision outputs agree."""
    printed = _printed(explanation)
    if explanation.verdict is Verdict.AGREES and printed:
        return printed_agreement(printed)
    if explanation.verdict is Verdict.AGREES and explanation.precision:
        return f"agrees to {explanation.precision}"
    return str(explanation.verdict)


def _printed(explanation: Explanation) -> Finding | None:
    """Return the finding that the numbers were read from text."""
    printed = (f for f in explanation.findings if f.type is FindingType.PRINTED_DIGITS)
    return next(printed, None)


def lines(explanation: Explanation, with_picture: bool = True) -> Iterator[Line]:
    """Yield verdict, location, cause, evidence, fix and picture, one line each."""
    diverges = explanation.verdict is Verdict.DIVERGES
    passed = explanation.verdict is Verdict.AGREES
    style = Style.AGREES if passed else Style.DIVERGES
    yield Line(f"{explanation.id}: {verdict_text(explanation)}", style)
    if not diverges and not _printed(explanation):
        yield Line(f"  max error: {sigma_text(explanation.sigma)} sigma")
    if explanation.reason:
        yield Line(f"  reason: {explanation.reason}")
    if explanation.slice:
        yield Line(f"  explained on a part: {slice_text(explanation.slice)}")
    yield from _differences(explanation)
    if explanation.first:
        yield Line(f"  first mismatch: {mismatch_text(explanation.first)}", Style.FIRST)
        for row in number_columns(step_table(explanation.step_values)):
            yield Line(f"    {row}")
    yield from _findings(explanation.findings)
    yield from _cause(explanation)
    for entry in known_texts(explanation.known):
        yield Line(f"  known difference: {entry}")
    if explanation.blind_to and explanation.verdict is not Verdict.INCONCLUSIVE:
        faults = _shortened([fault_name(fault) for fault in explanation.blind_to])
        yield Line(f"  not detectable with these inputs: {faults}")
    if with_picture and explanation.picture:
        yield from _picture(explanation.picture)


def _differences(explanation: Explanation) -> Iterator[Line]:
    for difference in explanation.differences:
        # The first mismatch in the order of processing has a line of its own.
        for line in describe(replace(difference, first_step=None), explanation.threshold):
            yield Line(f"  {line}")


def _findings(findings: Iterable[Finding]) -> Iterator[Line]:
    """Yield what locates and describes the differences in a line each, then every finding."""
    findings = tuple(findings)
    for label, types in (("pattern", LOCATIONS), ("note", PATTERNS - LOCATIONS)):
        texts = [finding_text(finding) for finding in findings if finding.type in types]
        if texts:
            yield Line(f"  {label}: {'; '.join(texts)}")
    texts = [finding_text(finding) for finding in findings if finding.type not in PATTERNS]
    for text in dict.fromkeys(texts):  # several outputs may have the same
        yield Line(f"  finding: {text}", Style.FINDING)


def _cause(explanation: Explanation) -> Iterator[Line]:
    cause = explanation.cause
    if cause is None:
        return
    if not cause.explained:
        if not explanation.known:
            yield Line(f"  cause: {_no_cause(explanation)}", Style.CAUSE)
        if explanation.explain_next:
            yield Line(f"  explain next: {next_text(explanation.explain_next)}")
        yield from _probes(explanation)
        return
    yield Line(f"  cause: {faults_name(cause.faults)}", Style.CAUSE)
    yield from _descriptions(cause.faults, explanation.descriptions)
    yield Line(f"  evidence: {evidence_text(explanation)}")
    if not cause.certain:
        yield Line(
            "  low confidence: the values are too few or too coarse to rule out a chance match"
        )
    for seen_in in dict.fromkeys(fault.seen_in for fault in explanation.descriptions):
        if seen_in:
            yield Line(f"  seen in: {seen_in}")
    yield from _probes(explanation)
    names = [
        *(faults_name(faults) for faults in cause.also_fits),
        *map(finding_text, cause.rivals),
    ]
    if names:
        yield Line(f"  equally consistent with these inputs: {_shortened(names)}")


def _no_cause(explanation: Explanation) -> str:
    count = explanation.candidates
    unlisted = NOT_LISTED if explanation.accounted else UNEXPLAINED
    return f"{unlisted}; none of {count} candidate faults fits" if count else unlisted


def _probes(explanation: Explanation) -> Iterator[Line]:
    if explanation.probes:
        plural = "s" if explanation.probes > 1 else ""
        yield Line(f"  probes: the subject was asked {explanation.probes} further problem{plural}")
    if explanation.experiment:
        yield Line(f"  experiment: {EXPERIMENTS[explanation.experiment]}")


def _descriptions(
    faults: Sequence[FaultId], descriptions: Sequence[FaultDescription]
) -> Iterator[Line]:
    if len(faults) == 1:
        yield Line(f"    {descriptions[0].description}")
        yield Line(f"  fix: {descriptions[0].fix}", Style.FIX)
        yield from _in_file("  ", descriptions[0])
        return
    for fault, description in zip(faults, descriptions, strict=True):
        yield Line(f"    {fault_name(fault)}: {description.description}")
        yield Line(f"      fix: {description.fix}", Style.FIX)
        yield from _in_file("      ", description)


def _in_file(indent: str, description: FaultDescription) -> Iterator[Line]:
    if description.in_file:
        yield Line(f"{indent}or, if the other side is right: {description.in_file}")


def _shortened(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > FAULTS else ""
    return ", ".join(names[:FAULTS]) + more


def _picture(picture: Picture) -> Iterator[Line]:
    """Yield the picture as blocks: blank is noise, a full block a million times beyond it."""
    factor = 10 ** (DECADES / LEVELS)
    yield Line(
        f"  {picture.output}: units down, {ACROSS[picture.across]} across; blank is noise, "
        f"one block more for every factor of {factor:.1f}"
    )
    levels = shrunk(np.array(picture.levels), ROWS, COLUMNS)
    labels = unit_labels(picture, len(levels))
    width = max(map(len, labels))
    for label, row in zip(labels, levels.tolist(), strict=True):
        blocks = "".join(BLOCKS[level] for level in row)
        yield Line(f"    {label.rjust(width)} |{blocks}|", Style.PICTURE)
    first, last = str(picture.start), str(picture.start + picture.shape[1] - 1)
    room = levels.shape[1] - len(first)
    if room >= len(last) + (len(first) > 1):
        yield Line(f"    {' ' * width}  {first}{last.rjust(room)}", Style.PICTURE)
