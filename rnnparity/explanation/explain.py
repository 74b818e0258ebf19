"""Why somebody's outputs differ: where they first do, and the fault under which the reference gives
the same.

A hypothesis is a fault in a place (see `rnnparity.faults`). It fits where the outputs lie within
the noise of what the reference computes under it; where several fit, all are told, and where none
does, that is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.location import (
    Reading,
    first_difference,
    heat,
    is_blank,
    pattern,
    readings,
    value_hint,
)
from rnnparity.explanation.search import Search, find_cause
from rnnparity.explanation.slices import fits_all, is_huge, slice_of
from rnnparity.faults import EditArithmetic, Mutant, PlacedFault, fault_coverage
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.results import Difference, FaultId
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.compare import compare_structure, compare_values

__all__ = ["UNEXPLAINED", "Explanation", "explain"]

UNEXPLAINED = "unexplained"
TINY = (
    "off by less than noise usual in that output, too little to tell why: "
    "is an activation exact to some digits alone?"
)
# By how much more than on a slice the rest of a huge problem may be off: noise grows along the way.
FAR = 100.0


@dataclass(frozen=True)
class Explanation:
    """What is known of a problem's outputs.

    `verdict` is agrees, diverges or inconclusive; `cause` a fault's name (two joined by " + "),
    "unexplained", or None where there is nothing to explain; `fault` which one exactly and where.
    `before` and `after` are the largest distances in sigma from what is right and from what the
    fault gives, `tried` how many hypotheses there were, `also_fits` those that fit as well; not
    `certain`: with so few numbers and so much noise one of the hypotheses might fit by chance.
    `blind_to` are the faults that these inputs could not have shown, `level` the coarser type whose
    noise had to be allowed. `first` is the place where the outputs first differ, `pattern` what the
    places that differ say already, `picture` an output's name with its distances in sigma, (H, T),
    or (H, B) where it has no time axis. `apart` is a problem on which what fits alike would not;
    `probes` counts how often a subject was asked again with such a one; `slice` says which part of
    a huge problem was looked at; `listed` are the known differences of the subject that cover this
    one, in words.
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
    blind_to: tuple[FaultId, ...] = ()
    certain: bool = True
    hint: str = ""
    level: str = ""
    first: dict[str, Any] = field(default_factory=dict)
    pattern: tuple[str, ...] = ()
    picture: tuple[str, Array] | None = None
    apart: Problem | None = None
    slice: str = ""
    probes: int = 0
    listed: tuple[str, ...] = ()


def explain(problem: Problem) -> Explanation:
    """The cause of what is wrong with `problem.outputs`, as far as the list of faults can tell it.

    Raises:
        RequestError: the problem has no outputs.
    """
    if not problem.outputs:
        raise RequestError(
            f"{problem.id}: has no outputs to explain; add what the other implementation gave"
        )
    wrong = compare_structure(problem.outputs, problem.output_slots())
    problem = problem.with_outputs(
        [_as_float(tensor, problem.threshold_type) for tensor in problem.outputs]
    )
    if all(difference.type == "dtype" for difference in wrong):
        told = _explain_values(Reading(problem, problem.outputs or (), ()))
        dtypes = [f"{d.output}: got dtype {d.actual}, expected {d.expected}" for d in wrong]
        return replace(told, hint="; ".join([*([told.hint] if told.hint else []), *dtypes]))
    read = [_explain_values(reading) for reading in readings(problem, problem.outputs or ())]
    if not read:
        hint = value_hint(problem.outputs or ())
        return Explanation(problem, "diverges", wrong, UNEXPLAINED, before=np.inf, hint=hint)
    explained = [told for told in read if told.cause != UNEXPLAINED]
    # A reading that leaves nothing to explain comes before one that takes a second fault.
    best = min(
        explained, key=lambda told: len(told.fault.placed) if told.fault else 0, default=read[0]
    )
    if best.verdict == "agrees":  # under other names
        best = replace(
            best, verdict="diverges", cause=UNEXPLAINED, hint="in this order the values agree"
        )
    return replace(best, problem=problem, differences=(*wrong, *best.differences))


def _as_float(tensor: Tensor, dtype: str) -> Tensor:
    """Integers and the like as numbers that can be compared."""
    return tensor if tensor.dtype in FLOAT_TYPES else Tensor.of(tensor.name, tensor.data, dtype)


def _explain_values(reading: Reading) -> Explanation:
    """The same of outputs whose shapes are as the reading has them; of a huge problem on a slice of
    it."""
    if not is_huge(reading.problem):
        return _explain_whole(reading)
    part = slice_of(reading.problem, reading.given)
    told = _explain_whole(replace(reading, problem=part.problem, given=part.given))
    if told.verdict != "diverges":  # on the rows that are furthest off: all of it has to say so
        return _explain_whole(reading, told.blind_to)
    says = part.says
    if told.fault is not None:
        allowed = 10 * max(float(sigma.max()) for sigma in expect(part.problem).sigmas) * FAR
        rest = fits_all(
            reading.problem, reading.given, told.fault.placed[len(reading.placed) :], allowed
        )
        says += f"; the rest {'fits' if rest else 'does not fit'} this cause"
    first = told.first | ({"row": part.row(told.first["row"])} if told.first else {})
    return replace(
        told, problem=reading.problem, slice=says, first=first, differences=part.differences(told.differences),
        pattern=(),
    )  # fmt: skip


def _explain_whole(reading: Reading, blind_to: tuple[FaultId, ...] | None = None) -> Explanation:
    problem, given = reading.problem, reading.given
    expected = expect(problem)
    found = compare_values(given, expected.outputs, expected.sigmas, expected.kind.threshold)
    agrees = expected.unpredictable or not found.differences
    evidence = Evidence(problem, given, expected)
    # Off where there is hardly any noise, by less than is usual beside it: nothing that a
    # hypothesis could be held to.
    tiny = not agrees and evidence.worst(expected.outputs) <= evidence.own.threshold
    searched = Search() if agrees or tiny or is_blank(given) else find_cause(evidence)
    hidden = searched.hidden if searched.tried else blind_to
    told = Explanation(
        problem, "diverges", found.differences, before=found.sigma, tried=searched.tried, level=searched.level,
        blind_to=fault_coverage(problem, expected).undetected if hidden is None else hidden,
    )  # fmt: skip
    if (agrees or tiny) and reading.placed:
        mutant = Mutant(reading.placed, expected.outputs)
        return replace(told, cause=mutant.cause, fault=mutant, before=np.inf, after=found.sigma)
    if agrees:
        verdict = "inconclusive" if expected.inconclusive else "agrees"
        return replace(told, verdict=verdict, differences=(), hint=expected.inconclusive)
    told = replace(told, cause=UNEXPLAINED, hint=TINY if tiny else _hint(evidence, searched))
    if tiny:
        return told
    told = replace(told, pattern=tuple(pattern(evidence)), picture=heat(evidence))
    return _with_cause(told, evidence, searched, reading.placed)


def _hint(evidence: Evidence, searched: Search) -> str:
    """What the size or the type of the values says, where no cause does."""
    if searched.within and not searched.fits:
        return (
            f"the differences are no larger than {searched.within} would leave: "
            "is TF32 or another coarse type in use?"
        )
    said = value_hint(evidence.given)
    if evidence.coarse_type and not said:
        return f"every value is a number of {evidence.coarse_type}: was it computed in that type?"
    return said


def _with_cause(
    told: Explanation, evidence: Evidence, searched: Search, read: tuple[PlacedFault, ...]
) -> Explanation:
    """The nearest hypothesis and those that fit as well."""
    placed = searched.fits[0].mutant.placed if searched.fits else ()
    if (
        read and placed and isinstance(placed[0].fault.edit, EditArithmetic)
    ):  # read aright, only less precise
        told = replace(told, level=placed[0].fault.variant)
        placed = ()
    fits = [
        replace(fit, mutant=replace(fit.mutant, placed=(*read, *fit.mutant.placed)))
        for fit in searched.fits
    ]
    if fits:
        best, *fits = fits
        fault = best.mutant if placed else replace(best.mutant, placed=read)
        sure = searched.certain(best)
        told = replace(told, cause=fault.cause, fault=fault, after=best.sigma, certain=sure)
    others = tuple(fit.mutant for fit in fits)
    return replace(told, also_fits=others, first=first_difference(evidence, placed))
