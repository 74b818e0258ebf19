"""The results of a model's recurrent layers as one HTML page."""

from __future__ import annotations

from rnnparity.models.calls import ModelResult
from rnnparity.report.explanation_page import drawing
from rnnparity.report.explanation_text import lines
from rnnparity.report.model_text import HEADER, model_headline, remarks, row
from rnnparity.report.page import render_template
from rnnparity.report.port_text import port_lines


def model_page(name: str, result: ModelResult) -> str:
    """Return the whole page: a row for each call, and the explanation of the first difference."""
    explanation = result.explanation
    picture = explanation.picture if explanation else None
    return render_template(
        "model.html.j2",
        {
            "name": name,
            "headline": model_headline(result),
            "header": HEADER,
            "rows": [row(call) for call in result.calls],
            "remarks": [
                f"{call.call.id}: {remark}" for call in result.calls for remark in remarks(call)
            ],
            "heat": drawing(picture, explanation.threshold) if explanation and picture else None,
            "port": [line.text for line in port_lines(result.port)] if result.port else [],
            "evidence": [line.text for line in lines(explanation, False)] if explanation else [],
        },
    )
