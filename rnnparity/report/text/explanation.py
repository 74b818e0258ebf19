"""An explanation as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnparity.problem.explanations import (
    ExperimentEnd,
    Explanation,
    FaultDescription,
    FaultId,
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
from rnnparity.report.text.finding_fixes import fix_of
from rnnparity.report.text.findings import finding_text, printed_agreement
from rnnparity.report.text.line import Line, Style, labelled, stated
from rnnparity.report.text.messages import (
    NOT_LISTED,
    UNEXPLAINED,
    fault_name,
    faults_name,
    next_text,
)
from rnnparity.report.text.phrases import (
    accounted_text,
    evidence_text,
    known_texts,
    mismatch_text,
    slice_text,
    step_table,
)
from rnnparity.report.text.picture import picture_lines

# Why an experiment does not account for all differences.
EXPERIMENTS = {
    ExperimentEnd.REFUSED: "it supports no problem that could show what it computes",
    ExperimentEnd.AGREES: "other weights and inputs are answered as expected",
    ExperimentEnd.OTHER_EQUATIONS: "no weights, states and activations give all its answers",
    ExperimentEnd.TOO_LARGE: "it supports no layer that is small enough to identify",
}
# A list of faults names this many.
FAULTS = 3
OTHER_SIDE = "or, if the other side is right"


def headline(explanation: Explanation) -> str:
    """Return the explanation in one line without the id."""
    line = summary(explanation)
    if line and explanation.first and not _is_known(explanation):
        line += f"; first mismatch: {mismatch_text(explanation.first)}"
    return line or verdict_text(explanation)


def summary(explanation: Explanation) -> str:
    """Return the cause, or the first finding that accounts for the outputs; "" if nothing diverges."""
    cause = explanation.cause
    if explanation.verdict is not Verdict.DIVERGES or cause is None:
        return ""
    if _is_known(explanation):
        return f"known difference: {', '.join(explanation.known)}"
    accounts = [finding for finding in explanation.findings if accounts_for_values(finding)]
    line = faults_name(cause.faults) if cause.explained else UNEXPLAINED
    if not cause.explained and accounts:
        line = finding_text(accounts[0])
    return line if cause.certain else f"{line} (low confidence)"


def _is_known(explanation: Explanation) -> bool:
    """Return whether a listed difference stands for a cause."""
    return bool(explanation.known) and not (explanation.cause and explanation.cause.explained)


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
    """Yield verdict, location, findings, cause, evidence, fix and picture, one line each."""
    diverges = explanation.verdict is Verdict.DIVERGES
    passed = explanation.verdict is Verdict.AGREES
    style = Style.AGREES if passed else Style.DIVERGES
    yield labelled(explanation.id, verdict_text(explanation), style, indent="")
    if not diverges and not _printed(explanation):
        yield labelled("max error", f"{sigma_text(explanation.sigma)} sigma")
    if explanation.reason:
        yield labelled("reason", explanation.reason)
    if explanation.slice:
        yield labelled("explained on a part", slice_text(explanation.slice))
    yield from _differences(explanation)
    if explanation.first:
        yield labelled("first mismatch", mismatch_text(explanation.first), Style.FIRST)
        for row in number_columns(step_table(explanation.step_values)):
            yield Line(f"    {row}")
    yield from _findings(explanation)
    yield from _cause(explanation)
    for entry in known_texts(explanation.known):
        yield labelled("known difference", entry)
    if explanation.blind_to and explanation.verdict is not Verdict.INCONCLUSIVE:
        faults = _shortened([fault_name(fault) for fault in explanation.blind_to])
        yield labelled("not detectable with these inputs", faults)
    if with_picture and explanation.picture:
        yield from picture_lines(explanation.picture)


def _differences(explanation: Explanation) -> Iterator[Line]:
    for difference in explanation.differences:
        # The first mismatch in the order of processing has a line of its own.
        for line in describe(replace(difference, first_step=None), explanation.threshold):
            yield stated("differences", line)


def _findings(explanation: Explanation) -> Iterator[Line]:
    """Yield what locates and describes the differences in a line each, then every finding.

    What to do about them, and their evidence, come where no cause has its own.
    """
    findings = explanation.findings
    for label, types in (("pattern", LOCATIONS), ("note", PATTERNS - LOCATIONS)):
        texts = [finding_text(finding) for finding in findings if finding.type in types]
        if texts:
            yield labelled(label, "; ".join(texts))
    texts = [finding_text(finding) for finding in findings if finding.type not in PATTERNS]
    for text in dict.fromkeys(texts):  # several outputs may have the same
        yield labelled("finding", text, Style.FINDING)
    if explanation.cause and not explanation.cause.explained:
        yield from _what_accounts(explanation)


def _what_accounts(explanation: Explanation) -> Iterator[Line]:
    """Yield what to do about the findings that account for outputs, and how exactly they do."""
    accounting = [finding for finding in explanation.findings if accounts_for_values(finding)]
    for fix in dict.fromkeys(map(fix_of, accounting)):
        if fix:
            yield labelled("fix", fix, Style.FIX)
    distances = [finding.sigma for finding in accounting if finding.sigma is not None]
    if explanation.accounted and distances:
        yield labelled("evidence", accounted_text(explanation, max(distances), len(accounting)))


def _cause(explanation: Explanation) -> Iterator[Line]:
    cause = explanation.cause
    if cause is None:
        return
    if not cause.explained:
        if not explanation.known:
            yield labelled("cause", _no_cause(explanation), Style.CAUSE)
        if explanation.explain_next:
            yield labelled("explain next", next_text(explanation.explain_next))
        yield from _probes(explanation)
        return
    yield labelled("cause", faults_name(cause.faults), Style.CAUSE)
    yield from _descriptions(cause.faults, explanation.descriptions)
    yield labelled("evidence", evidence_text(explanation))
    if not cause.certain:
        yield labelled(
            "low confidence", "the values are too few or too coarse to rule out a chance match"
        )
    for seen_in in dict.fromkeys(fault.seen_in for fault in explanation.descriptions):
        if seen_in:
            yield labelled("seen in", seen_in)
    yield from _probes(explanation)
    names = [
        *(faults_name(faults) for faults in cause.also_fits),
        *map(finding_text, cause.rivals),
    ]
    if names:
        yield labelled("equally consistent with these inputs", _shortened(names))


def _no_cause(explanation: Explanation) -> str:
    count = explanation.candidates
    unlisted = NOT_LISTED if explanation.accounted else UNEXPLAINED
    return f"{unlisted}; none of {count} candidate faults fits" if count else unlisted


def _probes(explanation: Explanation) -> Iterator[Line]:
    if explanation.probes:
        plural = "s" if explanation.probes > 1 else ""
        yield labelled(
            "probes", f"the subject was asked {explanation.probes} further problem{plural}"
        )
    if explanation.experiment:
        yield labelled("experiment", EXPERIMENTS[explanation.experiment])


def _descriptions(
    faults: Sequence[FaultId], descriptions: Sequence[FaultDescription]
) -> Iterator[Line]:
    """Yield what each fault is and how it is fixed; of several each has its name."""
    several = len(faults) > 1
    for fault, description in zip(faults, descriptions, strict=True):
        name = f"{fault_name(fault)}: " if several else ""
        indent = "      " if several else "  "
        yield stated("cause", f"{name}{description.description}", indent="    ")
        yield labelled("fix", description.fix, Style.FIX, indent)
        if description.in_file:
            yield labelled(OTHER_SIDE, description.in_file, indent=indent)


def _shortened(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > FAULTS else ""
    return ", ".join(names[:FAULTS]) + more
