"""The bundle of wrong gradients, or of wrong weights after a training step: a problem file with the
expected ones, and a script that shows it with only the framework.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.problem.layers import Stack
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.report.bundles.bundle import keras_context, obstacle
from rnnparity.report.bundles.script_text import docstring
from rnnparity.report.bundles.scripts import KERAS, family_of
from rnnparity.report.pages.page import render_template

# What runs a layer backward, by the subject's name; the paths are decorators, or options of layers.
BACKENDS = {"keras": "tensorflow", "keras-jax": "jax", "keras-torch": "torch"}
DECORATORS = {
    "graph": "@tf.function",
    "xla": "@tf.function(jit_compile=True)",
    "jit": "jax.jit",
}


def backward_bundle_files(problem: Problem, headline: str, subject: str) -> dict[str, str | bytes]:
    """Return `problem.json` and `reproduce.py` for the gradients, or for the training step, of a problem.

    The file has the expected answer. The script of a subject without one runs tf.keras, and the file
    keeps the answer that the problem has.

    Raises:
        RequestError: no script can be written for the problem or the subject.
    """
    family, path = family_of(subject)
    name = subject.partition(":")[0] if family else "keras"
    trains = problem.training_step is not None
    reason = _obstacle(problem, name, path)
    if reason:
        what = "a training step" if trains else "gradients"
        raise RequestError(f"{problem.id}: cannot write a script for {what} with {reason}")
    kept = problem if family is None else problem.with_answer(golden_outputs(problem))
    family = family or KERAS["keras"]
    context = {
        **asdict(family),
        **keras_context(problem, family, path),
        "docstring": docstring(f"{problem.id}: {headline}"),
        "backend": BACKENDS[name],
        "decorator": DECORATORS.get(path, ""),
        "trains": trains,
        "stack": isinstance(problem.layer, Stack),
        "has_expected": kept is not problem,
        "compared": "outputs" if trains else "gradients",
        "what": "trained " if trains else "gradient of ",
        "shows_count": False,
        "shows_dtypes": False,
        "relative": False,
    }
    script = render_template("reproduce_backward.py.j2", context)
    return {"problem.json": dump_pretty(_without_none(kept)), "reproduce.py": script}


def _obstacle(problem: Problem, name: str, path: str) -> str:
    """Return what a script cannot express, "" if there is nothing."""
    if name not in BACKENDS or path == "predict":
        return f"{name}{':' if path else ''}{path}"
    if problem.training_step is not None and name != "keras":
        return name
    if problem.calls is not None:
        return "several calls"
    return obstacle(problem, KERAS[name], path)


def _without_none(problem: Problem) -> Problem:
    """Return a problem with zeros where there is no gradient, as it was explained."""
    if problem.gradients is None:
        return problem
    pairs = zip(problem.gradients, problem.gradient_slots(), strict=True)
    filled = [
        tensor or Tensor.of(slot.name, np.zeros([size or 0 for size in slot.shape]), slot.dtype)
        for tensor, slot in pairs
    ]
    return problem.with_answer(filled)
