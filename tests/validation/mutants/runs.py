"""Runs of commands in a copy of the checkout that holds one mutant at a time."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from validation.mutants.draw import Mutant

CHECKOUT = Path(__file__).parents[3]
# The same as an environment without them: importing a module that is None fails.
BLOCKER = """import sys
names = "tensorflow keras tf_keras torch jax onnx onnxruntime onnxscript tf2onnx openvino ai_edge_litert"
sys.modules.update(dict.fromkeys(names.split()))
"""
# What every run imports: it is imported once, and the runs are forks of this process.
SHARED = ("hypothesis", "jinja2", "ml_dtypes", "numpy", "pydantic", "pytest", "typer")
MEMORY = 8 * 2**30  # bytes of address space of a process


class Workshop:
    """A folder with a copy of the checkout in which commands run."""

    def __init__(self, folder: Path) -> None:
        self.work, self.plugins = folder / "checkout", folder / "plugins"
        self.plugins.mkdir()
        (self.plugins / "sitecustomize.py").write_text(BLOCKER)
        unwanted = shutil.ignore_patterns(".?*", "__pycache__", "*.egg-info", "dist", "build")
        shutil.copytree(CHECKOUT, self.work, ignore=unwanted, symlinks=True)
        for name in SHARED:
            import_module(name)

    @contextlib.contextmanager
    def edited(self, mutant: Mutant) -> Iterator[None]:
        """Hold the mutant in the copy for as long as the context lasts."""
        path = self.work / mutant.file
        path.write_bytes(mutant.apply(path.read_bytes()))
        try:
            yield
        finally:
            shutil.copy2(CHECKOUT / mutant.file, path)

    def failures(self, command: Sequence[str], limit: int, frameworks: bool) -> list[str]:
        """Return the tests that fail, or the exit status of a command that fails without a test.

        The command is a module and its arguments. A process that takes more than `limit` seconds
        of CPU, or the run five times as much, fails.
        """
        failed = self.work / ".pytest_cache" / "v" / "cache" / "lastfailed"
        if "--last-failed" not in command:
            failed.unlink(missing_ok=True)
        process = os.fork()
        if not process:
            self.become(command, limit, frameworks)
        status = wait(process, 5 * limit)
        if status and failed.exists():
            return sorted(json.loads(failed.read_text()))
        return [f"exit status {status}"] if status else []

    def become(self, command: Sequence[str], limit: int, frameworks: bool) -> None:
        """Run a command in this process, and end it."""
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(self.work)
        for stream in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        paths = [str(self.work), str(self.work / "tests")]
        if not frameworks:
            paths.append(str(self.plugins))
            exec(BLOCKER)  # noqa: S102 - what sitecustomize.py does in the processes that it starts
        sys.path[:0] = paths
        os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
        sys.argv = [*command]
        status: object = 1
        try:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code
        finally:
            os._exit(status if isinstance(status, int) else int(status is not None))


def wait(process: int, seconds: float) -> int:
    """Return the exit status of a process; end it, and all that it started, after some time."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
