"""What the scripts of bundles have in common: their docstring, and how errors are shown."""

from __future__ import annotations

from textwrap import fill

import numpy as np

from rnnparity.problem.problem import Problem
from rnnparity.problem.text import visible
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import compare_structure, distances

# The width of a script's docstring.
WIDTH = 117


def docstring(text: str) -> str:
    """Return text for between a docstring's quotes; an exception's message may hold anything."""
    lines = fill(visible(text), WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = lines.replace("\\", "\\\\").replace('"""', "'''")
    return lines + ("\n" if "\n" in lines or lines.endswith('"') else "")


def is_relative(problem: Problem) -> bool:
    """Return whether only small values differ, so that the largest absolute error is noise."""
    if problem.outputs is None or compare_structure(problem.outputs, problem.output_slots()):
        return False
    expected = expect(problem)
    threshold = expected.dtype.threshold
    differs = shows = False
    triples = zip(problem.outputs, expected.outputs, expected.sigmas, strict=True)
    for tensor, reference, sigma in triples:
        differing = distances(tensor, reference.data, sigma, threshold) > threshold
        error = np.abs(tensor.data.astype(np.float64) - reference.data)
        shows |= bool(differing.flat[np.argmax(error)])
        differs |= bool(differing.any())
    return differs and not shows
