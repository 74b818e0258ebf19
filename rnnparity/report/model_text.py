"""The results of a model's recurrent layers as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnparity.models.calls import CallResult, ModelResult, Note
from rnnparity.problem.results import CaseResult, Verdict
from rnnparity.report.columns import text_columns
from rnnparity.report.explanation_json import cause_json, finite
from rnnparity.report.explanation_text import Line, Style, headline
from rnnparity.report.explanation_text import lines as explanation_lines
from rnnparity.report.messages import sigma_text

HEADER = ("call", "class", "inputs", "mask", "output", "verdict", "sigma")
NOT_COMPUTED = "not computed"
NOTES = {
    Note.MASK_IGNORED: "Keras does not use the mask of these inputs, because the call has initial "
    "states; pass mask= to the layer if padded steps must not count",
    Note.HARD_SIGMOID_KERAS_2: "the file is from Keras 2, where hard_sigmoid is clip(0.2x + 0.5, 0, 1); "
    "Keras 3 computes clip(x/6 + 0.5, 0, 1) instead, so the outputs are not those of Keras 2",
}


def model_headline(result: ModelResult) -> str:
    """Return the results of a model in one line."""
    compared, total = result.compared, len(result.calls)
    first = result.first_difference
    if first is not None:
        cause = f": {headline(result.explanation)}" if result.explanation else ""
        return f"first difference: {first.call.id}{cause}"
    if not compared:
        return f"nothing was compared: 0 of {total} calls of recurrent layers"
    return f"{compared} of {total} calls of recurrent layers were compared; all agree"


def model_lines(result: ModelResult) -> Iterator[Line]:
    """Yield one aligned line for each call, what is remarkable about it, and the first cause."""
    head, *rows = text_columns([HEADER, *map(row, result.calls)])
    yield Line(head)
    for call, line in zip(result.calls, rows, strict=True):
        yield Line(line, style_of(call.result))
        for sentence in remarks(call):
            yield Line(f"  {sentence}")
    yield Line("")
    yield Line(model_headline(result), Style.FIRST)
    if result.explanation is not None:
        yield from explanation_lines(result.explanation)


def remarks(call: CallResult) -> list[str]:
    """Return why a call is not compared, and what its notes mean."""
    reason = call.result.reason
    if call.result.verdict is Verdict.UNSUPPORTED:
        reason = f"{NOT_COMPUTED}: {reason}"
    return [*([reason] if reason else []), *(NOTES[note] for note in call.call.notes)]


def row(result: CallResult) -> Sequence[str]:
    """Return the cells of a call under HEADER."""
    call, verdict = result.call, result.result.verdict
    compared = verdict is not Verdict.UNSUPPORTED
    return (
        call.id,
        call.class_name,
        str(call.input_shape),
        "-" if call.mask_shape is None else str(call.mask_shape),
        str(call.output_shape),
        str(verdict) if compared else NOT_COMPUTED,
        sigma_text(result.result.sigma) if compared else "-",
    )


def style_of(result: CaseResult) -> Style:
    """Return the style of a line with a verdict."""
    if result.failing:
        return Style.DIVERGES
    return Style.AGREES if result.verdict is Verdict.AGREES else Style.PLAIN


def model_json(result: ModelResult) -> dict[str, object]:
    """Return the results as JSON for programs."""
    first = result.first_difference
    return {
        "calls": [call_json(call) | {"reason": "; ".join(remarks(call))} for call in result.calls],
        "first_difference": first.call.layer if first else None,
        "cause": cause_json(result.explanation),
    }


def call_json(result: CallResult) -> dict[str, object]:
    """Return which call of a model it is, and the verdict on it."""
    verdict = result.result.verdict
    return {
        "layer": result.call.layer,
        "class_name": result.call.class_name,
        "call": result.call.number,
        "verdict": str(verdict),
        "sigma": None if verdict is Verdict.UNSUPPORTED else finite(result.result.sigma),
    }
