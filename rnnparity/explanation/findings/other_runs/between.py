"""What the last layer of a stack gets instead of the output of the layer below it.

Axis letters: B batch, T time, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.compared.after_layer import FUNCTIONS, OVER_UNITS
from rnnparity.explanation.findings.compared.layouts import over_batch_candidates
from rnnparity.explanation.findings.other_runs.other_inputs import other_input_findings
from rnnparity.explanation.findings.seen.candidates import held_candidates
from rnnparity.explanation.findings.seen.half_problem import view_of
from rnnparity.explanation.findings.seen.stacks import last_problem, lower_problem
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import AfterLayer, Finding, FindingType
from rnnparity.problem.layers import Recurrent, Stack
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute, trace


def between_findings(evidence: Evidence) -> list[Finding]:
    """Return the other inputs of the last layer of a stack that account for its outputs."""
    problem = evidence.problem
    if not isinstance(problem.layer, Stack) or len(problem.layer.layers) == 1:
        return []
    lower = lower_problem(problem, problem.layer.layers[:-1])
    output = compute(lower)[0].data
    number = len(problem.layer.layers) - 1
    last = last_problem(problem, output)
    extra = list(_instead(lower, output, f"{number - 1}/"))
    view = view_of(evidence)
    found = other_input_findings(last, view, extra)
    found = found or held_candidates(last, view, over_batch_candidates(last))
    return [replace(each, half=each.half or f"{number}/") for each in found]


def _instead(lower: Problem, output: Array, below: str) -> Iterator[tuple[Finding, Array]]:
    """Yield what the last layer may get instead of the output (B, T, D) of the layers below."""
    for function_name, function in FUNCTIONS.items():
        if output.shape[-1] > 1 or function_name not in OVER_UNITS:
            yield _after(below, function_name), function(output)
    inputs = lower.inputs.data.astype(np.float64)
    if inputs.shape == output.shape:
        yield _after(below, AfterLayer.INPUTS_ADDED), output + inputs
        yield Finding(FindingType.OTHER_QUANTITY, "what goes into the layer", half=below), inputs
    assert isinstance(lower.layer, Stack)  # noqa: S101 - it was made as one
    highest = lower.layer.layers[-1]
    if isinstance(highest, Recurrent) and len(highest.states) > 1:
        steps = [step for step in trace(lower) if step.half == below]
        c = np.stack([step.states["c"] for step in steps], axis=1)
        yield Finding(FindingType.OTHER_QUANTITY, "c", half=below), c


def _after(below: str, name: AfterLayer) -> Finding:
    return Finding(FindingType.AFTER_LAYER, name, half=below)
