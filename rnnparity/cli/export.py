"""`rnnparity export`: the test vectors, for engines in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnparity.cli.common import Expression, echo
from rnnparity.cli.progress import show_progress


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write; created if it is missing.")
    ],
    k: Expression = "",
) -> None:
    """Write the cases as test vectors.

    By default those of the core set, with tolerances and gradients, and checkers in C++ and
    JavaScript.
    """
    from rnnparity.report.vectors import VERSION, export_vectors

    with show_progress() as progress:
        result = export_vectors(folder, k=k, progress=progress)
    left_out = f", {result.left_out} left out" if result.left_out else ""
    echo(
        f"{folder}: vectors {VERSION}, {result.outputs} problems with outputs, "
        f"{result.gradients} with gradients{left_out}"
    )
