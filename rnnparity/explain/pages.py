"""An explanation as one HTML page, with its picture as SVG."""

from __future__ import annotations

from typing import Any

from rnnparity.dtypes import FLOAT_TYPES
from rnnparity.explain import Explanation
from rnnparity.explain.screen import headline, levels, shrunk, text
from rnnparity.messages import sigma_text
from rnnparity.page import render_template

# The picture: a square of so many pixels a value, no more rows and columns than that, room for the labels.
SIZE, ROWS, COLUMNS, LEFT, BELOW = 14, 64, 72, 56, 18


def page(told: Explanation) -> str:
    """The whole page; its picture is an SVG with one square a unit and step."""
    words: dict[str, Any] = {
        "told": told,
        "headline": headline(told),
        "sentences": _sentences(told),
        "heat": _heat(told),
        "text": text(told, pictured=False),
        "also": [mutant.name for mutant in told.also_fits],
    }
    return render_template("explain.html.j2", words)


def _sentences(told: Explanation) -> list[str]:
    if told.fault is None:
        return [told.hint] if told.hint else []
    faults = [placed.fault for placed in told.fault.placed]
    return [f"{fault.says} {fault.mend}" for fault in faults]


def _heat(told: Explanation) -> dict[str, Any] | None:
    """Squares and labels of the picture, in pixels."""
    if told.picture is None:
        return None
    name, off = told.picture
    off = shrunk(off, ROWS, COLUMNS)
    heights = levels(off, FLOAT_TYPES[told.problem.threshold_type].threshold)
    rows, columns = off.shape
    timed = "step" in told.first
    across = "time" if timed else "rows of the batch"
    cells = [
        {
            "x": LEFT + SIZE * column,
            "y": SIZE * row,
            "level": int(heights[row, column]),
            "title": f"unit {row}, {'step' if timed else 'row'} {column}: {sigma_text(float(off[row, column]))} sigma",
        }
        for row in range(rows)
        for column in range(columns)
    ]
    units, ends = (size - 1 for size in told.picture[1].shape)
    below = SIZE * rows + 12
    labels = [
        {"x": LEFT - 6, "y": 11, "anchor": "end", "text": "unit 0"},
        {"x": LEFT - 6, "y": SIZE * rows - 3, "anchor": "end", "text": str(units) if rows > 1 else ""},
        {"x": LEFT, "y": below, "anchor": "start", "text": "0"},
        {"x": LEFT + SIZE * columns, "y": below, "anchor": "end", "text": str(ends) if columns > 1 else ""},
    ]
    width = max(LEFT + SIZE * columns, 320)
    return {
        "name": name, "across": across, "cells": cells, "labels": labels, "size": SIZE,
        "width": width, "height": SIZE * rows + BELOW,
    }  # fmt: skip
