"""Why somebody's outputs differ: where they first do, and the fault under which the reference gives the same.

A hypothesis is a fault in a place (see `rnnparity.faults`). It fits where the outputs lie within the noise of what the
reference computes under it; where several fit, all are told, and where none does, that is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnparity.compare import Difference, compare_structure, compare_values
from rnnparity.dtypes import FLOAT_TYPES, Array
from rnnparity.errors import RequestError
from rnnparity.faults import Mutant, mutants, sight
from rnnparity.messages import describe, sigma_text
from rnnparity.problem import Problem, Tensor
from rnnparity.tolerance import Expected, expect

UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class Explanation:
    """What is known of a problem's outputs.

    `verdict` is agrees, diverges or inconclusive; `cause` a fault's name, "unexplained", or None where there is nothing
    to explain; `fault` which one exactly and where. `before` and `after` are the largest distances in sigma from what
    is right and from what the fault gives, `tried` how many hypotheses there were, `also_fits` those that fit as well,
    `blind_to` the faults that these inputs could not have shown. `first` is the place where the outputs first differ.
    """

    problem: Problem
    verdict: str
    differences: tuple[Difference, ...] = ()
    cause: str | None = None
    fault: Mutant | None = None
    before: float = 0.0
    after: float | None = None
    tried: int = 0
    also_fits: tuple[str, ...] = ()
    blind_to: tuple[str, ...] = ()
    hint: str = ""
    first: dict[str, Any] = field(default_factory=dict)


def explain(problem: Problem) -> Explanation:
    """The cause of what is wrong with `problem.outputs`, as far as single faults can tell it.

    Raises:
        RequestError: the problem has no outputs.
    """
    if problem.outputs is None:
        raise RequestError(f"{problem.id}: has no outputs to explain; add what the other implementation gave")
    expected = expect(problem)
    given = problem.outputs
    wrong = compare_structure(given, problem.output_slots())
    if [difference for difference in wrong if difference.kind != "dtype"]:
        return Explanation(problem, "diverges", wrong, UNEXPLAINED, hint=_shape_hint(problem, given))
    found = compare_values(given, expected.outputs, expected.sigmas, expected.kind.threshold)
    hidden = sight(problem, expected).hidden
    if expected.unpredictable or not found.differences:
        verdict = "inconclusive" if expected.inconclusive else "agrees"
        return Explanation(problem, verdict, before=found.sigma, blind_to=hidden, hint=expected.inconclusive)
    told = Explanation(
        problem, "diverges", found.differences, UNEXPLAINED, before=found.sigma, blind_to=hidden,
        hint=_value_hint(given), first=_first(found.differences[0], given, expected),
    )  # fmt: skip
    return _with_cause(told, given, expected)


def _with_cause(told: Explanation, given: Sequence[Tensor], expected: Expected) -> Explanation:
    """The hypothesis that comes nearest, if it fits; the others that fit with it."""
    threshold = expected.kind.threshold
    tried = [m for m in mutants(told.problem) if [t.shape for t in m.outputs] == [t.shape for t in given]]
    fits = [(distance, m) for m in tried if (distance := _distance(given, m, expected)) <= threshold]
    told = replace(told, tried=len(tried))
    if not fits:
        return told
    fits.sort(key=lambda fit: fit[0])
    (after, best), *others = fits
    names = tuple(mutant.name for _, mutant in others)
    return replace(told, cause=best.fault.cause, fault=best, after=after, also_fits=names)


def _distance(given: Sequence[Tensor], mutant: Mutant, expected: Expected) -> float:
    """How many sigma the outputs are from what the fault gives.

    The noise is that of the right run, which a faulty one shares in size: element by element, and at least half of
    what is usual in its array, for where the right run is exact by chance the faulty one is not.
    """
    sigmas = [np.maximum(sigma, np.median(sigma) / 2) for sigma in expected.sigmas]
    return compare_values(given, mutant.outputs, sigmas, expected.kind.threshold).sigma


def _first(difference: Difference, given: Sequence[Tensor], expected: Expected) -> dict[str, Any]:
    """Output, row, step and unit of the first value that is off, in the order of time."""
    names = [tensor.name for tensor in expected.outputs]
    place = names.index(difference.output)
    right, sigma = expected.outputs[place].data, expected.sigmas[place]
    off = np.abs(given[place].data.astype(np.float64) - right)
    kind = FLOAT_TYPES[given[place].dtype]
    limit = expected.kind.threshold * sigma + kind.u * np.abs(right) + kind.tiny
    with np.errstate(invalid="ignore"):
        wrong: Array = ~(off <= limit)
    at = np.argwhere(wrong)
    if wrong.ndim == 3:
        row, step, unit = min(at.tolist(), key=lambda index: (index[1], index[0], index[2]))
        return {"output": difference.output, "row": row, "step": step, "unit": unit}
    row, unit = at[0].tolist()
    return {"output": difference.output, "row": row, "unit": unit}


def _shape_hint(problem: Problem, given: Sequence[Tensor]) -> str:
    """What a wrong count or shape looks like."""
    slots = problem.output_slots()
    if len(given) < len(slots) and problem.layer.return_state:
        return "the states are missing: is return_state False there?"
    for tensor, slot in zip(given, slots, strict=False):
        if len(slot.shape) == 3 and tensor.shape == (slot.shape[0], slot.shape[2]):
            return f"{tensor.name} is {tensor.shape}, the last step only: is return_sequences False there?"
        if len(slot.shape) == 2 and len(tensor.shape) == 3 and tensor.shape[::2] == slot.shape:
            return f"{tensor.name} is {tensor.shape}, every step: is return_sequences True there?"
        if len(slot.shape) == 3 and tensor.shape == (slot.shape[1], slot.shape[0], slot.shape[2]):
            return f"{tensor.name} is {tensor.shape}, time first: Keras has the batch first."
    return ""


def _value_hint(given: Sequence[Tensor]) -> str:
    for tensor in given:
        if not np.isfinite(tensor.data).all():
            index = ", ".join(map(str, np.argwhere(~np.isfinite(tensor.data))[0]))
            return f"{tensor.name} is not finite, first at [{index}]"
        if tensor.data.size > 1 and (tensor.data == tensor.data.flat[0]).all():
            return f"{tensor.name} is {tensor.data.flat[0]:g} everywhere"
    return ""


def text(told: Explanation) -> str:
    """One screen: verdict, place, cause, evidence, how to mend it."""
    said = {"agrees": "agree", "diverges": "diverge", "inconclusive": "are inconclusive"}[told.verdict]
    lines = [f"{told.problem.id}: these outputs {said}"]
    if told.verdict != "diverges":
        lines.append(f"  {told.hint}" if told.hint else f"  largest distance {sigma_text(told.before)} sigma")
    for difference in told.differences:
        lines += [f"  {line}" for line in describe(difference, told.problem)]
    if told.first:
        output, *place = told.first.values()
        letters = ", ".join(f"{name} {at}" for name, at in zip(list(told.first)[1:], place, strict=True))
        lines.append(f"  starts: {output} at {letters}")
    if told.verdict == "diverges" and told.hint:
        lines.append(f"  note: {told.hint}")
    lines += _cause_lines(told)
    if told.blind_to and told.verdict != "inconclusive":
        lines.append(f"  these inputs could not have shown: {_some(told.blind_to)}")
    return "\n".join(lines)


def _cause_lines(told: Explanation) -> list[str]:
    if told.fault is None:
        tried = f"; none of {told.tried} single faults gives these outputs" if told.tried else ""
        return [f"  cause: {UNEXPLAINED}{tried}"] if told.cause else []
    fault = told.fault.fault
    others = told.tried - 1 - len(told.also_fits)
    lines = [
        f"  cause: {told.fault.name}",
        f"    {fault.says}",
        f"  mend: {fault.mend}",
        f"  evidence: {sigma_text(told.before)} sigma from what is right, {sigma_text(told.after or 0)} from what this "
        f"fault gives; {others} of {told.tried} hypotheses do not fit",
    ]
    if fault.seen:
        lines.append(f"  seen in: {fault.seen}")
    if told.also_fits:
        lines.append(f"  fits as well, these inputs cannot tell: {_some(told.also_fits)}")
    return lines


def _some(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def as_json(told: Explanation) -> dict[str, Any]:
    """The same for programs."""
    return {
        "verdict": told.verdict,
        "cause": told.cause,
        "fault": None if told.fault is None else told.fault.name,
        "first": told.first or None,
        "sigma": {"before": _finite(told.before), "after": _finite(told.after)},
        "also_fits": list(told.also_fits),
        "blind_to": list(told.blind_to),
    }


def _finite(sigma: float | None) -> float | str | None:
    return sigma if sigma is None or np.isfinite(sigma) else "Infinity"
