"""The families of cases: their list, their ids, and how pairs of options meet."""

import doctest

import pytest

import rnnparity.catalogue as package
from rnnparity.catalogue import FAMILIES, catalogue, family
from rnnparity.catalogue.build import CaseSpec
from rnnparity.catalogue.cross import DIRECTIONS, FLAGS, MASK_NAMES, VARIANTS, WEIGHTS, cross_cases
from rnnparity.problem.cells import CELLS
from rnnparity.problem.keras_config import parse_layer

OPTIONS = (VARIANTS, DIRECTIONS, FLAGS, MASK_NAMES, (False, True), WEIGHTS)


@pytest.mark.parametrize("cases_of_family", FAMILIES, ids=lambda function: function.__name__)
def test_every_case_of_a_family_is_in_the_catalogue(cases_of_family):
    cases = list(cases_of_family())
    assert cases
    for case in cases:
        assert catalogue()[case.id].layer == parse_layer(case.spec)
        assert case.why.endswith(".")


def test_a_new_family_is_a_function_in_the_list(monkeypatch):
    (case,) = [case for case in cross_cases() if case.id == "gru-spread-last"]
    new = CaseSpec("new-case", {"class_name": "GRU", "config": {"units": 2}}, "New.")
    monkeypatch.setattr(package, "FAMILIES", (lambda: iter([new, case]),))
    assert list(catalogue.__wrapped__()) == [case.id, "new-case"]
    assert catalogue.__wrapped__()["new-case"].layer.units == 2
    assert family("new-case") == "new"


def test_two_cases_of_one_id_are_refused(monkeypatch):
    monkeypatch.setattr(package, "FAMILIES", (cross_cases, cross_cases))
    with pytest.raises(AssertionError, match="two cases have the same id"):
        catalogue.__wrapped__()


def test_the_catalogue_has_every_variant_of_every_cell():
    classes = {VARIANTS[name][0] for name in VARIANTS}
    assert classes == set(CELLS)
    tags = {tag for case in catalogue().values() for tag in case.case.tags}
    assert {f"kind:{name}" for name in VARIANTS} <= tags


def test_examples_of_the_documentation_run():
    assert doctest.testmod(package).failed == 0
