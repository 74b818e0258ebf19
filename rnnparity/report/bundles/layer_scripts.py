"""Scripts of bundles that run one call of a layer, as the subject's module declares them."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_writing import dump_pretty
from rnnparity.problem.layers import Stack
from rnnparity.problem.problem import Problem
from rnnparity.problem.text import visible
from rnnparity.report.bundles.script_text import WIDTH, docstring, is_relative
from rnnparity.report.pages.page import render_template
from rnnparity.subjects.declarations import LayerScript


def layer_files(problem: Problem, headline: str, script: LayerScript) -> dict[str, str | bytes]:
    """Return the script that runs a layer, and its problem.

    Raises:
        RequestError: the script cannot express the layer.
    """
    if isinstance(problem.layer, Stack) or problem.calls:
        raise RequestError(f"{problem.id}: cannot write a script for more than one call of a layer")
    if not script.expresses(problem):
        raise RequestError(f"{problem.id}: cannot write a script of {script.name} for it")
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
