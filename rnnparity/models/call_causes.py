"""The causes of the calls of a model that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.causes import CauseSearch
from rnnparity.models.calls import Result
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict


def with_causes(calls: Sequence[Result]) -> tuple[Result, ...]:
    """Add the cause to every call that differs; that of an earlier call is tried first.

    A call that agrees to the printed digits of its outputs differs no longer.
    """
    search = CauseSearch()
    return tuple(_with_cause(call, search) for call in calls)


def _with_cause(call: Result, search: CauseSearch) -> Result:
    problem, result = call.problem, call.result
    if not result.failing or problem is None:
        return call
    if result.explanation is None:
        try:
            search.add(problem)
        except RequestError as refusal:  # the search does not fit in memory; the verdict is kept
            return replace(call, result=replace(result, reason=f"cause not searched: {refusal}"))
        result = search.with_cause(result)
    else:
        result = replace(result, cause=result.explanation.cause)
    explanation = result.explanation
    if explanation is not None and explanation.verdict is not Verdict.DIVERGES:
        result = CaseResult(result.id, explanation.verdict, explanation.sigma)
    elif explanation is not None and np.isfinite(explanation.sigma):
        result = replace(result, sigma=explanation.sigma)  # what its text states
    return replace(call, result=result)
