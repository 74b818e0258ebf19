"""Runs of commands in a copy of the checkout that holds one mutant at a time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from validation.mutants.draw import Mutant

CHECKOUT = Path(__file__).parents[3]
# The same as an environment without them: importing a module that is None fails.
BLOCKER = """import sys
names = "tensorflow keras tf_keras torch jax onnx onnxruntime onnxscript tf2onnx openvino ai_edge_litert"
sys.modules.update(dict.fromkeys(names.split()))
"""
MEMORY = 8 * 2**30  # bytes of address space of a process


class Workshop:
    """A folder with a copy of the checkout in which commands run."""

    def __init__(self, folder: Path) -> None:
        self.work, self.plugins = folder / "checkout", folder / "plugins"
        self.plugins.mkdir()
        (self.plugins / "sitecustomize.py").write_text(BLOCKER)
        unwanted = shutil.ignore_patterns(".?*", "__pycache__", "*.egg-info", "dist", "build")
        shutil.copytree(CHECKOUT, self.work, ignore=unwanted, symlinks=True)

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

        A process that takes more than `limit` seconds of CPU, or the run five times as much, fails.
        """
        failed = self.work / ".pytest_cache" / "v" / "cache" / "lastfailed"
        if "--last-failed" not in command:
            failed.unlink(missing_ok=True)
        process = subprocess.Popen(
            ["prlimit", f"--cpu={limit}", f"--as={MEMORY}", *command],
            cwd=self.work,
            env=self.environment(frameworks),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        try:
            status = process.wait(5 * limit)
        except subprocess.TimeoutExpired:
            return ["timed out"]
        finally:
            end(process)
        if status and failed.exists():
            return sorted(json.loads(failed.read_text()))
        return [f"exit status {status}"] if status else []

    def environment(self, frameworks: bool) -> dict[str, str]:
        """Return the variables of a run: the copy first on the path, one thread, no chance."""
        plugins = [] if frameworks else [self.plugins]
        paths = [self.work, self.work / "tests", *plugins, os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONHASHSEED": "0",
        }


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
