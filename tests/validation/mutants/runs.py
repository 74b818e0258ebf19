"""Runs of pytest in copies of the checkout, without frameworks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from validation.mutants.draw import Mutant

CHECKOUT = Path(__file__).parents[3]
# The same as an environment without them: importing a module that is None fails.
BLOCKER = """import sys
names = "tensorflow keras tf_keras torch jax onnx onnxruntime onnxscript tf2onnx openvino ai_edge_litert"
sys.modules.update(dict.fromkeys(names.split()))
"""
START_SECONDS = 60.0  # of wall time, for pytest to start and to collect
COLLECTION_SECONDS = 300.0
LIMIT_FACTOR = 10.0  # wall time allowed over CPU time on healthy code
MEMORY = 6 * 2**30  # bytes of address space per process

PYTEST = [
    *(sys.executable, "-m", "pytest", "-q", "-n", "0", "--tb=no", "--no-summary"),
    *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "validation.mutants.recorder"),
    "--hypothesis-seed=0",
]

Seconds = dict[str, float]  # CPU time by test


@dataclass(frozen=True)
class Outcome:
    """The tests that passed, with their CPU time, and what failed: a test, a file or pytest itself."""

    passed: Seconds
    failure: str


class Workshop:
    """A folder with a clean copy of the checkout, copies for the mutants, and the running tests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clean = folder, folder / "clean"
        self.running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        (folder / "plugins").mkdir()
        (folder / "plugins" / "sitecustomize.py").write_text(BLOCKER)
        unwanted = shutil.ignore_patterns(".?*", "__pycache__", "*.egg-info", "dist", "build")
        shutil.copytree(CHECKOUT, self.clean, ignore=unwanted, symlinks=True)
        # Collecting the tests compiles all modules, for every copy.
        self.run(self.clean, ["--collect-only"], COLLECTION_SECONDS)

    @contextlib.contextmanager
    def copy(self, mutant: Mutant | None = None) -> Iterator[Path]:
        """Yield a new copy of the checkout, with the mutant's edit, and remove it afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as folder:
            work = Path(folder) / "checkout"
            shutil.copytree(self.clean, work, symlinks=True)
            if mutant:
                path = work / mutant.file
                path.write_bytes(mutant.apply(path.read_bytes()))
                for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                    compiled.unlink()
            yield work

    def run_tests(self, work: Path, tests: Seconds) -> Outcome:
        """Run tests in a copy of the checkout until one fails."""
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        limit = START_SECONDS + LIMIT_FACTOR * sum(tests.values())
        return self.run(work, ["-x", *files], limit, tests)

    def run(
        self, work: Path, arguments: Sequence[str], limit: float, selection: Seconds | None = None
    ) -> Outcome:
        """Run pytest in a copy of the checkout for at most `limit` seconds of wall time."""
        if self.stopped:
            raise InterruptedError
        record = work.parent / "record"
        record.write_text("")
        (work.parent / "selection").write_text(json.dumps(selection))
        process = subprocess.Popen(
            [*PYTEST, *arguments],
            cwd=work,
            env=environment(work, self.folder / "plugins"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self.running.add(process)
        try:
            status = process.wait(limit)
            ending = "" if status in {0, 5} else f"pytest: exit status {status}"
        except subprocess.TimeoutExpired:
            ending = "pytest: timed out"
        finally:
            end(process)
            self.running.discard(process)
        if self.stopped:
            raise InterruptedError
        return read_record(record, ending)

    def stop(self) -> None:
        """End the running tests and start no others."""
        self.stopped = True
        for process in list(self.running):
            end(process)


def environment(work: Path, plugins: Path) -> dict[str, str]:
    """Return the variables of a test run: the copy first on the path, one thread, no chance."""
    paths = [str(work), str(work / "tests"), str(plugins), os.environ.get("PYTHONPATH", "")]
    variables = {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "TMPDIR": str(work.parent),
        "MUTANT_RECORD": str(work.parent / "record"),
        "MUTANT_SELECTION": str(work.parent / "selection"),
    }
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables


def read_record(record: Path, ending: str) -> Outcome:
    """Return what the recorder wrote; `ending` is the failure where no test failed."""
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    failed = [test for test, outcome, _ in lines if outcome == "failed"]
    passed = {test: seconds for test, outcome, seconds in lines if outcome == "passed"}
    return Outcome(passed, failed[0] if failed else ending)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
