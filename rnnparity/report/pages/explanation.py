"""An explanation as one HTML page, with its picture as SVG."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from rnnparity.explanation.location import BACKWARD
from rnnparity.explanation.picture import DECADES, LEVELS
from rnnparity.problem.explanations import Cause, Explanation, FaultDescription, Picture
from rnnparity.problem.findings import LOCATIONS
from rnnparity.report.pages.page import render_template
from rnnparity.report.text.differences import sigma_text
from rnnparity.report.text.explanation import OTHER_SIDE, lines, summary, verdict_text
from rnnparity.report.text.findings import finding_text
from rnnparity.report.text.messages import fault_name, faults_name
from rnnparity.report.text.phrases import ACROSS, step_table, unit_labels

# Pixels of the picture: a square, the room for the labels left of the squares and below them, and
# a line of labels.
SIZE, LEFT, BELOW, LINE = 14, 80, 32, 14
# A picture of so many columns has the name of its axis in the middle.
WIDE = 12
# The facts that stand first, by their labels; the others follow in the order of the text. That there
# is no cause stands behind what was found instead.
FIRST = (
    "cause", "finding", "fix", OTHER_SIDE, "low confidence",
    "first mismatch", "pattern", "note", "evidence", "differences",
)  # fmt: skip
# The script of a bundle, and the largest file of one that is part of a page.
SCRIPT, LARGEST = "reproduce.py", 2**22
EMPTY: Mapping[str, str | bytes] = MappingProxyType({})


@dataclass(frozen=True)
class Cell:
    """A square of the picture, in pixels; `title` is shown when it is pointed at."""

    x: int
    y: int
    level: int
    title: str = ""


@dataclass(frozen=True)
class Label:
    """A label of the picture; `anchor` is SVG's text-anchor."""

    x: int
    y: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Drawing:
    """A picture in pixels, for the macro in heat.html.j2."""

    name: str
    across: str
    cells: Sequence[Cell]
    labels: Sequence[Label]
    width: int
    height: int
    size: int = SIZE


def page(explanation: Explanation, files: Mapping[str, str | bytes] = EMPTY) -> str:
    """Return the whole page; its picture has one square for each unit and step.

    `files` are those of a bundle (see `bundle.bundle_files`): they are part of the page, where they
    are not too large, and its script is shown.
    """
    cause, picture = explanation.cause, explanation.picture
    also_fits = [faults_name(faults) for faults in cause.also_fits] if cause else []
    rivals = map(finding_text, cause.rivals if cause else ())
    return render_template(
        "explain.html.j2",
        {
            "id": explanation.id,
            "headline": _headline(explanation),
            "facts": facts(explanation),
            "step": step_table(explanation.step_values),
            "heat": drawing(picture, explanation.threshold) if picture else None,
            "backward": picture is not None and _reads_backward(picture),
            "files": {name: _as_link(content) for name, content in files.items()},
            "script": files.get(SCRIPT, ""),
            "text": [line.text for line in lines(explanation, with_picture=False)],
            "also_fits": [*also_fits, *rivals],
            "blind_to": [fault_name(fault) for fault in explanation.blind_to],
        },
    )


def _headline(explanation: Explanation) -> str:
    """Return the verdict, and the cause or finding if there is one."""
    states = [verdict_text(explanation), summary(explanation)]
    return ": ".join(state for state in states if state)


def facts(explanation: Explanation) -> dict[str, list[str]]:
    """Return what is known by its label, without what the headline states."""
    explained = explanation.cause is not None and explanation.cause.explained
    first = FIRST if explained else (*FIRST[1:], FIRST[0])
    found: dict[str, list[str]] = {label: [] for label in first}
    heading = summary(replace(explanation, cause=_as_certain(explanation.cause)))
    for line in lines(explanation, with_picture=False):
        if line.label and line.label != explanation.id and line.statement != heading:
            found.setdefault(line.label, []).append(line.statement)
    return {label: statements for label, statements in found.items() if statements}


def _as_certain(cause: Cause | None) -> Cause | None:
    return None if cause is None else replace(cause, certain=True)


def _reads_backward(picture: Picture) -> bool:
    """Return whether a picture over time has the outputs of a backward half."""
    has_backward = picture.forward_units is not None or picture.direction == BACKWARD
    return has_backward and picture.across == "time"


def _as_link(content: str | bytes) -> str:
    """Return the address of a file that is part of the page, "" where it is too large."""
    data = content.encode() if isinstance(content, str) else content
    if len(data) > LARGEST:
        return ""
    return f"data:application/octet-stream;base64,{b64encode(data).decode()}"


def sentences(explanation: Explanation) -> list[str]:
    """Return what each fault is and how it is fixed; without a cause, what else was noticed."""
    if explanation.descriptions:
        return [_description(fault) for fault in explanation.descriptions]
    notes = [finding for finding in explanation.findings if finding.type not in LOCATIONS]
    return [finding_text(finding) for finding in notes]


def _description(fault: FaultDescription) -> str:
    other = f" Or, if the other side is right: {fault.in_file}" if fault.in_file else ""
    return f"{fault.description} {fault.fix}{other}"


def drawing(picture: Picture, threshold: float | None = None) -> Drawing:
    """Return a picture in pixels; with the threshold in sigma its squares have titles."""
    rows, columns = len(picture.levels), len(picture.levels[0])
    cells = [
        Cell(
            x=LEFT + SIZE * column,
            y=SIZE * row,
            level=level,
            title="" if threshold is None else _title(picture, row, column, threshold),
        )
        for row, levels in enumerate(picture.levels)
        for column, level in enumerate(levels)
    ]
    return Drawing(
        name=picture.output,
        across=ACROSS.get(picture.across, picture.across),
        cells=cells,
        labels=_labels(picture),
        width=LEFT + SIZE * columns + 2,
        height=SIZE * rows + BELOW,
    )


def _labels(picture: Picture) -> list[Label]:
    """Return the first and the last unit of each direction, and the first and the last column."""
    rows, columns = len(picture.levels), len(picture.levels[0])
    names = unit_labels(picture, rows)
    shown = {0, rows - 1}
    if picture.forward_units is not None:
        shown |= {n for n in range(1, rows) if names[n].split()[0] != names[n - 1].split()[0]}
    labels = [Label(LEFT - 6, SIZE * row + 11, "end", names[row]) for row in sorted(shown)]
    end, below = LEFT + SIZE * columns, SIZE * rows + 12
    labels.append(Label(LEFT, below, "start", str(picture.start)))
    if columns > 1:
        labels.append(Label(end, below, "end", str(picture.start + picture.shape[1] - 1)))
    middle = columns >= WIDE
    x, anchor = ((LEFT + end) // 2, "middle") if middle else (end, "end")
    labels.append(Label(x, below + LINE, anchor, ACROSS[picture.across]))
    return labels


def _title(picture: Picture, row: int, column: int, threshold: float) -> str:
    """Return the unit and the step or row of a square, and the range of its distances."""
    _, across = picture.shape
    unit = unit_labels(picture, len(picture.levels))[row]
    index = picture.start + column * across // len(picture.levels[0])
    name = "step" if picture.across == "time" else "row"
    level = picture.levels[row][column]
    return f"{unit}, {name} {index}: {_distance(level, threshold)}"


def _distance(level: int, threshold: float) -> str:
    """Return the distances in sigma that a level stands for."""
    bounds = [threshold * 10 ** (step * DECADES / LEVELS) for step in (level - 1, level)]
    if level == 0:
        return f"at most {sigma_text(threshold)} sigma"
    if level == LEVELS:
        return f"over {sigma_text(bounds[0])} sigma"
    return f"{sigma_text(bounds[0])} to {sigma_text(bounds[1])} sigma"
