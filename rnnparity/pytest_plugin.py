"""The pytest plugin: the fixture `rnn_case` and the marker `rnn_cases`.

In another project, this compares every case of the catalogue with a function:

    from mylib import my_rnn

    def test_keras_parity(rnn_case):
        rnn_case.assert_parity(my_rnn)

`@pytest.mark.rnn_cases("lstm and not mask:interior")` selects cases as `rnnparity check -k` does.
Nothing heavy is imported before the fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rnnparity.testing import PytestRun, RnnCase

_RUN: pytest.StashKey[PytestRun] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "rnn_cases(expression): select the cases of the catalogue for `rnn_case`"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test with the selected cases; the ids of the cases are those of the tests."""
    if "rnn_case" not in metafunc.fixturenames:
        return
    from rnnparity.problem.errors import RequestError
    from rnnparity.testing import selected_ids

    marker = metafunc.definition.get_closest_marker("rnn_cases")
    try:
        ids = selected_ids(str(marker.args[0]) if marker and marker.args else "")
    except RequestError as error:
        pytest.fail(f"{metafunc.definition.nodeid}: {error}", pytrace=False)
    metafunc.parametrize("rnn_case", ids, ids=ids, indirect=True)


@pytest.fixture
def rnn_case(request: pytest.FixtureRequest) -> RnnCase:
    """Return one case of the catalogue; see `rnnparity.testing.RnnCase`."""
    from rnnparity.testing import PytestRun, RnnCase

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
