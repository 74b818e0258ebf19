"""Fuzzing on a cluster of dask.distributed: the counts of one machine, whatever happens to workers."""

from dataclasses import replace
from pathlib import Path

import pytest
from _support.command_line import environment, own_package

from rnnparity import __version__
from rnnparity.problem.errors import RequestError
from rnnparity.report.stored.fuzz import StoredLog, load_runs
from rnnparity.session import cluster
from rnnparity.session.block import Block
from rnnparity.session.cluster import fuzz_on_cluster
from rnnparity.session.fuzz import FuzzRun, fuzz

distributed = pytest.importorskip("distributed")
# Of dask: what its processes leave when they end, or are killed, is not what is tested.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SEEDS = range(3)

# The first time that the problem is asked, the cluster's worker is killed: the parent of the
# process of the block, which is the parent of the subject's own.
SUBJECT = """
import os, signal
from pathlib import Path
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.reference import compute

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def healthy(problem):
    pairs = zip(problem.output_slots(), compute(problem), strict=True)
    return [FLOAT_TYPES[slot.dtype].round(tensor.data) for slot, tensor in pairs]

def wrong_once(problem):
    return [] if problem.id == "fuzz-2-1" else healthy(problem)

def kills(problem):
    mark = Path(__file__).with_name("killed")
    if problem.id == "fuzz-1-1" and not mark.exists():
        mark.write_text(str(os.getppid()))
        os.kill(parent(os.getppid()), signal.SIGKILL)
    return wrong_once(problem)

def ends_the_block(problem):
    os.kill(os.getppid(), signal.SIGKILL)
    return []
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = own_package(tmp_path_factory.mktemp("subjects"))
    (folder / "own" / "failing.py").write_text(SUBJECT)
    return folder


@pytest.fixture(scope="module")
def local_cluster(folder):
    """A cluster of two workers, in processes of their own that a nanny restarts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment(folder)["PYTHONPATH"])
        patch.syspath_prepend(folder)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as started:
            yield started


@pytest.fixture
def address(local_cluster):
    return local_cluster.scheduler_address


def ended(pid):
    """Whether a process has ended: that of a block ends with the worker that started it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="module")
def expected(local_cluster):
    """The counts of one machine."""
    return fuzz("own.failing:wrong_once", SEEDS)


def test_a_cluster_gives_the_table_of_one_machine(address, expected, tmp_path):
    run = fuzz_on_cluster(address, "own.failing:wrong_once", SEEDS, log=StoredLog(tmp_path / "a"))
    (read,) = load_runs([tmp_path / "a"])
    assert run == read == expected
    for tally in (run.tally, read.tally):
        assert tally.summaries() == expected.tally.summaries()
        assert tally.failing == expected.tally.failing
    assert run.tally.failures == 1


def test_a_worker_that_is_killed_loses_nothing(address, expected, folder):
    run = fuzz_on_cluster(address, "own.failing:kills", SEEDS)
    assert ended(int((folder / "own" / "killed").read_text()))
    assert run.tally.summaries() == expected.tally.summaries()
    assert run.tally.failing == expected.tally.failing


def test_a_run_that_was_interrupted_is_continued(address, expected, tmp_path, monkeypatch):
    path, asked, shown = tmp_path / "run.jsonl", [], []

    def interrupt(*_):
        raise KeyboardInterrupt

    def run(progress=None):
        log = StoredLog(path)
        return fuzz_on_cluster(address, "own.failing:wrong_once", SEEDS, 60, progress, log=log)

    monkeypatch.setattr(cluster, "Block", lambda *a: asked.append(a[1]) or Block(*a))
    first = run(interrupt)
    assert (first.interrupted, first.tally.problems) == (True, 8)
    assert load_runs([path])[0].tally.problems == 8
    run(lambda *arguments: shown.append(arguments[1:3]))
    assert (len(asked[1]), shown) == (2, [(16, 24), (24, 24)])
    complete = path.read_bytes()
    assert load_runs([path])[0].tally.summaries() == expected.tally.summaries()
    run()
    assert path.read_bytes() == complete


def test_a_subject_that_a_worker_cannot_load_is_reported(address, folder, monkeypatch):
    elsewhere = folder / "here"
    elsewhere.mkdir()
    (elsewhere / "only_here.py").write_text("def f(problem): ...")
    monkeypatch.syspath_prepend(elsewhere)
    with pytest.raises(RequestError, match=r"on the cluster: .*No module named 'only_here'"):
        fuzz_on_cluster(address, "only_here:f", SEEDS)


def test_a_block_whose_process_dies_is_reported(address, folder):
    with pytest.raises(
        RequestError, match=r"died with exit status -9; see the logs of the cluster"
    ):
        fuzz_on_cluster(address, "own.failing:ends_the_block", SEEDS)


@pytest.mark.parametrize("what", ["versions", "rnnparity", "precision"])
def test_workers_that_run_something_else_are_refused(what):
    run = FuzzRun("s", {}, (0, 0), rnnparity=__version__)
    cluster._check_same(run, run)
    with pytest.raises(RequestError, match=f"on the cluster: {what} of two workers differ"):
        cluster._check_same(replace(run, **{what: "other"}), run)


def test_workers_with_another_release_of_rnnparity_are_refused():
    run = FuzzRun("s", {}, (0, 0), rnnparity="0.0")
    with pytest.raises(RequestError, match=r"rnnparity: got 0\.0, expected .* as here"):
        cluster._check_same(run, run)


def test_a_cluster_that_is_missing_costs_one_line(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(RequestError, match=r"--dask tcp://127\.0\.0\.1:9: OSError: "):
        fuzz_on_cluster("tcp://127.0.0.1:9", "reference", SEEDS)
    with pytest.raises(RequestError, match="--dask no-such-protocol://x: ValueError: "):
        fuzz_on_cluster("no-such-protocol://x", "reference", SEEDS)


def test_a_cluster_without_workers_is_reported(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
        pytest.raises(RequestError, match="TimeoutError: "),
    ):
        fuzz_on_cluster(empty.scheduler_address, "reference", SEEDS)
