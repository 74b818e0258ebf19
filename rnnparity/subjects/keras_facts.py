"""What Keras states of a layer without computing: parameters, symbolic shapes, the summary."""

from __future__ import annotations

from collections.abc import Sequence

from rnnparity.problem.problem import Problem
from rnnparity.subjects.keras_backend import KerasModel


def stated_facts(problem: Problem, model: KerasModel) -> dict[str, object]:
    """Return the facts of a built layer; the summary only where the case has one printed."""
    shapes = model.compute_output_shape((None, None, problem.inputs.shape[-1]))
    facts: dict[str, object] = {
        "parameters": model.count_params(),
        "symbolic": _shape_list(shapes),
    }
    if problem.case and "summary" in problem.case.expect:
        facts["summary"] = _summary_rows(model)
    return facts


def _shape_list(shapes: Sequence[object]) -> list[object]:
    """Return what compute_output_shape gives, one shape or a sequence of them, as lists."""
    if shapes and all(isinstance(dim, int | None) for dim in shapes):
        return [list(shapes)]
    return [list(shape) for shape in shapes]  # type: ignore[call-overload] # a sequence of shapes


def _summary_rows(model: KerasModel) -> list[list[str | int]]:
    """Return output shape and parameter count of each layer as `model.summary()` prints them."""
    lines: list[str] = []
    model.summary(print_fn=lambda text, **_: lines.extend(text.splitlines()))
    rows: list[list[str | int]] = []
    for line in lines:
        if not line.startswith("│"):
            continue
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        _, shape, count = cells
        # A long name continues in a row that has no count.
        if count:
            rows.append([shape, int(count.replace(",", ""))])
    return rows
