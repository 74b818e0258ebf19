"""A bundle for a framework's tracker: the problem file, and a script that shows the difference with
it alone.

The script of Keras, on any backend and by any path, builds the layer; that of an ONNX engine runs
the model beside it, which was built by hand or exported; where PyTorch cannot export the layer, the
script tries to.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem import file_format as wire
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import write_where_asked
from rnnparity.problem.layers import Bidirectional, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.shapes import output_slots
from rnnparity.reference.tolerance import expect
from rnnparity.report.page import render_template
from rnnparity.report.scripts import ENGINES, KERAS, PATHS, Family, family_of
from rnnparity.subjects import make_subject
from rnnparity.verdict.compare import compare_structure, distances

# The kinds of difference, those first that a script shows best.
_SHOWN = ("error", "count", "names", "shape", "values", "finiteness", "dtype", "fact")


def plainest_kind(kinds: Iterable[str]) -> str:
    """Of the kinds of difference that one case has, the one that its script shows best."""
    found = set(kinds)
    return next((kind for kind in _SHOWN if kind in found), "values")


def write_bundle(
    folder: Path, problem: Problem, headline: str, subject: str = "", kind: str = "values"
) -> list[Path]:
    """`problem.json`, `reproduce.py` and what else `bundle_files` gives, in a folder that is made
    where it is missing.

    Raises:
        RequestError: the folder cannot be written, or no script can be made of the layer or the
        subject.
    """
    files = bundle_files(problem, headline, subject, kind)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror or error}") from None
    for name, content in files.items():
        write_where_asked(folder / name, content)
    return [folder / name for name in files]


def bundle_files(
    problem: Problem, headline: str, subject: str = "", kind: str = "values"
) -> dict[str, str | bytes]:
    """The files of a bundle by name: `problem.json`, `reproduce.py`, for an engine `model.onnx` and
    `feeds.npz`.

    The script of a subject that has one runs it, and the file has the outputs that are right. For
    all others, and without a subject, it runs the problem in tf.keras, and the file keeps the
    outputs that somebody gave. `kind` is that of the difference (see `compare.Difference`): of a
    "fact" the symbolic shapes are printed, of a "count" how many outputs there are, of a "dtype"
    their types.

    Raises:
        RequestError: no script can be made of the layer or the subject.
    """
    family, path = family_of(subject)
    if family is None and kind == "error":
        raise RequestError(f"{problem.id}: no script can be made for subject {subject!r}")
    relative = family is not None and _is_relative(problem)
    if family is not None:
        problem = problem.with_outputs(golden_outputs(problem))
    words: dict[str, Any] = {"says": _docstring(f"{problem.id}: {headline}"), "relative": relative}
    words |= {"count": kind == "count", "types": kind == "dtype", "computed": family is not None}
    family = family or KERAS["keras"]
    _check(problem, family, path, kind)
    extra: dict[str, bytes] = {}
    if family in ENGINES.values():
        recorder = _recorded(problem, subject)
        if recorder is None:
            script = render_template("reproduce_export.py.j2", words | _exported(problem, path))
        else:
            words |= {"last": _states_of_the_last_layer(problem), "calls": len(recorder.feeds)}
            script, extra = (
                render_template("reproduce_onnx.py.j2", words | vars(family)),
                recorder.files(),
            )
    else:
        script = render_template(
            "reproduce.py.j2", vars(family) | words | _keras_words(problem, family, path, kind)
        )
    return {"problem.json": wire.dump_pretty(problem), "reproduce.py": script, **extra}


def _docstring(text: str) -> str:
    """What stands between a docstring's quotes; what somebody's exception has said may hold
    anything."""
    lines = fill(text, 117, break_long_words=False, break_on_hyphens=False).replace("\\", "\\\\")
    return lines.replace('"""', "'''") + ("\n" if "\n" in lines or lines.endswith('"') else "")


def _keras_words(problem: Problem, family: Family, path: str, kind: str) -> dict[str, Any]:
    """What the script says to the layers, and how it calls them."""
    said, call = PATHS[path]
    said, settings = dict(said), dict(family.settings)
    dtypes = {half.dtype for _, half in halves(problem.layer)}
    if dtypes != {"float32"}:  # the default one is computed, and not in every type
        said["recurrent_initializer"] = "zeros"
    if problem.layer.stateful and family is KERAS["tf-keras"]:
        said["batch_input_shape"] = list(problem.inputs.shape)
    if "float64" in dtypes and family is KERAS["keras-jax"]:
        settings["JAX_ENABLE_X64"] = "1"
    shapes = (
        [slot.shape for slot in output_slots(problem.layer, None, None)] if kind == "fact" else []
    )
    calls = problem.calls is not None
    return {"words": said, "call": call, "settings": settings, "shapes": shapes, "calls": calls}


def _is_relative(problem: Problem) -> bool:
    """Whether the outputs given are off beside small values alone, so that the largest difference
    is noise."""
    if problem.outputs is None or compare_structure(problem.outputs, problem.output_slots()):
        return False
    expected, hidden, shown = expect(problem), False, False
    for tensor, right, sigma in zip(
        problem.outputs, expected.outputs, expected.sigmas, strict=True
    ):
        beyond = (
            distances(tensor, right.data, sigma, expected.kind.threshold) > expected.kind.threshold
        )
        off = np.abs(tensor.data.astype(np.float64) - right.data)
        shown |= bool(beyond.flat[np.argmax(off)])
        hidden |= bool(beyond.any())
    return hidden and not shown


def _check(problem: Problem, family: Family, path: str, kind: str) -> None:
    """Whether a few lines of the framework can run the problem at all."""
    used = {
        name
        for _, half in halves(problem.layer)
        for name in (half.activation, half.recurrent_activation)
    }
    dtypes = {problem.inputs.dtype, *(slot.dtype for slot in problem.output_slots())}
    dtypes |= {half.compute_dtype for _, half in halves(problem.layer)}
    why = ""
    if family in ENGINES.values():
        if "bfloat16" in dtypes and kind != "error":
            why = "bfloat16, which NumPy has no type for"
    elif used & family.nameless:
        why = f"{', '.join(sorted(used & family.nameless))}, which {family.name} has no name for"
    elif path == "predict" and (
        problem.mask is not None or problem.initial_state is not None or problem.calls
    ):
        why = "Model.predict with more than the inputs"
    elif path == "jit" and problem.layer.stateful:
        why = "a stateful layer under jax.jit"
    if why:
        raise RequestError(
            f"{problem.id}: no script can be made of {why}; the problem file itself runs anywhere"
        )


def _states_of_the_last_layer(problem: Problem) -> int:
    """How many states of a stack are returned, of all that its model gives; 0 where all are."""
    layer = problem.layer
    return len(layer.layers[-1].states) if isinstance(layer, Stack) and layer.return_state else 0


def _exported(problem: Problem, path: str) -> dict[str, Any]:
    """What is said to a layer of PyTorch whose export fails."""
    layer = problem.layer
    half = layer.forward if isinstance(layer, Bidirectional) else layer
    if (
        path != "torch"
        or isinstance(half, Stack)
        or problem.initial_state is not None
        or problem.mask is None
    ):
        raise RequestError(f"{problem.id}: no script can be made of such an export")
    return {
        "install": "torch onnxscript",
        "module": {"SimpleRNN": "RNN"}.get(half.class_name, half.class_name),
        "units": half.units,
        "both": isinstance(layer, Bidirectional),
    }


class _Recorder:
    """An engine that remembers its models and what it is fed, call by call; it may fail before it
    is fed."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.models: list[bytes] = []
        self.feeds: list[Mapping[str, Any]] = []

    def load(self, model: bytes) -> Any:
        self.models.append(model)
        return self.engine.load(model)

    def run(self, loaded: Any, feeds: Mapping[str, Any]) -> Any:
        self.feeds.append(feeds)
        return self.engine.run(loaded, feeds)

    def files(self) -> dict[str, bytes]:
        """The model, and the numbers of call c under the names "c.name"."""
        numbers = io.BytesIO()
        named = {
            f"{call}.{name}": array
            for call, feeds in enumerate(self.feeds)
            for name, array in feeds.items()
        }
        np.savez(numbers, **named)
        from rnnparity.subjects.onnx_models.graph import without_metadata

        return {"model.onnx": without_metadata(self.models[0]), "feeds.npz": numbers.getvalue()}


def _recorded(problem: Problem, subject: str) -> _Recorder | None:
    """The one model that an ONNX subject runs; none where its exporter fails before."""
    runs: Any = make_subject(subject)
    runs.engine = recorder = _Recorder(runs.engine)
    try:
        runs.answer(problem)
    except Exception as error:
        if not recorder.models and ":" not in subject:
            raise RequestError(f"{problem.id}: no model to be run: {error}") from None
    if len(set(recorder.models)) > 1:
        raise RequestError(f"{problem.id}: no script can be made of calls that are a model each")
    return recorder if recorder.models else None
