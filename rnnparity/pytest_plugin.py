"""The pytest plugin: hooks and the fixture `rnn_case`, nothing else. Nothing heavy is imported
before it is used.

In another project, the whole catalogue against a subject of its own:

    from mylib import my_rnn

    def test_keras_parity(rnn_case):
        rnn_case.assert_parity(my_rnn)

`@pytest.mark.rnn_cases("lstm and not mask:interior")` chooses cases as `rnnparity check -k` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rnnparity.testing import RnnCase, Sessions

_SESSIONS: pytest.StashKey[Sessions] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "rnn_cases(expression): which cases of the catalogue `rnn_case` goes through"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a case, its id the case's own."""
    if "rnn_case" not in metafunc.fixturenames:
        return
    from rnnparity.problem.errors import RequestError
    from rnnparity.testing import chosen_ids

    marker = metafunc.definition.get_closest_marker("rnn_cases")
    try:
        ids = chosen_ids(str(marker.args[0]) if marker and marker.args else "")
    except RequestError as error:
        pytest.fail(f"{metafunc.definition.nodeid}: {error}", pytrace=False)
    metafunc.parametrize("rnn_case", ids, ids=ids, indirect=True)


@pytest.fixture
def rnn_case(request: pytest.FixtureRequest) -> RnnCase:
    """One case of the catalogue; see `rnnparity.testing.RnnCase`."""
    from rnnparity.testing import RnnCase, Sessions

    stash = request.config.stash
    if _SESSIONS not in stash:
        asked = [
            item.callspec.params.get("rnn_case")
            for item in request.session.items
            if hasattr(item, "callspec")
        ]
        stash[_SESSIONS] = Sessions(list(dict.fromkeys(case for case in asked if case)))
    return RnnCase(request.param, stash[_SESSIONS])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the worker processes."""
    if _SESSIONS in config.stash:
        config.stash[_SESSIONS].close()
