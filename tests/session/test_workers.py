"""Worker processes: one that dies or hangs costs only its case."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from _support.command_line import own_package

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.session import workers
from rnnparity.session.judging import judge_outcome
from rnnparity.session.outcome import error_line
from rnnparity.session.workers import Workers

PLAIN = ["lstm-spread-last", "lstm-spread-state", "lstm-spread-sequences"]
INITIAL = ["lstm-spread-last-initial", "lstm-spread-state-initial"]
MORE = ["gru-spread-last-initial", "gru-spread-state-initial", "simple_rnn-spread-last-initial"]
MIXED = [PLAIN[0], INITIAL[0], PLAIN[1], INITIAL[1], PLAIN[2]]


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(own_package(tmp_path))


def outcomes(name, cases, count=1, timeout_s=60.0):
    """Return the outcomes of cases by id, in the order in which they came in."""
    with Workers(f"own.functions:{name}", count, timeout_s) as workers:
        workers.versions()
        return {
            outcome.problem.id: outcome
            for outcome in workers.run([[catalogue()[case]] for case in cases])
        }


def assert_right(outcome):
    assert not outcome.error
    for given, golden in zip(outcome.answer.outputs, golden_outputs(outcome.problem), strict=True):
        np.testing.assert_array_equal(given.data, golden.data, strict=True)


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_dies_costs_its_case_only(count):
    found = outcomes("dies_with_initial_states", MIXED, count)
    assert set(found) == set(MIXED)
    for case in PLAIN:
        assert_right(found[case])
    for case in INITIAL:
        assert (found[case].answer, found[case].error) == (
            None,
            "worker died with exit status 3",
        )
        assert judge_outcome(found[case]).verdict is Verdict.ERROR


def test_the_signal_that_killed_a_worker_is_reported():
    assert outcomes("crashes", PLAIN[:1])[PLAIN[0]].error == "worker died by SIGSEGV"


def test_a_worker_that_hangs_costs_its_case_only():
    begun = time.monotonic()
    found = outcomes("hangs_with_initial_states", [PLAIN[0], INITIAL[0], PLAIN[1]], timeout_s=5.0)
    assert time.monotonic() - begun < 60
    assert_right(found[PLAIN[0]])
    assert_right(found[PLAIN[1]])
    assert found[INITIAL[0]].error == "timed out after 5 s; worker killed"


@pytest.mark.parametrize(("limit", "processes"), [(2**40, 1), (1, 3)])
def test_a_worker_with_too_much_memory_is_replaced(monkeypatch, limit, processes):
    monkeypatch.setattr(workers, "MEMORY_LIMIT", limit)
    with Workers("own.functions:right", 1) as pool:
        pool.versions()
        seen = set()
        for outcome in pool.run([[catalogue()[case]] for case in PLAIN]):
            assert_right(outcome)
            assert 2**24 < outcome.memory < 2**31
            seen |= set(pool.pools[0]._processes)
    assert len(seen) == processes


@pytest.mark.parametrize("count", [1, 2])
def test_the_rest_is_skipped_after_consecutive_timeouts(monkeypatch, count):
    monkeypatch.setattr(workers, "PATIENCE", 2)
    begun = time.monotonic()
    found = outcomes(
        "hangs_with_initial_states", [PLAIN[0], *INITIAL, *MORE, *PLAIN[1:]], count, timeout_s=5.0
    )
    assert time.monotonic() - begun < 60
    errors = [outcome.error for outcome in found.values()]
    timeouts = [error for error in errors if error == "timed out after 5 s; worker killed"]
    assert (len(errors), len(timeouts) >= 2) == (8, True)
    assert_right(found[PLAIN[0]])
    assert found[PLAIN[2]].error == "skipped after 2 consecutive timeouts"


def test_a_worker_that_dies_between_two_cases_costs_none():
    with Workers("own.functions:right", 1) as workers:
        workers.versions()
        coming = workers.run([[catalogue()[case]] for case in PLAIN])
        found = [next(coming)]
        (process,) = workers.pools[0]._processes.values()
        end = time.monotonic() + 60
        while not workers.pools[0]._work_ids.empty() or workers.pools[0]._pending_work_items:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        while not workers.pools[0]._broken:
            assert time.monotonic() < end
            time.sleep(0.01)
        found += coming
    assert [outcome.problem.id for outcome in found] == PLAIN
    for outcome in found:
        assert_right(outcome)


def test_a_subject_that_exits_does_not_end_the_run():
    found = outcomes("exits", PLAIN[:2])
    assert all(
        re.fullmatch(r"SystemExit: 0 \(.*functions\.py, line \d+\)", o.error)
        for o in found.values()
    )


def test_outputs_of_a_function_are_named_or_refused():
    assert_right(outcomes("named", PLAIN[1:2])[PLAIN[1]])
    numbered = outcomes("numbered", PLAIN[1:2])[PLAIN[1]]
    assert [tensor.name for tensor in numbered.answer.outputs] == ["0", "1", "2"]
    verdict = judge_outcome(numbered)
    (difference,) = verdict.differences
    assert (difference.type, difference.actual) == ("names", ("0", "1", "2"))
    more = outcomes("one_more", PLAIN[:1])[PLAIN[0]]
    assert [tensor.name for tensor in more.answer.outputs] == ["output", "extra_1"]
    assert outcomes("unsupported", PLAIN[:1])[PLAIN[0]].unsupported == "not today"
    assert outcomes("raises", PLAIN[:1])[PLAIN[0]].error.startswith("ValueError: no such gate (")
    assert outcomes("nothing", PLAIN[:1])[PLAIN[0]].error.startswith(
        "TypeError: returned None, expected outputs"
    )
    assert outcomes("imaginary", PLAIN[:1])[PLAIN[0]].error.startswith(
        "TypeError: output: got an array of complex numbers, expected real numbers"
    )


SCRIPT = """
import rnnparity
print("once")
print(rnnparity.check("own.functions:right", k="lstm-spread-last-initial").passed)
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    """A spawned process imports the main module again unless it is hidden."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["once", "True"]


def test_leaving_the_context_kills_the_processes():
    with Workers("own.functions:right", 2) as workers:
        workers.versions()
        processes = [process for pool in workers.pools for process in pool._processes.values()]
        assert all(process.is_alive() for process in processes)
    assert len(processes) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_a_worker_that_dies_while_loading_is_reported(tmp_path):
    (tmp_path / "own" / "deadly.py").write_text("import os\nos._exit(1)\n")
    with (
        Workers("own.deadly:run", 1) as workers,
        pytest.raises(RequestError, match=r"subject 'own\.deadly:run': worker died while loading"),
    ):
        workers.versions()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\n b"), "ValueError: a"),
        (ValueError("\n\n  b  \nc"), "ValueError: b"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError: "),
        (
            ValueError(
                "Exception encountered when calling LSTM.call().\n\n\x1b[1mno gate\x1b[0m\n"
            ),
            "ValueError: no gate",
        ),
        (ValueError("x" * 1000), "ValueError: " + "x" * 288),
        (
            ValueError("{{function_node __wrapped__Add_device_/job:a/CPU:0}} b c [Op:Add] name: d"),
            "ValueError: b c",
        ),
    ],
)
def test_an_exception_is_reported_in_one_line(error, text):
    assert error_line(error) == text


def test_outputs_keep_their_dtypes():
    (output, *_) = outcomes("integers", PLAIN[:1])[PLAIN[0]].answer.outputs
    assert isinstance(output, Tensor)
    assert output.dtype == "int64"


def test_a_worker_sends_no_exception_of_its_framework():
    problem = catalogue()["lstm-spread-last"]
    with Workers("_support.subject_functions:raises", 1) as workers:
        (outcome,) = workers.run([[problem]])
    assert outcome.error.startswith("ValueError: no such gate")
    assert outcome.exception is None
