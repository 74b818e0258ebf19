"""An explanation as one HTML page, with its picture as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnparity.explanation.explain import Explanation
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.report.explanation_text import across, headline, levels, shrunk, text
from rnnparity.report.messages import sigma_text
from rnnparity.report.page import render_template

# The picture: a square of so many pixels a value, no more rows and columns than that, room for the
# labels.
SIZE, ROWS, COLUMNS, LEFT, BELOW = 14, 64, 72, 56, 18


def page(told: Explanation) -> str:
    """The whole page; its picture is an SVG with one square a unit and step."""
    words: dict[str, Any] = {
        "told": told,
        "headline": headline(told),
        "sentences": sentences(told),
        "heat": _heat(told),
        "text": text(told, pictured=False),
        "also": [mutant.name for mutant in told.also_fits],
    }
    return render_template("explain.html.j2", words)


def sentences(told: Explanation) -> list[str]:
    """What its faults are and how they are mended; where none is named, what is noticed besides."""
    if told.fault is None:
        return [told.hint] if told.hint else []
    faults = [placed.fault for placed in told.fault.placed]
    return [f"{fault.description} {fault.fix}" for fault in faults]


def _heat(told: Explanation) -> dict[str, Any] | None:
    """The picture with every distance as its squares' titles."""
    if told.picture is None:
        return None
    name, off = told.picture
    small = shrunk(off, ROWS, COLUMNS)
    heights = levels(small, FLOAT_TYPES[told.problem.threshold_type].threshold)
    each = "step" if across(told) == "time" else "row"
    titles = [
        [
            f"unit {row}, {each} {column}: {sigma_text(float(sigma))} sigma"
            for column, sigma in enumerate(sigmas)
        ]
        for row, sigmas in enumerate(small)
    ]
    return drawing(name, across(told), off.shape, heights.tolist(), titles)


def drawing(
    name: str,
    across: str,
    shape: Sequence[int],
    heights: Sequence[Sequence[int]],
    titles: Sequence[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Squares and labels of a picture in pixels, for the macro in heat.html.j2.

    `heights` are levels from 0 (noise) to 8, units down; `shape` that of the output, which they may
    show more coarsely.
    """
    rows, columns = len(heights), len(heights[0])
    cells = [
        {
            "x": LEFT + SIZE * column,
            "y": SIZE * row,
            "level": level,
            "title": titles[row][column] if titles else "",
        }
        for row, levels in enumerate(heights)
        for column, level in enumerate(levels)
    ]
    units, ends = (size - 1 for size in shape)
    below = SIZE * rows + 12
    labels = [
        {"x": LEFT - 6, "y": 11, "anchor": "end", "text": "unit 0"},
        {
            "x": LEFT - 6,
            "y": SIZE * rows - 3,
            "anchor": "end",
            "text": str(units) if rows > 1 else "",
        },
        {"x": LEFT, "y": below, "anchor": "start", "text": "0"},
        {
            "x": LEFT + SIZE * columns,
            "y": below,
            "anchor": "end",
            "text": str(ends) if columns > 1 else "",
        },
    ]
    return {
        "name": name, "across": across, "cells": cells, "labels": labels, "size": SIZE,
        "width": LEFT + SIZE * columns + 2, "height": SIZE * rows + BELOW,
    }  # fmt: skip
