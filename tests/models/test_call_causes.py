"""The causes of a model's calls are searched; a verdict does not depend on that."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of

from rnnparity.models.call_causes import with_causes
from rnnparity.problem.answer import Answer
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute, memory
from rnnparity.verdict.judge import judge


@dataclass(frozen=True)
class JudgedCall:
    problem: Problem
    result: CaseResult


@pytest.mark.parametrize("factor", [0, 1.5])
def test_a_search_that_does_not_fit_in_memory_keeps_the_verdict(factor, monkeypatch):
    problem = random_problem(spec_of("lstm", 4, **SEQUENCES), 0, (3, 6, 5))
    outputs = tuple(
        replace(tensor, data=np.float32(factor * tensor.data)) for tensor in compute(problem)
    )
    call = JudgedCall(problem.with_outputs(outputs), judge(problem, Answer(outputs)))
    monkeypatch.setattr(memory, "ALWAYS_FITS", 100_000)
    monkeypatch.setattr(memory, "available_memory", lambda: 150_000)
    (kept,) = with_causes([call])
    assert kept.result.verdict is Verdict.DIVERGES
    assert kept.result.cause is None
    assert kept.result.reason.startswith("cause not searched: problem: LSTM")
    assert "GB are available" in kept.result.reason
