"""The comparison of a model with a port as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnparity.explanation.digits import PrintedDigits
from rnnparity.models.calls import CallResult, ModelResult, OutputComparison, PortCall, PortResult
from rnnparity.problem.findings import AfterLayer
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.explanation_json import cause_json, fault_json, finite
from rnnparity.report.text.columns import text_columns
from rnnparity.report.text.findings import printed_agreement
from rnnparity.report.text.line import Line, Style
from rnnparity.report.text.model import (
    call_json,
    difference_headline,
    difference_lines,
    model_headline,
    model_json,
    remarks,
    style_of,
    verdict_cells,
)

PORT_HEADER = ("call", "class", "model", "sigma", "port", "sigma", "tensor of the port")
# What a port may do to what enters a layer.
APPLIED = {
    AfterLayer.TANH: "a tanh",
    AfterLayer.RELU: "a relu",
    AfterLayer.SIGMOID: "a sigmoid",
    AfterLayer.SOFTMAX: "a softmax over the features",
    AfterLayer.UNIT_LENGTH: "division by their length over the features",
}


def port_headline(result: PortResult) -> str:
    """Return the comparison with a port in one line."""
    first = result.first_failing
    if first is not None:
        hidden = f"{first.suspect} or " if first.suspect else ""
        return f"first difference: {hidden}{difference_headline(first)}"
    total = len(result.calls)
    compared = f"{result.compared} of {total} calls of recurrent layers agree"
    if not result.compared:
        compared = f"none of {total} calls of recurrent layers was compared"
    changed = result.changed_inputs
    if changed is not None:
        return (
            f"{compared}, but the inputs of {changed.call.id} differ: {_suspects(result, changed)}"
        )
    if any(output.differs for output in result.outputs):
        if result.compared == total:
            return "all recurrent layers agree, the head differs"
        return f"{compared}, the final output differs"
    return _agreement(result, compared)


def _agreement(result: PortResult, compared: str) -> str:
    """Return the comparison with a port in which nothing differs; `compared` is how many calls agree."""
    if result.without_weights:
        layers = ", ".join(dict.fromkeys(call.call.layer for call in result.without_weights))
        return f"{compared}, but the state dict has no weights for {layers}"
    if not result.compared and not result.outputs:
        return f"nothing was compared: 0 of {len(result.calls)} calls of recurrent layers"
    if not result.outputs:
        return compared
    agrees = "and so does the final output" if result.compared else "the final output agrees"
    return f"{compared}, {agrees}"


def _suspects(result: PortResult, changed: PortCall) -> str:
    """Return what may have changed the inputs of a call."""
    if changed.applied is not None:
        return f"they are those of the model after {APPLIED[changed.applied]}"
    before = result.calls[: result.calls.index(changed)]
    hidden = [call.call.id for call in before if not call.result.verdict.compared]
    if hidden:
        return f"{', '.join(hidden)}, or a layer that is not recurrent, differs before it"
    return "a layer before it that is not recurrent differs"


def port_lines(name: str, result: ModelResult, port: PortResult) -> Iterator[Line]:
    """Yield one aligned line for each call of a model and its port, the final outputs, the causes."""
    yield from map(Line, titles(name, port))
    yield Line("")
    head, *rows = text_columns([PORT_HEADER, *map(port_row, result.calls, port.calls)])
    yield Line(head)
    for own, call, line in zip(result.calls, port.calls, rows, strict=True):
        yield Line(line, style_of(own.result if own.result.failing else call.result))
        for sentence in (*remarks(own), *port_remarks(port, call)):
            yield Line(f"  {sentence}")
    for output in port.outputs:
        yield Line(output_text(output), _output_style(output))
    for weight, key in port.weights.items():
        yield Line(f"  {weight}: {key}")
    yield Line("")
    yield Line(f"model: {model_headline(result)}", Style.FIRST)
    yield from difference_lines(result.calls)
    yield Line(f"port: {port_headline(port)}", Style.FIRST)
    yield from difference_lines(port.calls)


def titles(name: str, port: PortResult) -> tuple[str, str]:
    """Return what the columns of a model and its port are compared with."""
    return (
        f"model: {name}, compared with what Keras specifies",
        f"port: {port.port}, compared with the same on the port's own inputs",
    )


def output_text(output: OutputComparison) -> str:
    """Return the comparison of a final output in one line."""
    name = "" if output.name == "output" else f" {output.name}"
    line = (
        f"final output{name}: largest difference {output.largest:.2g}, "
        f"tolerance {output.tolerance:.2g} ({output.relative:.1g} of the largest value)"
    )
    if output.follows and output.differs:
        return f"{line}; a layer before it differs"
    if output.printed is None or output.differs:
        return line
    return f"{line}; {printed_agreement(output.printed.finding)}"


def _output_style(output: OutputComparison) -> Style:
    return Style.DIVERGES if output.differs else Style.AGREES


def port_row(own: CallResult, call: PortCall) -> Sequence[str]:
    """Return the cells of a call in the model and in the port under PORT_HEADER."""
    return (
        call.call.id,
        call.call.class_name,
        *verdict_cells(own.result),
        *verdict_cells(call.result),
        call.tensor or "-",
    )


def port_remarks(result: PortResult, call: PortCall) -> Iterator[str]:
    """Yield why a call is not compared, to which digits it agrees, or that its inputs differ.

    Why it is not computed, neither in the model nor in the port, is a remark on the model's.
    """
    if call.result.verdict is Verdict.UNSUPPORTED:
        if call.call.problem is not None:
            yield f"not compared: {call.result.reason}"
    elif call.result.reason:
        yield call.result.reason
    if call.printed is not None and call.result.verdict is Verdict.AGREES:
        yield printed_agreement(call.printed.finding)
    if call.padding_differs:
        yield "its masked steps are not those of Keras; the final output does not depend on them"
    if call.suspect:
        yield (
            f"or {call.suspect} differs: the port does not show its output, so that {call.call.id} was "
            "computed from the model's"
        )
    if call.inputs_differ:
        changed = call is result.changed_inputs
        reason = _suspects(result, call) if changed else "a layer before it differs"
        yield f"its inputs in the port are not those of the model: {reason}"


def model_and_port_json(result: ModelResult) -> dict[str, object]:
    """Return the results as JSON, with the comparison with a port under "against".

    The first difference is the model's own from what Keras specifies, else the port's.
    """
    content = model_json(result)
    return content if result.port is None else {**content, "against": port_json(result.port)}


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
                "inputs_after": call.applied,
                "padding_differs": call.padding_differs,
                "suspect": call.suspect or None,
                "printed": _printed_json(call.printed),
                "reason": call.result.reason,
            }
            for call in result.calls
        ],
        "outputs": [_output_json(output) for output in result.outputs],
        "weights": dict(result.weights),
        "first_difference": first.call.layer if first else None,
        "cause": cause_json(first.result.cause) if first else None,
        "fault": fault_json(first.result.cause) if first else None,
    }


def _printed_json(printed: PrintedDigits | None) -> dict[str, object] | None:
    """Return how outputs were printed, where they were."""
    return None if printed is None else {"digits": printed.count, "of": printed.finding.name}


def _output_json(output: OutputComparison) -> dict[str, object]:
    return {
        "name": output.name,
        "largest_difference": finite(output.largest),
        "tolerance": output.tolerance,
        "relative_tolerance": output.relative,
        "differs": output.differs,
        "printed": _printed_json(output.printed),
    }
