"""A cause is searched among chosen faults only."""

from dataclasses import replace

import pytest
from _support.random_problems import random_problem, spec_of

from rnnparity.explanation.chosen_faults import explained_by
from rnnparity.faults import FAULTS
from rnnparity.problem.explanations import FaultId
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect

PROBLEM = random_problem(spec_of("gru", 5, go_backwards=True, activation="relu"), 1, (3, 6, 4))


def faults(*names):
    return [fault for fault in FAULTS if f"{fault.cause}: {fault.variant}" in names]


def outputs(**options):
    changed = replace(PROBLEM, layer=replace(PROBLEM.layer, **options))
    return [Tensor.of(t.name, t.data, "float32") for t in compute(changed)]


@pytest.mark.parametrize(
    ("options", "causes"),
    [
        ({"go_backwards": False}, {"reverse-ignored"}),
        ({"go_backwards": False, "activation": "tanh"}, {"reverse-ignored", "activation"}),
        ({"activation": "sigmoid"}, set()),
        ({}, set()),
    ],
)
def test_chosen_faults_explain_outputs_alone_or_together(options, causes):
    chosen = faults("reverse-ignored: read forward", "activation: tanh")
    found = explained_by(PROBLEM, outputs(**options), expect(PROBLEM), chosen)
    assert {fault.cause for fault in found} == causes
    assert all(isinstance(fault, FaultId) for fault in found)


@pytest.mark.parametrize(
    "name", ["mask-ignored: every step counts", "reverse-ignored: read forward"]
)
def test_faults_that_do_not_apply_or_fit_explain_nothing(name):
    chosen = faults(name)
    assert chosen
    assert explained_by(PROBLEM, outputs(activation="sigmoid"), expect(PROBLEM), chosen) == ()


def test_nothing_explains_outputs_of_another_number():
    chosen = faults("reverse-ignored: read forward")
    assert explained_by(PROBLEM, [], expect(PROBLEM), chosen) == ()
