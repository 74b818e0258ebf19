"""Trials of `rnnparity model --against`: `PYTHONPATH=tests python -m validation.model_trials FOLDER`.

Twelve faults of recurrent layers and two of Dense layers in artefacts of five kinds. Counted are the trials
in which the fault is reported where it is, and those in which its cause is named; with a healthy port of
each kind.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.models.calls import PortResult, Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.arrays import run_arrays
from rnnparity.models.ports.functions import run_function
from rnnparity.models.ports.onnx import run_onnx
from rnnparity.models.ports.port import Port, PortRequest
from rnnparity.models.ports.tflite import run_tflite
from rnnparity.models.recording import record
from rnnparity.problem.errors import RequestError
from rnnparity.subjects import make_subject
from rnnparity.subjects.keras_backend import quiet
from validation.port_artifacts import (
    KINDS,
    B,
    D,
    Sabotage,
    T,
    keras_model,
    sabotages,
    torch_module,
    write_npz,
)


def port_of(
    kind: str, sabotage: Sabotage | None, keras: Any, folder: Path, recording: Recording
) -> Port:
    """Make an artefact and run it."""
    request = PortRequest.of(recording)
    inputs = recording.inputs[0].data
    path = folder / f"port.{kind.partition('-')[0]}"
    if kind in ("torch", "onnx-torch"):
        import torch

        module = torch_module(torch, sabotage)
        if kind == "torch":
            return run_function("port", module, request)
        with quiet():
            torch.onnx.export(module, (torch.tensor(inputs),), input_names=["x"]).save(str(path))
        return run_onnx(str(path), request)
    model = keras_model(keras, sabotage)
    model(inputs)
    if kind == "onnx-keras":
        with quiet():
            model.export(str(path), format="onnx", verbose=False)
        return run_onnx(str(path), request)
    if kind == "tflite":
        import tensorflow as tf

        with quiet():
            path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        return run_tflite(str(path), request)
    write_npz(keras, model, inputs, path)
    return run_arrays(str(path), request)


def outcome(sabotage: Sabotage | None, result: PortResult) -> tuple[bool, bool]:
    """Whether a fault is reported where it is, and whether its cause is named."""
    if sabotage is None:
        return result.status == 0, result.explanation is None
    located = reported(result) == sabotage.reported
    cause = result.explanation.cause if result.explanation else None
    names = (*cause.names, *_also(cause)) if cause else ()
    named = any(name.startswith(sabotage.causes) for name in names) or not (
        names or sabotage.causes
    )
    return located, located and named


def reported(result: PortResult) -> str:
    """Return the first layer that differs, or what a layer has changed that is not recurrent."""
    if result.first_difference is not None:
        return result.first_difference.call.layer
    if result.changed_inputs is not None:
        return f"inputs of {result.changed_inputs.call.layer}"
    return "final output" if any(output.differs for output in result.outputs) else ""


def _also(cause: Any) -> list[str]:
    return [fault.cause for faults in cause.also_fits for fault in faults]


def main(folder: Path, kinds: list[str]) -> None:
    warnings.simplefilter("ignore")
    keras = make_subject("keras").keras
    x = np.random.default_rng(1).standard_normal((B, T, D)).astype("float32")
    recording = record(keras_model(keras), x)
    totals = {}
    for kind in kinds:
        right = []
        for sabotage in (None, *sabotages(kind)):
            start = time.process_time()
            name = sabotage.name if sabotage else "healthy"
            try:
                port = port_of(kind, sabotage, keras, folder, recording)
                result = compare_port(kind, recording, port)
            except RequestError as error:
                print(f"{kind}: {name}: {error}", flush=True)
                right.append((False, False))
                continue
            right.append(outcome(sabotage, result))
            cause = result.explanation.cause.names if result.explanation else ()
            others = [str(call.result.verdict) for call in result.calls]
            seconds = time.process_time() - start
            print(
                f"{kind}: {name}: {reported(result)} {cause} {others} {right[-1]} {seconds:.1f} s",
                flush=True,
            )
        totals[kind] = right
    for kind, right in totals.items():
        layers, causes = (sum(pair[index] for pair in right[1:]) for index in (0, 1))
        print(f"{kind}: healthy {right[0][0]}, layer {layers}, cause {causes} of {len(right) - 1}")


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    main(Path(sys.argv[1]), sys.argv[2:] or list(KINDS))
