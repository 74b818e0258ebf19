"""A program in any language as a subject: `cmd:PROGRAM`.

The program reads problem files, one JSON object a line, from its standard input, and writes one
JSON object a line to its standard output: the problem's `id` with its `outputs`, or with
`unsupported` or `error` and the reason, and with the `versions` of what computes if it announces
them. It must ignore keys that it does not know. It is started once and answers many problems; if it
exits, it is started again for the next problem.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import IO

from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.errors import FormatError
from rnnparity.problem.format_reading import parse_answer
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.json_text import load_json, read_limited
from rnnparity.problem.problem import Problem
from rnnparity.subjects.declarations import SubjectError

PREFIX = "cmd:"
# So many lines before the answer are skipped; they are reported with it.
MAX_OTHER_LINES = 100
# So many bytes at the end of a program's standard error are read for its last line.
ERRORS_READ = 2**16


class ProgramError(Exception):
    """The program gave no readable answer."""


def make(command: str) -> CommandSubject:
    """Return the subject `cmd:COMMAND`.

    Raises:
        SubjectError: the command cannot be split into words, or there is no such program.
    """
    name = PREFIX + command
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SubjectError(name, str(error)) from None
    if not words:
        raise SubjectError(name, f"the program is missing; write {PREFIX}./engine")
    if shutil.which(words[0]) is None:
        raise SubjectError(name, f"program not found or not executable: {words[0]}")
    return CommandSubject(words)


class CommandSubject:
    """A running program; its standard error is kept for the message if it exits."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.process: subprocess.Popen[bytes] | None = None
        # Open for as long as the program may run.
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115

    def versions(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """Kill the program. With a worker its whole process group ends, see `session.processes`."""
        self._kill()
        self.errors.close()

    def answer(self, problem: Problem) -> Answer:
        start = perf_counter()
        try:
            fields, other_line = self._ask(problem)
        except FormatError as refusal:
            self._kill()
            raise ProgramError(str(refusal)) from None
        answer, outputs, gradients = parse_answer(fields, "answer")
        if answer.id != problem.id:
            self._kill()
            raise ProgramError(f"answer: got id {answer.id!r:.60}, expected {problem.id!r:.60}")
        if answer.unsupported:
            raise Unsupported(answer.unsupported)
        if answer.error:
            raise ProgramError(answer.error)
        if outputs is None and (problem.cotangents is None or gradients is None):
            raise ProgramError("answer: expected one of the keys outputs, unsupported, error")
        if other_line:
            raise ProgramError(
                f"standard output: got {other_line!r:.60}, expected one JSON object a line; "
                "write messages to standard error"
            )
        seconds = perf_counter() - start
        return Answer(outputs or (), {}, seconds, answer.versions, gradients)

    def gradients(self, problem: Problem) -> Answer:
        return self.answer(problem)

    def _kill(self) -> None:
        """Kill the program: what it may still write belongs to earlier problems."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what could not be sent is sent once more
                if pipe is not None:
                    pipe.close()
        self.process = None

    def _ask(self, problem: Problem) -> tuple[object, str]:
        """Return the next JSON object that the program writes, and the first line that is none.

        Raises:
            ProgramError: the program has ended, or wrote no JSON object.
            FormatError: its answer is malformed or too large.
        """
        process = self._running()
        requests, replies = process.stdin, process.stdout
        if requests is None or replies is None:
            raise ProgramError("the program has no standard input or output")
        try:
            requests.write(dump_line(problem).encode() + b"\n")
            requests.flush()
        except OSError:
            raise ProgramError(self._how_it_ended()) from None
        other_line = ""
        for _ in range(MAX_OTHER_LINES):
            line = read_limited(replies.readline, "answer")
            if not line.endswith(b"\n"):
                part = f" (in the middle of a line: {line[:40]!r})" if line else ""
                raise ProgramError(self._how_it_ended() + part)
            if line.lstrip().startswith(b"{"):
                return load_json(line, "answer"), other_line
            other_line = other_line or line.decode(errors="replace").strip()
        raise ProgramError(f"no answer in {MAX_OTHER_LINES} lines; the first is {other_line!r:.60}")

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the program's process, started if there is none."""
        if self.process is None or self.process.poll() is not None:
            self._kill()
            self.errors.seek(0)
            self.errors.truncate()
            self.process = subprocess.Popen(  # noqa: S603 - the user's own command
                self.words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
            )
        return self.process

    def _how_it_ended(self) -> str:
        """Return how the program ended, with the last line that it wrote to standard error."""
        if self.process is None:
            return "the program is not running"
        try:
            status = self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "the program closed its standard output and is still running"
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - ERRORS_READ))
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]:.160}" if lines else ""
        if status < 0:
            return f"the program was killed by {signal.Signals(-status).name}{last}"
        return f"the program exited with status {status}{last}"
