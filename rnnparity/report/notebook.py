"""An explanation that shows itself: as text, and as a page in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from rnnparity.problem.explanations import Explanation
from rnnparity.problem.problem import Problem
from rnnparity.problem.text import visible_lines
from rnnparity.report.pages.explanation import page
from rnnparity.report.text.explanation import lines
from rnnparity.session.ask import explain_outputs, explain_subject
from rnnparity.session.session import SubjectLike
from rnnparity.subjects import named_outputs

# Of a notebook's cell, in pixels.
HEIGHT = 600


@dataclass(frozen=True)
class ShownExplanation(Explanation):
    """An explanation whose text is what `rnnparity explain` prints."""

    def __str__(self) -> str:
        return visible_lines([line.text for line in lines(self)])

    def _repr_html_(self) -> str:
        # A page in a frame of its own: its styles do not reach the notebook.
        return f'<iframe srcdoc="{escape(page(self))}" width="100%" height="{HEIGHT}"></iframe>'


def explain(
    problem: Problem, outputs: SubjectLike | object | None = None, *, gradients: bool = False
) -> ShownExplanation:
    """Return the cause of what is wrong with outputs.

    `outputs` are those of another implementation (an array, a sequence in Keras' order, or a
    mapping by name), a function from the problem to them, or the name of a subject. Without them
    the problem's own are explained, or its gradients if its outputs are right. With `gradients` a
    subject is asked for these, too.

    Raises:
        RequestError: there are no outputs, or the subject cannot run the problem.
        SubjectFailedError: the subject failed on it.
        TypeError: the outputs are no real numbers.

    >>> from rnnparity import explain, run
    >>> from rnnparity.catalogue import catalogue
    >>> problem = catalogue()["gru-spread-last"]
    >>> print(explain(problem, run(problem).outputs[0].data[::-1]).verdict)
    diverges
    """
    if outputs is None:
        diagnosis = explain_outputs(problem)
    elif callable(outputs) or isinstance(outputs, str):
        diagnosis = explain_subject(problem, outputs, gradients=gradients)
    else:
        diagnosis = explain_outputs(problem.with_outputs(named_outputs(problem, outputs)))
    return ShownExplanation(**vars(diagnosis.explanation))
