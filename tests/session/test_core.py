"""The core set meets every requirement that the catalogue meets, and none of its cases is superfluous."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import CORE, core, core_text
from rnnparity.catalogue.profiles import PROFILES
from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import read_known
from rnnparity.problem.errors import FormatError
from rnnparity.session import core as core_module
from rnnparity.session.core import (
    Contains,
    Detects,
    Printed,
    Shows,
    compute_core,
    core_basis,
    lost_requirements,
    requirements,
    smallest_cover,
)

MOST = 500
# A few cases of one cell, so that every fault can be run on each of them.
FEW = [
    id_
    for id_, case in catalogue().items()
    if id_.startswith("simple_rnn-spread-") and case.initial_state is None
][:12]


@pytest.fixture
def few(monkeypatch):
    """Let the catalogue have only the cases FEW."""
    cases = {id_: catalogue()[id_] for id_ in FEW}
    monkeypatch.setattr(core_module, "catalogue", lambda: cases)
    return cases


def known():
    return read_known(default_folder() / KNOWN)


def test_the_stored_set_is_small_and_in_the_order_of_the_catalogue():
    assert len(core()) <= MOST
    assert list(core()) == [id_ for id_ in catalogue() if id_ in set(core())]
    assert core_text(core(), core_basis()) == CORE.read_text(), (
        "the core set is out of date: run `rnnparity regenerate --core`"
    )


@pytest.mark.parametrize("what", ["catalogue", "FAULTS", "TRAINING_FAULTS", "PROFILES"])
def test_the_stored_set_is_out_of_date_after_a_new_case_fault_or_profile(monkeypatch, what):
    before = core_basis()
    if what == "catalogue":
        monkeypatch.setattr(core_module, "digest", lambda: "another")
    else:
        monkeypatch.setattr(core_module, what, getattr(core_module, what)[1:])
    assert core_basis() != before


def test_an_unknown_case_in_the_stored_set_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "core.txt"
    path.write_text("# head\nlstm-spread-last\nno-such-case\n")
    monkeypatch.setattr("rnnparity.catalogue.core.CORE", path)
    with pytest.raises(FormatError, match=r"core.txt: no-such-case is not a case; run `rnnparity"):
        core.__wrapped__()


def test_every_option_value_and_source_and_known_difference_is_in_it_for_every_profile():
    """All requirements but the detection of faults, which takes minutes (below)."""
    entries = known()
    met, wanted = set(), set()
    for id_, problem in catalogue().items():
        found = requirements(problem, [], entries)
        wanted |= found
        if id_ in core():
            met |= found
    assert {type(requirement) for requirement in wanted} == {Contains, Shows, Printed}
    assert wanted == met, "the core set is out of date: run `rnnparity regenerate --core`"


def test_a_profile_accepts_what_the_narrower_ones_accept():
    training, *others = (
        {id_ for id_, problem in catalogue().items() if each.accepts(problem)} for each in PROFILES
    )
    assert training | others[0] == set(catalogue())
    assert not training & others[0]
    assert others == sorted(others, key=len, reverse=True)
    for wide, narrow in pairwise(others):
        assert narrow <= wide
    for accepted in (training, *others):
        assert accepted & set(core())


def test_a_plain_engine_has_no_mask_and_no_state():
    plain = [problem for problem in catalogue().values() if PROFILES[-1].accepts(problem)]
    for problem in plain:
        assert (problem.mask, problem.initial_state, problem.calls) == (None, None, None)
        assert {slot.name for slot in problem.output_slots()} <= {
            "output",
            "forward_output",
            "backward_output",
        }


def test_the_smallest_cover_meets_everything_without_superfluous_ids():
    a, b, c, d = (Printed(name) for name in "abcd")
    met = {
        "both": frozenset({a, b}),
        "large": frozenset({b, c, d}),
        "a": frozenset({a}),
        "nothing": frozenset(),
    }
    assert sorted(smallest_cover(met)) == ["both", "large"]
    # The largest is chosen first, and then superfluous.
    met = {"abc": frozenset({a, b, c}), "abd": frozenset({a, b, d}), "cb": frozenset({c, b, a})}
    assert len(smallest_cover(met)) == 2
    assert smallest_cover({}) == []


def test_the_smallest_cover_keeps_what_is_still_needed():
    a, b, c = (Printed(name) for name in "abc")
    met = {"ab": frozenset({a, b}), "b": frozenset({b}), "a": frozenset({a}), "c": frozenset({c})}
    assert sorted(smallest_cover(met)) == ["ab", "c"]
    assert sorted(smallest_cover(met, ["a", "b"])) == ["a", "b", "c"]
    # One that no longer exists, and one that another one of them makes superfluous.
    assert sorted(smallest_cover(met, ["gone", "ab", "a", "c"])) == ["ab", "c"]


def test_the_computed_core_of_a_few_cases_loses_nothing(few):
    chosen = compute_core((), jobs=1)
    assert 0 < len(chosen) <= len(few)
    assert lost_requirements(chosen, ()) == set()
    for id_ in chosen:
        assert lost_requirements([case for case in chosen if case != id_], ())


def test_a_case_that_is_removed_takes_the_detection_of_its_faults_with_it(few):
    """What only the removed case detects, in any profile, is reported as lost, and nothing else."""
    chosen = compute_core((), jobs=1)
    detects = {
        id_: {
            each
            for each in requirements(case, core_module._coverage(id_).detected, ())
            if isinstance(each, Detects)
        }
        for id_, case in few.items()
    }
    losses = []
    for removed in chosen:
        rest = [id_ for id_ in chosen if id_ != removed]
        lost = {each for each in lost_requirements(rest, ()) if isinstance(each, Detects)}
        assert lost == set().union(*detects.values()).difference(*(detects[id_] for id_ in rest))
        losses.append(lost)
    assert any(losses)


def test_an_inconclusive_case_meets_nothing(few, monkeypatch):
    expect = core_module.expect_answer
    monkeypatch.setattr(
        core_module, "expect_answer", lambda case: replace(expect(case), inconclusive="noise")
    )
    assert lost_requirements([], ()) == set()


@pytest.mark.slow
def test_the_core_loses_nothing_for_any_profile_and_has_no_superfluous_case(monkeypatch):
    coverages = {}

    def remembered(id_, faults=None):
        if faults is not None:
            return coverage_of(id_, faults)
        if id_ not in coverages:
            coverages[id_] = coverage_of(id_)
        return coverages[id_]

    coverage_of = core_module._coverage
    monkeypatch.setattr(core_module, "_coverage", remembered)
    entries = known()
    assert lost_requirements(core(), entries) == set()
    met = {
        id_: requirements(catalogue()[id_], coverage.detected, entries)
        for id_, coverage in coverages.items()
    }
    assert set(met) == set(core())
    counts = Counter(requirement for each in met.values() for requirement in each)
    for id_, each in met.items():
        assert any(counts[requirement] == 1 for requirement in each), f"{id_} is superfluous"
    detections = [each for each in counts if isinstance(each, Detects) and counts[each] == 1]
    alone = next(id_ for id_, each in met.items() if detections[0] in each)
    # In the catalogue of these cases only: the others detect no more.
    cases = {id_: catalogue()[id_] for id_ in core()}
    monkeypatch.setattr(core_module, "catalogue", lambda: cases)
    lost = lost_requirements([id_ for id_ in core() if id_ != alone], entries)
    assert detections[0] in lost, "a case was removed and nothing was lost"
