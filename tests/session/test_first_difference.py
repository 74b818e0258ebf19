"""The first release that differs is found in few runs, without installing any here."""

from pathlib import Path

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict
from rnnparity.session import first_difference as module
from rnnparity.session.first_difference import first_difference
from rnnparity.session.releases import Release

PROBLEM = catalogue()["lstm-spread-last"]
# As many as Keras has minor versions from 3.0 to 3.15.
VERSIONS = [f"3.{minor}" for minor in range(16)]


def found(monkeypatch, changed):
    """The result for a subject that is wrong from that release on, and the releases that were run."""

    def answered(problem, subject, expected, known, timeout_s, release):
        wrong = VERSIONS.index(release.version) >= changed
        verdict = Verdict.DIVERGES if wrong else Verdict.AGREES
        return module._Answered(CaseResult(problem.id, verdict), ())

    monkeypatch.setattr(module, "_answered", answered)
    ran = []

    def install(version):
        return Release("framework", version, Path("nowhere"))

    result = first_difference(PROBLEM, "subject", VERSIONS, install, tried=ran.append)
    return result, [each.version for each in ran]


@pytest.mark.parametrize("changed", range(1, 16))
def test_a_planted_change_among_sixteen_releases_is_found_in_four_runs(monkeypatch, changed):
    result, ran = found(monkeypatch, changed)
    assert result.first.version == VERSIONS[changed]
    assert result.last.version == VERSIONS[changed - 1]
    assert ran[:2] == [VERSIONS[0], VERSIONS[-1]]
    assert len(ran[2:]) <= 4
    assert len(set(ran)) == len(ran)


def test_releases_that_all_compute_the_same_are_refused(monkeypatch):
    with pytest.raises(RequestError, match=r"3\.15 computes what 3\.0 does"):
        found(monkeypatch, 99)
