"""Verdicts on gradients of random problems: what is drawn, recorded and counted."""

from dataclasses import replace

import numpy as np
import pytest

from rnnparity.problem.layers import policies
from rnnparity.problem.verdicts import Verdict
from validation.gradient_verdicts import (
    HALF,
    HEADER,
    policy_of,
    problems_of_seed,
    records_of_seed,
    table,
    weights_of,
)


class Doubling:
    """The reference with one gradient that is twice as large, and outputs of no interest."""

    takes_dropout_masks = True

    def __init__(self, factor):
        self.factor = factor

    def versions(self):
        return {}

    def answer(self, _):
        raise AssertionError

    def gradients(self, problem):
        from rnnparity.problem.answer import Answer
        from rnnparity.problem.problem import Tensor
        from rnnparity.reference.gradients import compute_gradients

        first, *others = compute_gradients(problem)
        tensors = [Tensor(first.name, self.factor * first.data), *others]
        slots = problem.gradient_slots()
        pairs = zip(tensors, slots, strict=True)
        return Answer(gradients=tuple(Tensor.of(t.name, t.data, s.dtype) for t, s in pairs))


@pytest.fixture(scope="module")
def seed():
    return next(seed for seed in range(50) if any(problems_of_seed(seed)))


def test_problems_are_in_float32_with_cotangents():
    problems = [problem for seed in range(30) for problem in problems_of_seed(seed)]
    assert problems
    for problem in problems:
        assert policies(problem.layer) == {"float32"}
        assert problem.cotangents is not None
        assert problem.inputs.shape[1] <= 40
    assert any(problem.dropout_masks for problem in problems)
    assert {problem.mask is None for problem in problems} == {True, False}
    even, odd = problems[0::2], problems[1::2]
    assert all(np.abs(p.weights[0].data).max() < 2 for p in odd)
    assert any(np.abs(p.weights[0].data).max() > 3 for p in even)


def test_healthy_gradients_agree_and_wrong_ones_diverge(seed):
    subjects = {"healthy": Doubling(1), "wrong": Doubling(2)}
    records = list(records_of_seed(seed, subjects))
    rows = {
        tuple(row[:2]): dict(zip(HEADER, row[2:], strict=True))
        for row in table(records, weights_of)
    }
    assert len(rows) == 4
    for (subject, _), row in rows.items():
        conclusive = int(row["verdicts"]) > 0 and row["inconclusive"] != "100.0 %"
        assert (int(row["fail"]) > 0) == (subject == "wrong" and conclusive)
    agrees = [r for r in records if r["verdict"] == Verdict.AGREES]
    assert agrees
    assert all(record["detected"][0] for record in agrees)
    assert all(record["allclose"] for record in agrees)


def test_gradients_that_are_all_zero_have_nothing_to_change(seed, monkeypatch):
    _, problem, *_ = problems_of_seed(seed)  # with weights as initialized
    zeros = tuple(replace(t, data=np.zeros_like(t.data)) for t in problem.cotangents)
    problem = replace(problem, cotangents=zeros)
    monkeypatch.setattr("validation.gradient_verdicts.problems_of_seed", lambda *_: [problem])
    (record,) = records_of_seed(seed, {"healthy": Doubling(1)})
    assert record["verdict"] == Verdict.AGREES
    assert "detected" not in record
    ((*_, detected, smaller, rejected),) = table([record], weights_of)
    assert (detected, smaller, rejected) == ("0/0", "0/0", "0/1")


def test_problems_of_16_bits():
    """The change that must be detected is that of the type."""
    seeds = (seed for seed in range(940_000, 940_100) if any(problems_of_seed(seed, HALF)))
    seed = next(seeds)
    subjects = {"healthy": Doubling(1), "wrong": Doubling(2)}
    records = list(records_of_seed(seed, subjects, HALF))
    assert {record["policy"] for record in records} <= HALF
    rows = [dict(zip(HEADER, row[2:], strict=True)) for row in table(records, policy_of)]
    assert [int(row["fail"]) > 0 for row in rows] == [False, True]
    assert all(record["detected"][0] for record in records if "detected" in record)
