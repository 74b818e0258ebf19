"""A program of any language: problem files in on its standard input, one JSON a line; answers back
the same way.

An answer is an object with the problem's `id` and its `outputs`, or `unsupported` or `error` with a
reason. The program is started once and asked many times; one that ends is started again for the
next case.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from time import perf_counter
from typing import IO, Any

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.file_format import dump_line, load_json, parse_answer
from rnnparity.problem.problem import Problem

PREFIX = "cmd:"
# So many lines that are no answer are passed over, to find the one that is.
NOISE = 100


class ProgramError(Exception):
    """The program gave no answer that can be read."""


def make(command: str) -> Subject:
    """The subject `cmd:COMMAND`.

    Raises:
        RequestError: the words are no command, or there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise RequestError(f"subject {PREFIX + command!r}: {error}") from None
    if not words:
        raise RequestError(f"subject {PREFIX!r}: names no program; write {PREFIX}./engine")
    if shutil.which(words[0]) is None:
        raise RequestError(
            f"subject {PREFIX + command!r}: there is no program {words[0]!r} that can be run"
        )
    return CommandSubject(words)


class CommandSubject:
    """The running program; its standard error is kept to say why it ended."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.process: subprocess.Popen[bytes] | None = None
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the program may run

    def versions(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """End the program; a worker that ends does so by itself."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.errors.close()

    def answer(self, problem: Problem) -> Answer:
        start = perf_counter()
        fields, noise = self._ask(problem)
        named, outputs, unsupported, error = parse_answer(fields, "its answer")
        if named != problem.id:
            self._start_anew()
            raise ProgramError(f"it answered {named!r:.60} when asked for {problem.id!r:.60}")
        if unsupported:
            raise Unsupported(unsupported)
        if error or outputs is None:
            raise ProgramError(error or "its answer has neither outputs nor a reason why not")
        if noise:
            raise ProgramError(
                f"it printed {noise!r:.60} among its answers: standard output is for one JSON a line"
            )
        return Answer(outputs, seconds=perf_counter() - start)

    def _start_anew(self) -> None:
        """What it still has to say may be of cases that are past."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _ask(self, problem: Problem) -> tuple[Any, str]:
        """The next line that is an object, and the first that was none."""
        process = self._running()
        evidence, replies = process.stdin, process.stdout
        if evidence is None or replies is None:
            raise ProgramError("it has no standard input or output")
        try:
            evidence.write(dump_line(problem).encode() + b"\n")
            evidence.flush()
        except (BrokenPipeError, OSError):
            raise ProgramError(self._why_ended()) from None
        noise = ""
        for _ in range(NOISE):
            line = replies.readline()
            if not line.endswith(b"\n"):
                cut = f", in the middle of a line: {line[:40]!r}" if line else ""
                raise ProgramError(self._why_ended() + cut)
            if line.lstrip().startswith(b"{"):
                try:
                    return load_json(line, "its answer"), noise
                except FormatError as error:
                    self._start_anew()
                    raise ProgramError(str(error)) from None
            noise = noise or line.decode(errors="replace").strip()
        raise ProgramError(f"it printed {NOISE} lines and no answer, first {noise!r:.60}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.errors.seek(0)
            self.errors.truncate()
            self.process = subprocess.Popen(  # noqa: S603 - the user's own command
                self.words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                preexec_fn=_end_with_us if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads but ours
            )
        return self.process

    def _why_ended(self) -> str:
        """How the program ended, and the last thing that it had to say."""
        if self.process is None:
            return "it does not run"
        try:
            status = self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "it closed its standard output and went on"
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]:.160}" if lines else ""
        how = (
            f"was ended by {signal.Signals(-status).name}"
            if status < 0
            else f"ended with exit status {status}"
        )
        return f"it {how}{last}"


def _end_with_us() -> None:
    """A worker that is killed, because a case has hung, shall take the program with it (prctl's
    PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
