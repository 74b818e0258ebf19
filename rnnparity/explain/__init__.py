"""Why somebody's outputs differ: where they first do, and the fault under which the reference gives the same.

A hypothesis is a fault in a place (see `rnnparity.faults`). It fits where the outputs lie within the noise of what the
reference computes under it; where several fit, all are told, and where none does, that is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnparity.compare import Difference, compare_structure, compare_values
from rnnparity.dtypes import Array
from rnnparity.errors import RequestError
from rnnparity.explain.place import Reading, first_difference, heat, readings, value_hint
from rnnparity.explain.question import Question
from rnnparity.explain.search import Search, search
from rnnparity.faults import Mutant, Placed, sight
from rnnparity.problem import Problem
from rnnparity.tolerance import expect

__all__ = ["UNEXPLAINED", "Explanation", "explain"]

UNEXPLAINED = "unexplained"
# Multiply-adds of one pass beyond which a problem is explained on a slice of its rows and steps.
HUGE = 2e9


@dataclass(frozen=True)
class Explanation:
    """What is known of a problem's outputs.

    `verdict` is agrees, diverges or inconclusive; `cause` a fault's name (two joined by " + "), "unexplained", or None
    where there is nothing to explain; `fault` which one exactly and where. `before` and `after` are the largest
    distances in sigma from what is right and from what the fault gives, `tried` how many hypotheses there were,
    `also_fits` those that fit as well; not `certain`: with so few numbers and so much noise one of the hypotheses might
    fit by chance. `blind_to` are the faults that these inputs could not have shown, `level` the coarser type whose
    noise had to be allowed. `first` is the place where the outputs first differ; `picture` an output's name with its
    distances in sigma, (H, T), or (H, B) where it has no time axis.
    """

    problem: Problem
    verdict: str
    differences: tuple[Difference, ...] = ()
    cause: str | None = None
    fault: Mutant | None = None
    before: float = 0.0
    after: float | None = None
    tried: int = 0
    also_fits: tuple[Mutant, ...] = ()
    blind_to: tuple[str, ...] = ()
    certain: bool = True
    hint: str = ""
    level: str = ""
    first: dict[str, Any] = field(default_factory=dict)
    picture: tuple[str, Array] | None = None


def explain(problem: Problem) -> Explanation:
    """The cause of what is wrong with `problem.outputs`, as far as the list of faults can tell it.

    Raises:
        RequestError: the problem has no outputs.
    """
    if problem.outputs is None:
        raise RequestError(f"{problem.id}: has no outputs to explain; add what the other implementation gave")
    wrong = tuple(d for d in compare_structure(problem.outputs, problem.output_slots()) if d.kind != "dtype")
    if not wrong:
        return _explain_values(Reading(problem, problem.outputs, ()))
    told = [_explain_values(reading) for reading in readings(problem, problem.outputs)]
    told = [one for one in told if one.cause != UNEXPLAINED] or told
    if not told:
        return Explanation(problem, "diverges", wrong, UNEXPLAINED, before=np.inf, hint=value_hint(problem.outputs))
    return replace(told[0], problem=problem, differences=(*wrong, *told[0].differences))


def _explain_values(reading: Reading) -> Explanation:
    """The same of outputs whose shapes are as the reading has them."""
    problem, given = reading.problem, reading.given
    expected = expect(problem)
    found = compare_values(given, expected.outputs, expected.sigmas, expected.kind.threshold)
    hidden = sight(problem, expected).hidden
    agrees = expected.unpredictable or not found.differences
    if agrees and not reading.placed:
        verdict = "inconclusive" if expected.inconclusive else "agrees"
        return Explanation(problem, verdict, before=found.sigma, blind_to=hidden, hint=expected.inconclusive)
    question = Question(problem, given, expected)
    searched = Search() if agrees else search(question)
    told = Explanation(
        problem, "diverges", found.differences, UNEXPLAINED, before=found.sigma, tried=searched.tried,
        blind_to=hidden, hint=value_hint(given), level=searched.level,
    )  # fmt: skip
    if agrees:
        mutant = Mutant(reading.placed, expected.outputs)
        return replace(told, cause=mutant.cause, fault=mutant, before=np.inf, after=found.sigma)
    told = replace(told, picture=heat(question))
    return _with_cause(told, question, searched, reading.placed)


def _with_cause(told: Explanation, question: Question, searched: Search, read: tuple[Placed, ...]) -> Explanation:
    """The nearest hypothesis and those that fit as well."""
    placed = searched.fits[0].mutant.placed if searched.fits else ()
    if read and placed and placed[0].fault.arithmetic is not None:  # read aright, only less precise
        told = replace(told, level=placed[0].fault.which)
        placed = ()
    fits = [replace(fit, mutant=replace(fit.mutant, placed=(*read, *fit.mutant.placed))) for fit in searched.fits]
    if fits:
        best, *fits = fits
        fault = best.mutant if placed else replace(best.mutant, placed=read)
        sure = searched.certain(best)
        told = replace(told, cause=fault.cause, fault=fault, after=best.sigma, certain=sure)
    others = tuple(fit.mutant for fit in fits)
    return replace(told, also_fits=others, first=first_difference(question, placed))
