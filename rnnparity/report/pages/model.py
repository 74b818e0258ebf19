"""The results of a model's recurrent layers, and of a port of it, as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnparity.models.calls import CallResult, ModelResult, PortResult
from rnnparity.report.pages.explanation import drawing
from rnnparity.report.pages.page import render_template
from rnnparity.report.text.explanation import lines
from rnnparity.report.text.model import HEADER, difference_headline, model_headline, remarks, row
from rnnparity.report.text.port import (
    PORT_HEADER,
    output_text,
    port_headline,
    port_remarks,
    port_row,
    titles,
)


def model_page(name: str, result: ModelResult) -> str:
    """Return the whole page: a row for each call, and the explanation of each difference.

    The headline is that of the port, where the model itself agrees.
    """
    port = result.port
    of_port = port is not None and result.first_failing is None
    content: dict[str, object] = {
        "name": name,
        "headline": port_headline(port) if of_port and port else model_headline(result),
        "titles": [],
        "header": HEADER,
        "rows": map(row, result.calls),
        "remarks": _remarks(result.calls),
        "differences": _differences(result.calls),
    }
    if port is not None:
        content |= _with_port(name, result, port)
    return render_template("model.html.j2", content)


def _with_port(name: str, result: ModelResult, port: PortResult) -> dict[str, object]:
    """Return what differs on the page of a model and its port."""
    of_port = [
        f"{call.call.id}: {text}" for call in port.calls for text in port_remarks(port, call)
    ]
    weights = [f"{weight}: {key}" for weight, key in port.weights.items()]
    return {
        "titles": titles(name, port),
        "header": PORT_HEADER,
        "rows": map(port_row, result.calls, port.calls),
        "remarks": [*_remarks(result.calls), *of_port, *map(output_text, port.outputs), *weights],
        "differences": [*_differences(result.calls), *_differences(port.calls)],
    }


def _remarks(calls: Sequence[CallResult]) -> list[str]:
    return [f"{call.call.id}: {remark}" for call in calls for remark in remarks(call)]


def _differences(calls: Sequence[CallResult]) -> Iterator[dict[str, object]]:
    """Yield title, picture and lines of each call that differs."""
    for call in calls:
        if not call.result.failing:
            continue
        content: dict[str, object] = {"title": difference_headline(call)}
        explanation = call.result.explanation
        if explanation is not None:
            content["evidence"] = [line.text for line in lines(explanation, with_picture=False)]
            if explanation.picture is not None:
                content["heat"] = drawing(explanation.picture, explanation.threshold)
        yield content
