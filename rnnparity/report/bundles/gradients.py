"""The bundle of wrong gradients: a problem file with the expected ones, and a script that shows it with
only the framework.
"""

from __future__ import annotations

from dataclasses import asdict

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.report.bundles.script_text import docstring
from rnnparity.report.bundles.scripts import family_of
from rnnparity.report.pages.page import render_template

_TENSORFLOW = """\
{decorator}
def backward(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x)
    return tape.gradient(output, [x, *layer.trainable_weights], output_gradients=cotangent)
gradients = backward(tf.constant(x))"""
_JAX = """\
def loss(x, weights):
    output, _ = layer.stateless_call(weights, [v.value for v in layer.non_trainable_variables], x)
    return (output * cotangent).sum()
of_inputs, of_weights = {decorator}jax.grad(loss, argnums=(0, 1)))(x, [v.value for v in layer.trainable_variables])
gradients = [of_inputs, *of_weights]"""
# How a script computes gradients, by the subject.
BACKWARD = {
    "keras": _TENSORFLOW.format(decorator="").lstrip(),
    "keras:graph": _TENSORFLOW.format(decorator="@tf.function"),
    "keras:xla": _TENSORFLOW.format(decorator="@tf.function(jit_compile=True)"),
    "keras-jax": _JAX.format(decorator="("),
    "keras-jax:jit": _JAX.format(decorator="jax.jit("),
}


def gradient_bundle_files(problem: Problem, headline: str, subject: str) -> dict[str, str | bytes]:
    """Return `problem.json`, which has the expected gradients, and `reproduce.py`.

    Raises:
        RequestError: no script can be written for the problem or the subject.
    """
    family, _ = family_of(subject)
    if family is None or subject not in BACKWARD:
        raise RequestError(f"{problem.id}: cannot write a script for gradients of {subject!r}")
    layer, one_output = problem.layer, len(problem.output_slots()) == 1
    options = (problem.mask, problem.initial_state, problem.calls, problem.dropout_masks)
    plain = one_output and all(option is None for option in options)
    if not isinstance(layer, Recurrent) or not plain:
        what = "a mask, states, dropout masks or more than a single layer"
        raise RequestError(f"{problem.id}: cannot write a script for gradients with {what}")
    context = {
        **asdict(family),
        "docstring": docstring(f"{problem.id}: {headline}"),
        "backward": BACKWARD[subject],
    }
    expected = problem.with_answer(golden_outputs(problem))
    script = render_template("reproduce_gradients.py.j2", context)
    return {"problem.json": dump_pretty(expected), "reproduce.py": script}
