"""rnnparity tests whether a recurrent layer computes what Keras specifies, and explains differences.

    from rnnparity import Problem, assert_parity, check, explain, run

    problem = Problem.from_keras(layer, inputs)   # a live Keras layer with its weights
    run(problem).outputs                          # what the reference computes
    assert_parity(my_outputs, problem)            # raises AssertionError with the differences
    print(explain(problem, my_outputs))           # the faults that explain the differences
    check(my_function, k="lstm").passed           # a function against the catalogue
    from_model("model.keras").first_difference    # every recurrent layer of a model

Importing the package loads nothing else; a public name loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rnnparity.models.model_verdicts import from_model as from_model
    from rnnparity.problem.answer import Unsupported as Unsupported
    from rnnparity.problem.problem import Problem as Problem
    from rnnparity.problem.results import Report as Report
    from rnnparity.problem.verdicts import Verdict as Verdict
    from rnnparity.report.notebook import explain as explain
    from rnnparity.session.ask import run as run
    from rnnparity.session.check import check as check
    from rnnparity.testing import assert_parity as assert_parity

# Public name -> module and the name there.
_PUBLIC = {
    "Problem": ("rnnparity.problem.problem", "Problem"),
    "Report": ("rnnparity.problem.results", "Report"),
    "Unsupported": ("rnnparity.problem.answer", "Unsupported"),
    "Verdict": ("rnnparity.problem.verdicts", "Verdict"),
    "assert_parity": ("rnnparity.testing", "assert_parity"),
    "check": ("rnnparity.session.check", "check"),
    "explain": ("rnnparity.report.notebook", "explain"),
    "from_model": ("rnnparity.models.model_verdicts", "from_model"),
    "run": ("rnnparity.session.ask", "run"),
}
__all__ = [
    "Problem",
    "Report",
    "Unsupported",
    "Verdict",
    "__version__",
    "assert_parity",
    "check",
    "explain",
    "from_model",
    "run",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: `rnnparity --help` must not wait for NumPy."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rnnparity' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
