"""What enters a call in a port, compared with what enters it in the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnparity.explanation.findings.compared.after_layer import FUNCTIONS, OVER_UNITS
from rnnparity.models.calls import Call
from rnnparity.models.masked_steps import used_inputs
from rnnparity.models.port_calls import entering
from rnnparity.models.port_search import SAME
from rnnparity.models.tensor_matching import distance
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.findings import AfterLayer
from rnnparity.problem.layers import halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor

# Layers may make of a difference so many times what it is.
AMPLIFICATION = 100


def inputs_differ(call: Call, port_problem: Problem) -> bool:
    """Whether what enters a call in the port is not what enters it in the model."""
    assert call.problem is not None  # noqa: S101 - only calls with a problem are located
    return not _enters(call.problem, port_problem)


def applied_function(call: Call, port_problem: Problem) -> AfterLayer | None:
    """Return the function that the port applies to what enters a call in the model, None if none fits."""
    assert call.problem is not None  # noqa: S101 - only calls with a problem are located
    inputs = call.problem.inputs
    for name, function in FUNCTIONS.items():
        if inputs.shape[-1] == 1 and name in OVER_UNITS:
            continue
        changed = Tensor.of(inputs.name, function(inputs.data.astype(np.float64)), inputs.dtype)
        if _enters(replace(call.problem, inputs=changed), port_problem):
            return name
    return None


def _enters(expected: Problem, actual: Problem) -> bool:
    """Whether the inputs and initial states of two problems are the same but for noise.

    They may be off by what the layers before make of the rounding of their type.
    """
    rounding = max(FLOAT_TYPES[half.compute_dtype].u for _, half in halves(actual.layer))
    limit = max(SAME, AMPLIFICATION * rounding)
    pairs = zip(_used(actual), _used(expected), strict=True)
    return not any(distance(tensor.data, exact.data) > limit for tensor, exact in pairs)


def _used(problem: Problem) -> list[Tensor]:
    """Return the inputs and initial states of a problem without what enters masked steps."""
    _, *states = entering(problem)
    return [used_inputs(problem), *states]
