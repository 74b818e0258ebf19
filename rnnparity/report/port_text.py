"""The comparison of a model with a port as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnparity.models.calls import ModelResult, OutputComparison, PortCall, PortResult
from rnnparity.problem.results import Verdict
from rnnparity.report.columns import text_columns
from rnnparity.report.explanation_json import cause_json, finite
from rnnparity.report.explanation_text import Line, Style, headline
from rnnparity.report.explanation_text import lines as explanation_lines
from rnnparity.report.messages import sigma_text
from rnnparity.report.model_text import NOT_COMPUTED, call_json, model_json, style_of

PORT_HEADER = ("call", "class", "tensor of the port", "verdict", "sigma")


def port_headline(result: PortResult) -> str:
    """Return the comparison with a port in one line."""
    first = result.first_difference
    if first is not None:
        cause = f": {headline(result.explanation)}" if result.explanation else ""
        return f"first difference: {first.call.id}{cause}"
    total = len(result.calls)
    compared = f"{result.compared} of {total} calls of recurrent layers agree"
    changed = result.changed_inputs
    if changed is not None:
        return (
            f"{compared}, but the inputs of {changed.call.id} differ: {_suspects(result, changed)}"
        )
    if any(output.differs for output in result.outputs):
        if result.compared == total:
            return "all recurrent layers agree, the head differs"
        return f"{compared}, the final output differs"
    if not result.compared and not result.outputs:
        return f"nothing was compared: 0 of {total} calls of recurrent layers"
    return f"{compared}, and so does the final output" if result.outputs else compared


def _suspects(result: PortResult, changed: PortCall) -> str:
    """Return what may have changed the inputs of a call."""
    before = result.calls[: result.calls.index(changed)]
    hidden = [call.call.id for call in before if not call.result.verdict.compared]
    if hidden:
        return f"{', '.join(hidden)}, or a layer that is not recurrent, differs before it"
    return "a layer before it that is not recurrent differs"


def port_lines(result: PortResult) -> Iterator[Line]:
    """Yield one aligned line for each call, the final outputs, and the first cause."""
    yield Line("")
    yield Line(f"compared with {result.port}", Style.FIRST)
    head, *rows = text_columns([PORT_HEADER, *map(port_row, result.calls)])
    yield Line(head)
    for call, line in zip(result.calls, rows, strict=True):
        yield Line(line, style_of(call.result))
        for sentence in _remarks(result, call):
            yield Line(f"  {sentence}")
    for output in result.outputs:
        yield Line(output_text(output), _output_style(output))
    for weight, key in result.weights.items():
        yield Line(f"  {weight}: {key}")
    yield Line("")
    yield Line(port_headline(result), Style.FIRST)
    if result.explanation is not None:
        yield from explanation_lines(result.explanation)


def output_text(output: OutputComparison) -> str:
    """Return the comparison of a final output in one line."""
    name = "" if output.name == "output" else f" {output.name}"
    line = (
        f"final output{name}: largest difference {output.largest:.2g}, "
        f"tolerance {output.tolerance:.2g} ({output.relative:.1g} of the largest value)"
    )
    return f"{line}; a layer before it differs" if output.follows and output.differs else line


def _output_style(output: OutputComparison) -> Style:
    return Style.DIVERGES if output.differs else Style.AGREES


def port_remarks(result: PortResult) -> list[str]:
    """Return what is remarkable about the calls: why one is not compared, that its inputs differ."""
    return [
        f"{call.call.id}: {sentence}"
        for call in result.calls
        for sentence in _remarks(result, call)
    ]


def port_row(call: PortCall) -> Sequence[str]:
    """Return the cells of a call under PORT_HEADER."""
    verdict = call.result.verdict
    compared = verdict is not Verdict.UNSUPPORTED
    return (
        call.call.id,
        call.call.class_name,
        call.tensor or "-",
        str(verdict) if compared else _not_compared(call),
        sigma_text(call.result.sigma) if compared else "-",
    )


def _not_compared(call: PortCall) -> str:
    return NOT_COMPUTED if call.call.problem is None else "not compared"


def _remarks(result: PortResult, call: PortCall) -> Iterator[str]:
    if call.result.verdict is Verdict.UNSUPPORTED:
        yield f"{_not_compared(call)}: {call.result.reason}"
    elif call.result.reason:
        yield call.result.reason
    if call is result.changed_inputs:
        yield f"its inputs in the port are not those of the model: {_suspects(result, call)}"


def model_and_port_json(result: ModelResult) -> dict[str, object]:
    """Return the results as JSON, with the comparison with a port under "against".

    The first difference is the model's own from what Keras specifies, else the port's.
    """
    content = model_json(result)
    if result.port is None:
        return content
    port = port_json(result.port)
    if result.first_difference is None:
        content |= {key: port.pop(key) for key in ("first_difference", "cause")}
    return {**content, "against": port}


def port_json(result: PortResult) -> dict[str, object]:
    """Return the comparison with a port as JSON for programs."""
    first = result.first_difference
    return {
        "port": result.port,
        "calls": [
            call_json(call)
            | {
                "tensor": call.tensor or None,
                "inputs_differ": call.inputs_differ,
                "reason": call.result.reason,
            }
            for call in result.calls
        ],
        "outputs": [_output_json(output) for output in result.outputs],
        "weights": dict(result.weights),
        "first_difference": first.call.layer if first else None,
        "cause": cause_json(result.explanation),
    }


def _output_json(output: OutputComparison) -> dict[str, object]:
    return {
        "name": output.name,
        "largest_difference": finite(output.largest),
        "tolerance": output.tolerance,
        "relative_tolerance": output.relative,
        "differs": output.differs,
    }
