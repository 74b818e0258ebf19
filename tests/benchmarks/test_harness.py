"""The harness itself: start-up, goldens a second, verdicts a second and what of it is not the
subject's."""

import subprocess
import sys
from time import perf_counter

import pytest
from contenders import LeftOutError, needs
from problems import SIZES, make_problem, name_of

from conftest import Timed, left_out_key
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.reference import compute, compute_with_noise, trace
from rnnparity.session.check import check
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.session import open_session

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
COMMANDS = {
    "import numpy": ("-c", "import numpy"),
    "rnnparity --help": ("-m", "rnnparity", "--help"),
    "pytest with the plugin": PYTEST,
    "pytest without it": (*PYTEST, "-p", "no:rnnparity"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_start_up(block, command, record, tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    arguments = [sys.executable, *COMMANDS[command]]

    def call():
        subprocess.run(arguments, check=True, capture_output=True, cwd=tmp_path)

    record(Timed(call, once=1), "harness", "start-up", command, block)


@pytest.mark.parametrize("size", SIZES[:3], ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("how", ["plain", "with trace", "with noise"])
def test_noise_and_trace(size, how, block, record):
    """What they add to a pass, the making ready included: at most twice its time again is
    wanted."""
    problem = make_problem("LSTM", size)
    call = {"plain": compute, "with trace": trace, "with noise": compute_with_noise}[how]
    record(
        Timed(lambda: call(problem)),
        "harness",
        f"reference {name_of('LSTM', size)}",
        f"reference {how}",
        block,
    )


def test_goldens(block, record):
    """The catalogue's goldens against the reference, no framework."""

    def call():
        assert check("reference").passed

    record(
        Timed(call, once=1), "harness", "goldens", "check reference", block, count=len(catalogue())
    )


@pytest.fixture(scope="module")
def session(request):
    try:
        needs("tensorflow")
    except LeftOutError as error:
        request.config.stash[left_out_key]["tf.keras eager", "verdicts"] = str(error)
        pytest.skip(str(error))
    with one_blas_thread(), open_session("keras") as session:
        assert session.versions
        yield session


def test_verdicts(session, block, record, request, benchmark):
    """One worker; the reference, its noise and the comparison are in the time, TensorFlow's import
    is not."""
    cases = [catalogue()[id_] for id_ in core()]
    cases = cases[:60] if request.config.getoption("--quick") else cases

    def call():
        start, inside = perf_counter(), 0.0
        for outcome in session.ask_all(cases):
            session.judge(outcome)
            inside += outcome.answer.seconds if outcome.answer else 0.0
        benchmark.extra_info["outside"] = 1 - inside / (perf_counter() - start)

    if block == 0:  # layers are built and weights are set for the first time
        call()
    record(Timed(call, once=1), "harness", "verdicts", "check keras", block, count=len(cases))
