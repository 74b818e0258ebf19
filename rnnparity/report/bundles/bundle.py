"""A bundle for an issue tracker: a problem file, and a script that shows it with only the framework.

Most scripts build the layer. That for an ONNX engine runs the model beside it; where PyTorch cannot
export the layer, the script attempts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import write_folder
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.problem.layers import Bidirectional, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.problem.shapes import output_slots
from rnnparity.problem.verdicts import DifferenceType
from rnnparity.report.bundles.layer_scripts import layer_files
from rnnparity.report.bundles.recorded_model import recorded_model
from rnnparity.report.bundles.script_text import docstring, is_relative
from rnnparity.report.bundles.scripts import (
    ENGINES,
    KERAS,
    PATHS,
    Family,
    family_of,
)
from rnnparity.report.pages.page import render_template
from rnnparity.subjects import registered_names, registration

# The types of difference, the one that a script shows best first.
_SHOWN = (
    DifferenceType.COUNT,
    DifferenceType.NAMES,
    DifferenceType.SHAPE,
    DifferenceType.VALUES,
    DifferenceType.FINITENESS,
    DifferenceType.DTYPE,
    DifferenceType.FACT,
)

# What a template is rendered with.
Context = Mapping[str, object]


def shown_difference(types: Iterable[DifferenceType]) -> DifferenceType:
    """Return the type of difference of a case that its script shows best."""
    present = set(types)
    return next((shown for shown in _SHOWN if shown in present), DifferenceType.VALUES)


def write_bundle(
    folder: Path,
    problem: Problem,
    headline: str,
    subject: str = "",
    shown: DifferenceType | None = DifferenceType.VALUES,
) -> list[Path]:
    """Write the files of `bundle_files` into a folder, which is created if needed.

    Raises:
        RequestError: the folder cannot be written, or no script can be written for the layer or the
        subject.
    """
    files = bundle_files(problem, headline, subject, shown)
    write_folder(folder, files)
    return [folder / name for name in files]


def bundle_files(
    problem: Problem,
    headline: str,
    subject: str = "",
    shown: DifferenceType | None = DifferenceType.VALUES,
) -> dict[str, str | bytes]:
    """Return the files of a bundle by name.

    These are `problem.json`, `reproduce.py` (for TensorFlow.js `reproduce.mjs`), and for an engine
    `model.onnx` and `feeds.npz`. The
    script of a subject that has one runs that subject, and the problem file has the expected
    outputs. Otherwise, and without a subject, the script runs tf.keras, and the file keeps the
    outputs that the problem has. `shown` is the type of difference that the script shows, None
    where the subject fails.

    Raises:
        RequestError: no script can be written for the layer or the subject.
    """
    script = registration(subject).script if subject in registered_names() else None
    if script is not None:
        return layer_files(problem, headline, script)
    family, path = family_of(subject)
    if family is None and shown is None:
        raise RequestError(f"{problem.id}: cannot write a script for subject {subject!r}")
    runs_subject = family is not None
    relative = runs_subject and is_relative(problem)
    if runs_subject:
        problem = problem.with_outputs(golden_outputs(problem))
    family = family or KERAS["keras"]
    _check(problem, family, path, shown)
    context: Context = {
        "docstring": docstring(f"{problem.id}: {headline}"),
        "relative": relative,
        "shows_count": shown is DifferenceType.COUNT,
        "shows_dtypes": shown is DifferenceType.DTYPE,
        "has_expected": runs_subject,
    }
    content = {"problem.json": dump_pretty(problem)}
    if family in ENGINES.values():
        return {**content, **_engine_files(problem, subject, family, path, context)}
    shapes = []
    if shown is DifferenceType.FACT:
        shapes = [slot.shape for slot in output_slots(problem.layer, None, None)]
    context = {**asdict(family), **context, **keras_context(problem, family, path)}
    context = {**context, "shapes": shapes}
    return {**content, "reproduce.py": render_template("reproduce.py.j2", context)}


def _engine_files(
    problem: Problem, subject: str, family: Family, path: str, context: Context
) -> dict[str, str | bytes]:
    """Return the script of an ONNX engine and its model, or that of an export that fails."""
    recorder = recorded_model(problem, subject)
    if recorder is None:
        context = {**context, **_export_context(problem, path)}
        return {"reproduce.py": render_template("reproduce_export.py.j2", context)}
    context = {
        **asdict(family),
        **context,
        "last": _last_layer_states(problem),
        "calls": len(recorder.feeds),
    }
    script = render_template("reproduce_onnx.py.j2", context)
    return {"reproduce.py": script, **recorder.files()}


def keras_context(problem: Problem, family: Family, path: str) -> Context:
    """Return the options of the layers, and how they are called."""
    call_path = PATHS[path]
    options, settings = dict(call_path.options), dict(family.settings)
    dtypes = {half.dtype for _, half in halves(problem.layer)}
    if dtypes != {"float32"}:  # the default initializer is not implemented in every dtype
        options["recurrent_initializer"] = "zeros"
    if problem.layer.stateful and family is KERAS["tf-keras"]:
        options["batch_input_shape"] = list(problem.inputs.shape)
    if "float64" in dtypes and family is KERAS["keras-jax"]:
        settings["JAX_ENABLE_X64"] = "1"
    return {
        "options": options,
        "call": call_path.call,
        "settings": settings,
        "calls": problem.calls is not None,
    }


def _check(problem: Problem, family: Family, path: str, shown: DifferenceType | None) -> None:
    """Check that a few lines of the framework can run the problem.

    Raises:
        RequestError: they cannot.
    """
    reason = obstacle(problem, family, path, shown)
    if reason:
        raise RequestError(
            f"{problem.id}: cannot write a script for {reason}; use the problem file directly"
        )


def obstacle(
    problem: Problem, family: Family, path: str, shown: DifferenceType | None = None
) -> str:
    """Return what a script cannot express, "" if there is nothing."""
    if problem.dropout_masks is not None:
        return "dropout masks, which no framework takes as an argument"
    layers = [half for _, half in halves(problem.layer)]
    if family in ENGINES.values():
        dtypes = {problem.inputs.dtype, *(slot.dtype for slot in problem.output_slots())}
        dtypes |= {layer.compute_dtype for layer in layers}
        if "bfloat16" in dtypes and shown is not None:
            return "bfloat16, which NumPy has no dtype for"
        return ""
    activations = {layer.activation for layer in layers}
    activations |= {layer.recurrent_activation for layer in layers}
    nameless = sorted(activations & family.nameless)
    if nameless:
        return f"{', '.join(nameless)}, which {family.name} has no name for"
    plain = problem.mask is None and problem.initial_state is None and not problem.calls
    if path == "predict" and not (plain and problem.inputs.dtype == "float32"):
        return "Model.predict with more than float32 inputs"
    return "a stateful layer under jax.jit" if path == "jit" and problem.layer.stateful else ""


def _last_layer_states(problem: Problem) -> int:
    """Return how many of the model's states a stack returns; 0 where it returns all."""
    layer = problem.layer
    return len(layer.layers[-1].states) if isinstance(layer, Stack) and layer.return_state else 0


def _export_context(problem: Problem, path: str) -> Context:
    """Return the context of a PyTorch layer whose export fails.

    Raises:
        RequestError: the script cannot express the layer or the export.
    """
    layer = problem.layer
    half = layer.forward if isinstance(layer, Bidirectional) else layer
    supported = path == "torch" and problem.mask is not None and problem.initial_state is None
    if isinstance(half, Stack) or not supported:
        raise RequestError(f"{problem.id}: cannot write a script for this export")
    class_name = half.class_name
    return {
        "install": "torch onnxscript",
        "module": "RNN" if class_name == "SimpleRNN" else class_name,
        "units": half.units,
        "bidirectional": isinstance(layer, Bidirectional),
    }
