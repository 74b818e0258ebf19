"""What the findings together account for: one output that is explained does not explain another."""

from __future__ import annotations

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of
from validation.off_list.changes import Change, ChangedImplementation, Kind

from rnnparity.catalogue import catalogue
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.finding_search import find
from rnnparity.problem.findings import (
    BlockChange,
    Finding,
    FindingType,
    WeightBlock,
    accounts_for_values,
)
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute, trace
from rnnparity.reference.tolerance import expect

PROBLEM = catalogue()["lstm-spread-sequences-state"]
SEQUENCE = compute(PROBLEM)[0].data


def found(sequence, c):
    """The findings about a wrong sequence and a wrong cell state; h is correct."""
    correct = compute(PROBLEM)
    arrays = [sequence, correct[1].data, c]
    actual = [Tensor.of(tensor.name, array) for tensor, array in zip(correct, arrays, strict=True)]
    return find(Evidence(PROBLEM, tuple(actual), expect(PROBLEM)), quickly=True)


def accounting(findings):
    return {finding.type for finding in findings.findings if accounts_for_values(finding)}


WRONG = {
    FindingType.ROWS_PERMUTED: SEQUENCE[::-1],
    FindingType.QUANTIZED: np.round(SEQUENCE / 0.003) * 0.003,
    FindingType.COARSE_STORAGE: SEQUENCE.astype(np.float16),
    FindingType.OTHER_QUANTITY: np.stack([s.states["c"] for s in trace(PROBLEM)], axis=1),
}


@pytest.mark.parametrize("type_", WRONG)
def test_a_finding_about_one_output_does_not_account_for_another(type_):
    correct_c = compute(PROBLEM)[2].data
    alone = found(WRONG[type_], correct_c)
    assert alone.complete
    assert type_ in accounting(alone)
    assert not found(WRONG[type_], correct_c * 1.37 + 0.01).complete


def test_findings_about_each_output_account_for_both():
    both = found(WRONG[FindingType.ROWS_PERMUTED], compute(PROBLEM)[2].data[::-1])
    assert both.complete
    assert accounting(both) == {FindingType.ROWS_PERMUTED}


@pytest.mark.parametrize(("at_masked", "certain"), [(-1.0, True), (np.arange(5.0), False)])
def test_change_of_a_block_needs_a_mask_that_was_used(at_masked, certain):
    spec = spec_of("lstm", **SEQUENCES)
    problem = random_problem(spec, 3, (3, 5, 4), mask=["11111", "11111", "00000"])
    block = WeightBlock("kernel", "f")
    change = Finding(FindingType.BLOCK, block=block, change=BlockChange.NEGATED)
    (sequence,) = ChangedImplementation(Change(Kind.BLOCK, change))(problem)
    sequence[2] = np.reshape(at_masked, (-1, 1))
    actual = Tensor.of("output", sequence)
    findings = find(Evidence(problem, (actual,), expect(problem))).findings
    (found_block,) = [finding for finding in findings if finding.type is FindingType.BLOCK]
    assert (found_block.block, found_block.certain) == (block, certain)
