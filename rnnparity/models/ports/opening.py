"""From what the user names as a port to what it computes, in a worker process if it is in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rnnparity.models.calls import Recording
from rnnparity.models.ports.arrays import run_arrays
from rnnparity.models.ports.functions import is_torch_module, run_function, run_object
from rnnparity.models.ports.onnx import run_onnx
from rnnparity.models.ports.port import Port, PortRequest, RunPort, named_port
from rnnparity.models.ports.state_dict import (
    is_state_dict,
    read_state_dict,
    state_dict_port,
)
from rnnparity.models.ports.tflite import run_tflite
from rnnparity.models.worker import TIMEOUT_S, in_worker
from rnnparity.problem.errors import RequestError
from rnnparity.subjects.functions import name_of
from rnnparity.subjects.registry import check_installed

# A path or "package.module:object", a function, an nn.Module, a state dict, or arrays by layer.
PortLike: TypeAlias = str | Path | Callable[..., object] | Mapping[str, Any]

# How the files of each suffix are run, and the subject whose packages that needs.
FILES: dict[str, tuple[RunPort, str]] = {
    ".onnx": (run_onnx, "onnxruntime"),
    ".tflite": (run_tflite, "litert"),
    ".npz": (run_arrays, ""),
}
STATE_DICTS = (".pt", ".pth")


def check_port(name: str) -> None:
    """Check what can be known of a port by its name before anything slow starts.

    Raises:
        RequestError: it is neither a file of a known format nor a function, or a package is missing.
    """
    path = Path(name)
    if path.suffix in (*FILES, *STATE_DICTS):
        if not path.is_file():
            raise RequestError(f"{name}: file not found")
        subject = "torch" if path.suffix in STATE_DICTS else FILES[path.suffix][1]
        if subject:
            check_installed(subject)
        return
    module, colon, function = name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), function]):
        known = ", ".join([*FILES, *STATE_DICTS])
        raise RequestError(
            f"--against {name}: expected a file ({known}) or package.module:object, a function or an "
            "nn.Module"
        )
    check_installed(name)


def open_port(port: PortLike, recording: Recording) -> tuple[str, Port]:
    """Return the name of a port and what it computes from the inputs that a model was given.

    Raises:
        RequestError: it cannot be read, or does not run on these inputs.
    """
    request = PortRequest.of(recording)
    if isinstance(port, Mapping):
        if is_state_dict(port):
            return "state dict", state_dict_port("state dict", port, recording)
        return "arrays", named_port("arrays", port)
    if not isinstance(port, str | Path):
        name = type(port).__name__ if is_torch_module(port) else name_of(port)
        return name, run_function(name, port, request)
    name = str(port)
    check_port(name)
    suffix = Path(name).suffix
    if suffix in STATE_DICTS:
        arrays = in_worker(name, TIMEOUT_S, read_state_dict, name)
        return name, state_dict_port(name, arrays, recording)
    run, _ = FILES.get(suffix, (run_object, ""))
    return name, in_worker(name, TIMEOUT_S, run, name, request)
