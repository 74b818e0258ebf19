"""The outputs of one call of a model, under the names that a port's arrays have ("LAYER/output")."""

from __future__ import annotations

from collections.abc import Mapping

from rnnparity.models.calls import Call
from rnnparity.models.port_search import locate
from rnnparity.models.ports.port import named_port
from rnnparity.models.tensor_matching import ByName
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem


def has_arrays_of(call: Call, arrays: Mapping[str, object]) -> bool:
    """Return whether arrays have names of a call: "LAYER" or "LAYER/output"."""
    return any(name == call.id or name.startswith(f"{call.id}/") for name in arrays)


def has_inputs(layer: str, arrays: object) -> bool:
    """Return whether arrays by name have the inputs of a layer, or of any where it is not named."""
    if not isinstance(arrays, Mapping):
        return False
    if layer:
        return f"{layer}/inputs" in arrays
    return any(str(name).endswith("/inputs") for name in arrays)


def problem_with_arrays(call: Call, file: str, arrays: Mapping[str, object]) -> Problem:
    """Return the problem of a call with the outputs, and the inputs if any, that arrays have for it.

    Raises:
        RequestError: its output is missing, or an array does not hold numbers.
    """
    port = named_port(file, arrays)
    (located,) = locate((call,), ByName(port, {}), False, port)
    if located is None:
        raise RequestError(f"{file}: {call.id}/output is missing; got {', '.join(arrays)}")
    return located.problem
