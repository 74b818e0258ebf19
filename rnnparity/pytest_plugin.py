"""The pytest plugin: the fixture `rnn_case` and the marker `rnn_cases`.

In another project, this compares a function with the core set of cases:

    from mylib import my_rnn

    def test_keras_parity(rnn_case):
        rnn_case.assert_parity(my_rnn)

`@pytest.mark.rnn_cases("lstm and not mask:interior")` selects of all cases, as
`rnnparity check -k` does; `pytest --rnn-full` takes all of them.
Failures are grouped by their cause at the end of the run; the reports of failed tests, in JUnit's
XML too, have the properties `rnnparity_cause`, `rnnparity_finding`, `rnnparity_group`, `rnnparity_fix`
and `rnnparity_command`, also those of `assert_parity`.
A run in which every case is skipped has compared nothing and is not a pass: pytest's exit status is
then 5, as where no test was collected. Nothing heavy is imported before the fixture is used.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rnnparity.session.pytest_run import PytestRun
    from rnnparity.testing import RnnCase

_RUN: pytest.StashKey[PytestRun] = pytest.StashKey()
# Properties of a test's report: that it used `rnn_case`, the group of its cause, and the fix.
_CASE, _GROUP, _FIX = "rnn_case", "rnnparity_group", "rnnparity_fix"


class _Comparisons:
    """Whether tests with `rnn_case` ran, and one compared, and the causes of failed tests.

    Workers of pytest-xdist report theirs.
    """

    def __init__(self) -> None:
        self.ran = False
        self.compared = False
        self.causes: Counter[str] = Counter()
        self.fixes: dict[str, str] = {}

    @property
    def missing(self) -> bool:
        return self.ran and not self.compared

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        properties = {name: str(value) for name, value in report.user_properties}
        if _CASE in properties:
            self.ran = True
            self.compared |= not report.skipped or hasattr(report, "wasxfail")
        if report.failed and _GROUP in properties:
            cause = properties[_GROUP]
            self.causes[cause] += 1
            if _FIX in properties:
                self.fixes.setdefault(cause, properties[_FIX])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.causes:
            terminalreporter.section("failures by cause")
        for cause, count in self.causes.most_common():
            tests = f"{count} test{'s' if count != 1 else ''}"
            terminalreporter.write_line(f"{tests}: {cause}")
            if cause in self.fixes:
                terminalreporter.write_line(f"  fix: {self.fixes[cause]}")
        if self.missing:
            terminalreporter.write_line("rnnparity: nothing was compared: every case was skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for all cases."""
    parser.getgroup("rnnparity").addoption(
        "--rnn-full", action="store_true", help="run all cases instead of the core set"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and what notices a run without a comparison."""
    config.pluginmanager.register(_Comparisons())
    config.addinivalue_line(
        "markers", "rnn_cases(expression): select the cases of the catalogue for `rnn_case`"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test with the selected cases; the ids of the cases are those of the tests."""
    marker = metafunc.definition.get_closest_marker("rnn_cases")
    if "rnn_case" not in metafunc.fixturenames:
        if marker in metafunc.definition.own_markers:
            reason = "has the marker rnn_cases, but no argument rnn_case: nothing would be compared"
            pytest.fail(f"{metafunc.definition.nodeid}: {reason}", pytrace=False)
        return
    from rnnparity.problem.errors import RequestError
    from rnnparity.testing import selected_ids

    full = metafunc.config.getoption("rnn_full")
    try:
        ids = selected_ids(str(marker.args[0]) if marker and marker.args else "", full)
    except RequestError as error:
        pytest.fail(f"{metafunc.definition.nodeid}: {error}", pytrace=False)
    metafunc.parametrize("rnn_case", ids, ids=ids, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the cause of a failed comparison, its fixes and the command to the properties of the test."""
    testing = sys.modules.get("rnnparity.testing")
    if testing and call.when == "call" and call.excinfo:
        case = getattr(item, "funcargs", {}).get("rnn_case")
        error = call.excinfo.value
        failure = error if isinstance(error, testing.ParityError) else case and case.failure
        found = testing.properties(failure) if failure else []
        item.user_properties += [(f"rnnparity_{name}", text) for name, text in found]
    return (yield)


@pytest.fixture
def rnn_case(request: pytest.FixtureRequest) -> RnnCase:
    """Return one case of the catalogue; see `rnnparity.testing.RnnCase`."""
    from rnnparity.session.pytest_run import PytestRun
    from rnnparity.testing import RnnCase

    request.node.user_properties.append((_CASE, request.param))
    stash = request.config.stash
    if _RUN not in stash:
        stash[_RUN] = PytestRun(_collected_cases(request.session.items))
    return RnnCase(request.param, stash[_RUN])


def _collected_cases(items: list[pytest.Item]) -> list[str]:
    """Return the ids of the cases that the collected tests use, in their order."""
    cases: dict[str, None] = {}
    for item in items:
        callspec = getattr(item, "callspec", None)
        case = callspec.params.get("rnn_case") if callspec else None
        if case:
            cases[case] = None
    return list(cases)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the worker processes."""
    if _RUN in config.stash:
        config.stash[_RUN].close()
