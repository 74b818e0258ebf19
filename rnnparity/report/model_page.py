"""The results of a model's recurrent layers, and of a port of it, as one HTML page."""

from __future__ import annotations

from rnnparity.models.calls import ModelResult, PortResult
from rnnparity.problem.results import Explanation
from rnnparity.report.explanation_page import drawing
from rnnparity.report.explanation_text import lines
from rnnparity.report.model_text import HEADER, model_headline, remarks, row
from rnnparity.report.page import render_template
from rnnparity.report.port_text import (
    PORT_HEADER,
    output_text,
    port_headline,
    port_remarks,
    port_row,
)


def model_page(name: str, result: ModelResult) -> str:
    """Return the whole page: a row for each call, and the explanation of the first difference.

    The headline is that of the port, where the model itself agrees.
    """
    port = result.port
    own = model_headline(result)
    section = {
        "title": "",
        "header": HEADER,
        "rows": [row(call) for call in result.calls],
        "remarks": [
            f"{call.call.id}: {remark}" for call in result.calls for remark in remarks(call)
        ],
        **_explained(result.explanation),
    }
    of_port = port is not None and result.first_difference is None
    sections = [section] if port is None else [section, _port_section(port)]
    headline = port_headline(port) if of_port and port is not None else own
    return render_template(
        "model.html.j2", {"name": name, "headline": headline, "sections": sections}
    )


def _port_section(port: PortResult) -> dict[str, object]:
    weights = [f"{weight}: {key}" for weight, key in port.weights.items()]
    return {
        "title": f"Compared with {port.port}",
        "header": PORT_HEADER,
        "rows": [port_row(call) for call in port.calls],
        "remarks": [*port_remarks(port), *map(output_text, port.outputs), *weights],
        **_explained(port.explanation),
    }


def _explained(explanation: Explanation | None) -> dict[str, object]:
    """Return the picture and the lines of an explanation, where there is one."""
    if explanation is None:
        return {"heat": None, "evidence": []}
    picture = explanation.picture
    return {
        "heat": drawing(picture, explanation.threshold) if picture else None,
        "evidence": [line.text for line in lines(explanation, with_picture=False)],
    }
