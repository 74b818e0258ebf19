"""In which releases a known difference occurs, and what a stated range has too much or too little."""

from dataclasses import replace

import pytest
from packaging.specifiers import SpecifierSet

from rnnparity.golden.goldens import KNOWN, default_folder
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.stored import history as history_store
from rnnparity.session.history import ReleaseResult, _agreeing
from rnnparity.session.occurrence import occurrences

ENTRY = KnownDifference("swap", "s", ("lstm*",), ("values",), {}, "gate-order", "mistake", "", "")
RELEASES = [
    ReleaseResult("1.0", agreeing={"swap": 2}),
    ReleaseResult("1.1", listed={"swap": 2}),
    ReleaseResult("1.2", listed={"swap": 1}, agreeing={"swap": 1}),
    ReleaseResult("1.3"),  # none of its cases was compared
    ReleaseResult("2.0", agreeing={"swap": 2}),
]
STORED = sorted((default_folder() / "history").glob("*.json"))


@pytest.mark.parametrize(
    ("stated", "outside", "missing"),
    [
        ("", (), ()),
        (">=1.1,<2.0", (), ()),
        (">=1.2,<2.0", ("1.1",), ()),
        (">=1.0,<3.0", (), ("1.0", "2.0")),
        ("<1.1", ("1.1", "1.2"), ("1.0",)),
    ],
)
def test_a_stated_range_is_compared_with_the_releases(stated, outside, missing):
    entry = replace(ENTRY, versions={"p": SpecifierSet(stated)} if stated else {})
    (found,) = occurrences("p", [entry], RELEASES)
    assert (found.seen, found.absent) == (("1.1", "1.2"), ("1.0", "2.0"))
    assert found.stated == str(SpecifierSet(stated))
    assert (found.outside, found.missing) == (outside, missing)
    assert found.contradicts == bool(outside or missing)


def test_a_difference_without_cases_in_any_release_is_left_out():
    assert list(occurrences("p", [replace(ENTRY, name="other")], RELEASES)) == []


@pytest.mark.parametrize(
    ("verdict", "agreeing"),
    [(Verdict.KNOWN, 1), (Verdict.UNSUPPORTED, 1), (Verdict.ERROR, 0), (Verdict.DIVERGES, 0)],
)
def test_a_release_whose_cases_fail_otherwise_is_in_neither(verdict, agreeing):
    cases = [CaseResult("lstm-a", Verdict.AGREES), CaseResult("lstm-b", verdict)]
    other = CaseResult("gru-a", Verdict.ERROR)
    assert _agreeing([ENTRY], [*cases, other]).get("swap", 0) == agreeing


def test_there_are_stored_histories():
    assert STORED


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stated_ranges_are_those_of_the_stored_history(path):
    history = history_store.load(path)
    entries = read_known(default_folder() / KNOWN)
    found = list(occurrences(history.package, entries, history.releases))
    assert found
    assert [each for each in found if each.contradicts] == []
