"""The results of a model's recurrent layers as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnparity.models.calls import Call, CallResult, ModelResult, Note
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.explanation_json import as_json, cause_json, fault_json, finite
from rnnparity.report.text.columns import text_columns
from rnnparity.report.text.differences import sigma_text
from rnnparity.report.text.explanation import headline
from rnnparity.report.text.explanation import lines as explanation_lines
from rnnparity.report.text.line import Line, Style
from rnnparity.report.text.messages import faults_name

HEADER = ("call", "class", "inputs", "mask", "output", "verdict", "sigma")
NOTES = {
    Note.MASK_IGNORED: "Keras does not use the mask of these inputs, because the call has initial "
    "states; pass mask= to the layer if padded steps must not count",
    Note.HARD_SIGMOID_KERAS_2: "the file is from Keras 2, where hard_sigmoid is clip(0.2x + 0.5, 0, 1); "
    "Keras 3 computes clip(x/6 + 0.5, 0, 1) instead, so the outputs are not those of Keras 2",
}


def model_headline(result: ModelResult) -> str:
    """Return the results of a model in one line."""
    compared, total = result.compared, len(result.calls)
    if result.first_failing is not None:
        return f"first difference: {difference_headline(result.first_failing)}"
    if not compared:
        return f"nothing was compared: 0 of {total} calls of recurrent layers"
    return f"{compared} of {total} calls of recurrent layers were compared; all agree"


def difference_headline(call: CallResult) -> str:
    """Return which call differs and its cause in one line."""
    explanation, cause = call.result.explanation, call.result.cause
    if explanation is not None:
        return f"{call.call.id}: {headline(explanation)}"
    return f"{call.call.id}: {faults_name(cause.faults)}" if cause else call.call.id


def difference_lines(calls: Sequence[CallResult]) -> Iterator[Line]:
    """Yield the explanations of all calls that differ; each but the first has a headline."""
    for index, call in enumerate(call for call in calls if call.result.failing):
        if index:
            yield Line("")
            yield Line(f"also differs: {difference_headline(call)}", Style.FIRST)
        if call.result.explanation is not None:
            yield from explanation_lines(call.result.explanation)


def model_lines(result: ModelResult) -> Iterator[Line]:
    """Yield one aligned line for each call, what is remarkable about it, and the causes."""
    head, *rows = text_columns([HEADER, *map(row, result.calls)])
    yield Line(head)
    for call, line in zip(result.calls, rows, strict=True):
        yield Line(line, style_of(call.result))
        for sentence in remarks(call):
            yield Line(f"  {sentence}")
    yield Line("")
    yield Line(model_headline(result), Style.FIRST)
    yield from difference_lines(result.calls)


def remarks(call: CallResult) -> list[str]:
    """Return why a call is not compared, and what its notes mean."""
    reason = call.result.reason
    if call.result.verdict is Verdict.UNSUPPORTED:
        reason = f"not computed: {reason}"
    return [*([reason] if reason else []), *(NOTES[note] for note in call.call.notes)]


def row(result: CallResult) -> Sequence[str]:
    """Return the cells of a call under HEADER."""
    call = result.call
    return (
        call.id,
        call.class_name,
        str(call.input_shape),
        _mask_cell(call),
        str(call.output_shape),
        *verdict_cells(result.result),
    )


def _mask_cell(call: Call) -> str:
    if Note.MASK_IGNORED in call.notes:
        return "ignored"
    return "-" if call.mask_shape is None else str(call.mask_shape)


def verdict_cells(result: CaseResult) -> tuple[str, str]:
    """Return the cells of a verdict and its largest distance in sigma."""
    is_compared = result.verdict is not Verdict.UNSUPPORTED
    return str(result.verdict), sigma_text(result.sigma) if is_compared else "-"


def style_of(result: CaseResult) -> Style:
    """Return the style of a line with a verdict."""
    if result.failing:
        return Style.DIVERGES
    return Style.AGREES if result.verdict is Verdict.AGREES else Style.PLAIN


def model_json(result: ModelResult) -> dict[str, object]:
    """Return the results as JSON for programs."""
    first = result.first_difference
    return {
        "calls": [call_json(call) | _remarks_json(call) for call in result.calls],
        "first_difference": first.call.layer if first else None,
        "cause": cause_json(first.result.cause) if first else None,
        "fault": fault_json(first.result.cause) if first else None,
    }


def _remarks_json(call: CallResult) -> dict[str, object]:
    """Return what is remarkable about a call, as sentences and by the names of its notes."""
    return {"reason": "; ".join(remarks(call)), "notes": [str(note) for note in call.call.notes]}


def call_json(result: CallResult) -> dict[str, object]:
    """Return which call of a model it is, the verdict on it, and what explains it."""
    verdict, explanation = result.result.verdict, result.result.explanation
    return {
        "layer": result.call.layer,
        "class_name": result.call.class_name,
        "call": result.call.number,
        "verdict": str(verdict),
        "sigma": None if verdict is Verdict.UNSUPPORTED else finite(result.result.sigma),
        "cause": cause_json(result.result.cause),
        "fault": fault_json(result.result.cause),
        "explanation": as_json(explanation) if explanation else None,
    }
