"""The ONNX model that a subject runs on a problem, and what the model is fed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.subjects import make_subject
from rnnparity.subjects.onnx_engines import Engine, Session


@runtime_checkable
class EngineSubject(Protocol):
    """A subject that runs models on an engine."""

    engine: Engine

    def answer(self, problem: Problem) -> Answer:
        """Run one problem."""


class Recorder:
    """An engine that keeps its models and what they are fed, call by call."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.models: list[bytes] = []
        self.feeds: list[Mapping[str, Array]] = []

    def versions(self) -> dict[str, str]:
        """Return name and version of what computes."""
        return self.engine.versions()

    def load(self, model: bytes) -> Session:
        """Record and load a model."""
        self.models.append(model)
        return self.engine.load(model)

    def run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        """Record the feeds of a call, and run it."""
        self.feeds.append(feeds)
        return self.engine.run(session, feeds)

    def files(self) -> dict[str, bytes]:
        """Return the model, and the arrays of call c under the names "c.name"."""
        from rnnparity.subjects.onnx_models.graph import without_metadata

        named = {
            f"{call}.{name}": array
            for call, feeds in enumerate(self.feeds)
            for name, array in feeds.items()
        }
        archive = io.BytesIO()
        np.savez(archive, allow_pickle=False, **named)
        return {"model.onnx": without_metadata(self.models[0]), "feeds.npz": archive.getvalue()}


def recorded_model(problem: Problem, subject: str) -> Recorder | None:
    """Return the only model that an ONNX subject runs; None where its exporter fails.

    Raises:
        RequestError: the subject runs no model of its own, or several.
    """
    runner = make_subject(subject)
    if not isinstance(runner, EngineSubject):
        raise RequestError(f"{problem.id}: subject {subject!r} runs no ONNX model")
    recorder = runner.engine = Recorder(runner.engine)
    try:
        runner.answer(problem)
    except Exception as error:  # an engine or exporter may raise anything
        if not recorder.models and ":" not in subject:
            raise RequestError(f"{problem.id}: no model to run: {error}") from None
    if len(set(recorder.models)) > 1:
        raise RequestError(f"{problem.id}: cannot write a script: every call has its own model")
    return recorder if recorder.models else None
