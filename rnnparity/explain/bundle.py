"""A bundle for a framework's tracker: the problem file, and a script that shows the difference with Keras alone."""

from __future__ import annotations

from pathlib import Path

from rnnparity import wire
from rnnparity.errors import RequestError
from rnnparity.explain import Explanation
from rnnparity.explain.screen import headline
from rnnparity.files import write_where_asked
from rnnparity.goldens import golden_outputs
from rnnparity.layers import halves
from rnnparity.page import render_template
from rnnparity.problem import Problem

# How each path of tf.keras is taken: what is said to the layer, and how it is called.
PATHS = {
    "keras": ({}, "layer"),
    "keras:graph": ({}, "tf.function(layer)"),
    "keras:xla": ({}, "tf.function(layer, jit_compile=True)"),
    "keras:unroll": ({"unroll": True}, "layer"),
    "keras:implementation1": ({"implementation": 1}, "layer"),
}


def write_bundle(folder: Path, told: Explanation, subject: str = "") -> list[Path]:
    """`problem.json` and `reproduce.py` in a folder, which is made where it is missing.

    The script runs the problem in tf.keras (by one of the PATHS) and prints how far it is from the outputs in the
    file. Those are what was given; or, where tf.keras itself gave them, what they should be.

    Raises:
        RequestError: the folder cannot be written, or the layer has what no Keras of its own name computes.
    """
    problem = told.problem
    _check(problem)
    if subject in PATHS:
        problem = problem.with_outputs(golden_outputs(problem))
    words, call = PATHS.get(subject, PATHS["keras"])
    script = render_template(
        "reproduce.py.j2",
        {"id": problem.id, "headline": headline(told), "words": words, "call": call},
    )
    files = {"problem.json": wire.dump_pretty(problem), "reproduce.py": script}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror or error}") from None
    for name, content in files.items():
        write_where_asked(folder / name, content)
    return [folder / name for name in files]


def _check(problem: Problem) -> None:
    """Whether a few lines of Keras can run the problem at all."""
    foreign = {"hard_sigmoid_keras2", "gelu_tanh"}
    used = {name for _, half in halves(problem.layer) for name in (half.activation, half.recurrent_activation)}
    why = ""
    if problem.calls is not None:
        why = "a stateful run of several calls"
    elif used & foreign:
        why = f"{', '.join(sorted(used & foreign))}, which Keras 3 has no name for"
    if why:
        raise RequestError(f"{problem.id}: no script can be made of {why}; the problem file itself runs anywhere")
