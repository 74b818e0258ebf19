"""A picture of what differs, in blocks for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rnnparity.explanation.picture import DECADES, LEVELS, shrunk
from rnnparity.problem.explanations import Picture
from rnnparity.report.text.line import Line, Style
from rnnparity.report.text.phrases import ACROSS, unit_labels

BLOCKS = " ▁▂▃▄▅▆▇█"
# The picture has at most this many rows and columns on a terminal.
ROWS, COLUMNS = 16, 60


def picture_lines(picture: Picture) -> Iterator[Line]:
    """Yield the picture as blocks: blank is noise, a full block a million times beyond it."""
    factor = 10 ** (DECADES / LEVELS)
    yield Line(
        f"  {picture.output}: units down, {ACROSS[picture.across]} across; blank is noise, "
        f"one block more for every factor of {factor:.1f}"
    )
    levels = shrunk(np.array(picture.levels), ROWS, COLUMNS)
    labels = unit_labels(picture, len(levels))
    width = max(map(len, labels))
    for label, row in zip(labels, levels.tolist(), strict=True):
        blocks = "".join(BLOCKS[level] for level in row)
        yield Line(f"    {label.rjust(width)} |{blocks}|", Style.PICTURE)
    first, last = str(picture.start), str(picture.start + picture.shape[1] - 1)
    room = levels.shape[1] - len(first)
    if room >= len(last) + (len(first) > 1):
        yield Line(f"    {' ' * width}  {first}{last.rjust(room)}", Style.PICTURE)
