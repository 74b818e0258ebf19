"""The causes of a subject's divergences: what explains one case is tried on the next."""

from dataclasses import replace

import numpy as np
import pytest
from _support.explanations import CONSTANT, from_port

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.explanation.causes import THOROUGH, find_causes
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.explanations import Cause
from rnnparity.problem.findings import FindingType, accounts_for_values
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute


def cases(expression):
    return [catalogue()[id_] for id_ in select(catalogue().tags(), expression)]


def ignore(done):
    """A progress that is not shown."""


def names(causes):
    return {fault.variant for cause in causes.values() for fault in cause.faults}


@pytest.fixture
def short_search(monkeypatch):
    monkeypatch.setattr("rnnparity.explanation.causes.SEARCHED", 2)
    monkeypatch.setattr("rnnparity.explanation.pairs.PAIRS", 200)


def test_every_divergence_has_a_cause():
    chosen = cases("lstm and spread and not stateful and mask_interior")
    done = []
    found = find_causes(map(from_port, chosen), done.append)
    assert set(found.causes) == {case.id for case in chosen}
    assert {cause.names for cause in found.causes.values()} == {("bias-missing",)}
    assert names(found.causes) == {"all of it"}
    assert done == list(range(1, len(chosen) + 1))


def test_known_cause_is_not_searched_again():
    chosen = cases("lstm and spread and not stateful and mask_interior")
    found = find_causes(map(from_port, chosen), ignore)
    assert 1 <= len(found.explanations) < len(chosen) / 2
    shortest = min(chosen, key=lambda case: (len(case.id), case.id))
    assert found.explanations[shortest.id].cause == found.causes[shortest.id]


def test_ambiguous_cause_is_resolved_by_a_later_case():
    constant = replace(
        catalogue()[CONSTANT], case=None
    )  # as a file has it: not known to be constant
    chosen = [constant, *cases("lstm and spread and not stateful and mask_interior")]
    found = find_causes(map(from_port, chosen), ignore)
    assert found.explanations[CONSTANT].cause.also_fits
    assert found.causes[CONSTANT].unambiguous
    assert any(found.fixes[CONSTANT])


def test_constant_weights_are_searched_last():
    chosen = [catalogue()[CONSTANT], *cases("lstm and spread and not stateful and mask_interior")]
    found = find_causes(map(from_port, chosen), ignore)
    assert found.causes[CONSTANT].unambiguous
    assert CONSTANT not in found.explanations


def test_number_of_full_searches_is_limited(short_search):
    rng = np.random.default_rng(0)

    def nonsense(problem):
        slots = problem.output_slots()
        return [rng.standard_normal(slot.shape).astype(np.float32) for slot in slots]

    chosen = cases("gru-spread and mask_interior and not bidirectional")
    found = find_causes([from_port(case, nonsense) for case in chosen], ignore)
    assert set(found.causes.values()) == {Cause()}
    assert len(found.causes) == len(found.explanations) == 2


def with_negated_block(case):
    """Return a case with the outputs of a port that negates a block, which no fault of the list does."""
    weights = [tensor.data.copy() for tensor in case.weights]
    weights[1][:, -case.layer.units :] *= -1
    tensors = zip(case.weights, weights, strict=True)
    other = replace(case, weights=tuple(Tensor(t.name, data) for t, data in tensors))
    return case.with_outputs(compute(other))


def with_scaled_inputs(case):
    inputs = Tensor("inputs", (case.inputs.data / 255).astype(case.inputs.data.dtype))
    return case.with_outputs(compute(replace(case, inputs=inputs)))


GRUS = "gru and spread and last and not bi_gru and not stateful"


def searched_in_full(monkeypatch, problems):
    """Return what is found, and the ids of the cases that were searched in full."""
    ids = []

    def recorded(problem, **options):
        ids.append(problem.id)
        return diagnose(problem, **options)

    monkeypatch.setattr("rnnparity.explanation.causes.diagnose", recorded)
    return find_causes(problems, ignore), ids


@pytest.mark.parametrize(
    ("port", "type_"),
    [(with_negated_block, FindingType.BLOCK), (with_scaled_inputs, FindingType.INPUTS)],
)
def test_findings_of_one_case_are_tried_on_similar_ones(monkeypatch, port, type_):
    chosen = cases(GRUS)
    found, ids = searched_in_full(monkeypatch, [port(case) for case in chosen])
    assert 0 < len(ids) <= len(chosen) / 2
    assert set(found.explanations) == {case.id for case in chosen}
    for explanation in found.explanations.values():
        assert explanation.accounted
        assert [f.type for f in explanation.findings if accounts_for_values(f)] == [type_]
    assert all(explanation.first for explanation in found.explanations.values())


def test_case_that_other_findings_account_for_is_searched_in_full(monkeypatch):
    chosen = cases(GRUS)
    ports = [with_scaled_inputs(case) for case in chosen[:-1]]
    found, ids = searched_in_full(monkeypatch, [*ports, with_negated_block(chosen[-1])])
    assert chosen[-1].id in ids
    (block,) = (f for f in found.explanations[chosen[-1].id].findings if accounts_for_values(f))
    assert block.type is FindingType.BLOCK


def test_cases_that_findings_account_for_are_all_searched(short_search, monkeypatch):
    monkeypatch.setattr("rnnparity.explanation.causes.accounted_again", lambda *known: None)
    chosen = cases(GRUS)[:5]
    found = find_causes(map(with_negated_block, chosen), ignore)
    assert len(found.explanations) == len(chosen) > 2
    assert all(explanation.accounted for explanation in found.explanations.values())


def test_pairs_are_tried_on_the_first_of_similar_cases_only(monkeypatch):
    thorough = []

    def recorded(problem, **options):
        thorough.append((problem.layer.return_sequences, options["thorough"]))
        return diagnose(problem, thorough=False)

    monkeypatch.setattr("rnnparity.explanation.causes.diagnose", recorded)
    rng = np.random.default_rng(0)

    def nonsense(problem):
        slots = problem.output_slots()
        return [rng.standard_normal(slot.shape).astype(np.float32) for slot in slots]

    chosen = [
        case for case in cases("gru-spread and mask_interior") if isinstance(case.layer, Recurrent)
    ]
    find_causes([from_port(case, nonsense) for case in chosen], ignore)
    for sequences in (False, True):
        tried = [option for returned, option in thorough if returned is sequences]
        assert len(tried) > THOROUGH
        assert tried == [True] * THOROUGH + [False] * (len(tried) - THOROUGH)
