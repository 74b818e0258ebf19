"""From what the user names as a port to what it computes, in a worker process if it is in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rnnparity.models.calls import Recording
from rnnparity.models.ports.arrays import run_arrays
from rnnparity.models.ports.functions import is_torch_module, run_function, run_object
from rnnparity.models.ports.naming import check_port
from rnnparity.models.ports.onnx import run_onnx
from rnnparity.models.ports.port import Port, PortRequest, RunPort, named_port
from rnnparity.models.ports.state_dict import read_state_dict, state_dict_port
from rnnparity.models.ports.state_dict_halves import is_state_dict
from rnnparity.models.ports.tflite import run_tflite
from rnnparity.models.worker import TIMEOUT_S, in_worker
from rnnparity.subjects.importing import name_of

# A path or "package.module:object", a function, an nn.Module, a state dict, or arrays by layer.
PortLike: TypeAlias = str | Path | Callable[..., object] | Mapping[str, Any]

# How the files of each suffix are run.
RUNNERS: dict[str, RunPort] = {".onnx": run_onnx, ".tflite": run_tflite, ".npz": run_arrays}
STATE_DICTS = (".pt", ".pth")


def open_port(
    port: PortLike, recording: Recording, names: Mapping[str, str] | None = None
) -> tuple[str, Port]:
    """Return the name of a port and what it computes from the inputs that a model was given.

    `names` has the modules of a state dict by layer; other ports do not need it here.

    Raises:
        RequestError: it cannot be read, or does not run on these inputs.
    """
    request = PortRequest.of(recording)
    if isinstance(port, Mapping):
        if is_state_dict(port):
            return "state dict", state_dict_port("state dict", port, recording, names)
        return "arrays", named_port("arrays", port)
    if not isinstance(port, str | Path):
        name = type(port).__name__ if is_torch_module(port) else name_of(port)
        return name, run_function(name, port, request)
    name = str(port)
    check_port(name)
    suffix = Path(name).suffix
    if suffix in STATE_DICTS:
        arrays = in_worker(name, TIMEOUT_S, read_state_dict, name)
        return name, state_dict_port(name, arrays, recording, names)
    return name, in_worker(name, TIMEOUT_S, RUNNERS.get(suffix, run_object), name, request)
