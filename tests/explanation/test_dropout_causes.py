"""The cause of wrong outputs in training, with given dropout masks."""

import pytest
from _support.random_problems import BOTH, random_problem, spec_of, stack_of, two_ways, with_dropout

from rnnparity import explain
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import rows_of
from rnnparity.faults import FAULTS, backward_mutants, mutants, mutate
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients

PROBLEM = with_dropout(random_problem(two_ways(spec_of("lstm", 4, **BOTH)), 0, (3, 5, 2)))


def test_a_fault_is_named_under_dropout():
    (fault,) = [f for f in FAULTS if (f.cause, f.variant) == ("bias-missing", "all of it")]
    mutant = next(m for m in mutate(PROBLEM, fault) if m.placed[0].location == "backward/")
    outputs = tuple(Tensor.of(t.name, t.data) for t in mutant.outputs)
    diagnosis = diagnose(PROBLEM.with_outputs(outputs))
    assert [found.cause for found in diagnosis.explanation.cause.faults] == ["bias-missing"]


@pytest.mark.parametrize("name", ["lstm", "gru_before", "two ways", "stack"])
def test_every_fault_runs_or_does_not_apply(name):
    gru = spec_of("gru", 2, return_sequences=True)
    specs = {"two ways": two_ways(gru), "stack": stack_of(two_ways(gru), spec_of("simple_rnn", 3))}
    spec = specs.get(name) or spec_of(name, 3, **BOTH)
    for mask in (None, ("0110", "1100")):
        problem = random_problem(spec, 0, (2, 4, 3), mask=mask, initial=mask is None)
        problem = with_dropout(problem)
        assert len(mutants(problem)) > 50
        assert list(backward_mutants(with_cotangents(problem)))


def test_outputs_without_dropout_are_unexplained():
    def forgets(problem):
        return [2 * tensor.data for tensor in compute(problem)]

    forgets.takes_dropout_masks = True
    found = explain(PROBLEM, forgets)
    assert found.verdict is Verdict.DIVERGES
    assert found.findings == ()


def test_wrong_gradients_are_explained():
    problem = with_cotangents(PROBLEM)
    gradients = tuple(
        Tensor.of(t.name, 2 * t.data if t.name.endswith("bias") else t.data)
        for t in compute_gradients(problem)
    )
    found = explain(problem.with_answer(gradients))
    assert [(fault.cause, fault.variant) for fault in found.cause.faults] == [
        ("gradient-doubled", "bias")
    ]


def test_rows_keep_their_masks():
    part = rows_of(PROBLEM, [2, 0])
    for mask, whole in zip(part.dropout_masks, PROBLEM.dropout_masks, strict=True):
        assert (mask.data == whole.data[:, [2, 0]]).all()
