"""Scripts of bundles that run one call of a layer, each with a template of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.problem.layers import Recurrent, Stack
from rnnparity.problem.problem import Problem
from rnnparity.problem.text import visible
from rnnparity.report.bundles.script_text import WIDTH, docstring, is_relative
from rnnparity.report.pages.page import render_template


@dataclass(frozen=True)
class LayerScript:
    """A script with a template of its own, which runs one call of a layer in a framework.

    `name` is the framework's name in the output, `file` that of the script. `lstm_only`: it builds an
    LSTM that runs forward, with biases, and without a mask or initial states.
    """

    name: str
    template: str
    file: str = "reproduce.py"
    lstm_only: bool = False


LAYER_SCRIPTS = {
    "tfjs": LayerScript("TensorFlow.js", "reproduce_tfjs.mjs.j2", "reproduce.mjs"),
    "tinygrad": LayerScript("tinygrad", "reproduce_tinygrad.py.j2", lstm_only=True),
    "hls4ml": LayerScript("hls4ml", "reproduce_hls4ml.py.j2"),
    "ncnn": LayerScript("ncnn", "reproduce_ncnn.py.j2", lstm_only=True),
}


def layer_files(problem: Problem, headline: str, script: LayerScript) -> dict[str, str | bytes]:
    """Return the script that runs a layer, and its problem.

    Raises:
        RequestError: the script cannot express the layer.
    """
    if isinstance(problem.layer, Stack) or problem.calls:
        raise RequestError(f"{problem.id}: cannot write a script for more than one call of a layer")
    if script.lstm_only and not _is_plain_lstm(problem):
        raise RequestError(f"{problem.id}: cannot write a script for more than an LSTM forward")
    relative = is_relative(problem)
    problem = problem.with_outputs(golden_outputs(problem))
    text = f"{problem.id}: {headline}"
    if script.file.endswith(".mjs"):
        comment = fill(visible(text), WIDTH, break_long_words=False).replace("*/", "* /")
    else:
        comment = docstring(text)
    context: Mapping[str, object] = {
        "docstring": comment,
        "name": script.name,
        "relative": relative,
        "shows_count": False,
        "shows_dtypes": False,
        "has_expected": True,
        "to_numpy": "np.asarray",
    }
    content = render_template(script.template, context)
    return {"problem.json": dump_pretty(problem), script.file: content}


def _is_plain_lstm(problem: Problem) -> bool:
    layer = problem.layer
    plain = problem.mask is None and problem.initial_state is None
    if not isinstance(layer, Recurrent) or layer.class_name != "LSTM" or layer.go_backwards:
        return False
    return plain and layer.use_bias and layer.dtype == "float32"
