"""Arrays that somebody has saved: `.npz` with the keys "LAYER/output", "LAYER/h", ... and "output"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rnnparity.models.ports.port import Port, PortRequest, named_port
from rnnparity.problem.array_files import read_arrays
from rnnparity.problem.errors import RequestError


def run_arrays(path: str, _request: PortRequest) -> Port:
    """Return the arrays in a file; they must come from the inputs of the model.

    Raises:
        RequestError: the file cannot be read, or its arrays have no names.
    """
    arrays = read_arrays(Path(path))
    if not isinstance(arrays, Mapping):
        raise RequestError(
            f"{path}: its arrays have no names; save them as "
            'numpy.savez(file, **{"LAYER/output": ..., "output": ...})'
        )
    return named_port(path, arrays)
