"""ONNX models that Keras and PyTorch export, on ONNX engines.

Each case is exported with its weights as the model's constants and for its own shapes, but Keras
always leaves the batch size open. ONNX keeps nothing from one run to the next: PyTorch's models
take states and return them; what Keras exports of a stateful layer is run unchanged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Protocol

from rnnparity.problem.answer import Answer
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.subjects.declarations import Registration
from rnnparity.subjects.exporters import KerasExporter, TorchExporter
from rnnparity.subjects.keras_backend import quiet
from rnnparity.subjects.onnx_engines import ENGINES, PACKAGES, Engine

# Exports between two clearings of the framework's memory: each leaves graphs behind.
MAX_EXPORTS = 50


class Exporter(Protocol):
    """A framework that writes ONNX models."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the framework and of its converter."""

    def outputs(self, problem: Problem, engine: Engine) -> tuple[Tensor, ...]:
        """Return the outputs of the exported model on `engine`.

        Raises:
            Unsupported: the framework does not export such a layer, by its own documentation.
        """

    def forget(self) -> None:
        """Free what exports have left behind."""


class ExportedSubject:
    """The models of one exporter on one engine."""

    def __init__(self, engine: Engine, exporter: Exporter) -> None:
        self.engine = engine
        self.exporter = exporter
        self.exports = 0

    def versions(self) -> dict[str, str]:
        return self.engine.versions() | self.exporter.versions()

    def answer(self, problem: Problem) -> Answer:
        self.exports += 1
        if self.exports % MAX_EXPORTS == 0:
            self.exporter.forget()
        start = perf_counter()
        with quiet(), warnings.catch_warnings(action="ignore"):
            outputs = self.exporter.outputs(problem, self.engine)
        return Answer(outputs, seconds=perf_counter() - start)


def make(engine: str, exporter: Callable[[], Exporter]) -> ExportedSubject:
    """Return the subject of an engine and an exporter.

    Raises:
        ImportError: a package is missing.
    """
    return ExportedSubject(ENGINES[engine](), exporter())


def _registration(
    engine: str, path: str, exporter: Callable[[], Exporter], packages: tuple[str, ...]
) -> Registration:
    framework = {"keras": "tf.keras", "torch": "PyTorch"}[path]
    return Registration(
        f"{engine}:{path}",
        partial(make, engine, exporter),
        f"models that {framework} exports, on {engine}",
        packages=(*PACKAGES[engine], *packages),
        extra="onnx-export",
        rank=50,
    )


SUBJECTS = tuple(
    _registration(engine, path, exporter, packages)
    for engine in ("onnxruntime", "onnx-reference")
    for path, exporter, packages in (
        ("keras", KerasExporter, ("tensorflow", "tf2onnx")),
        ("torch", TorchExporter, ("torch", "onnxscript")),
    )
)
