"""Stored runs of `rnnparity fuzz`: JSON lines, what was run and then the records of each seed.

A line is appended when a seed is finished, so that a run that was killed continues where it
stopped. Files of version 1, one JSON object with all records, are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_writable
from rnnparity.problem.json_text import load_json, read_limited
from rnnparity.problem.stored import load_stored, validated
from rnnparity.report.stored.fuzz_format import FORMAT, Head, OldRun, SeedLine, head_of
from rnnparity.session.fuzz import FuzzRun, Log
from rnnparity.session.fuzz_records import Record, SeedRecords
from rnnparity.session.fuzz_tally import SeedSet

REMEDY = "write it with `rnnparity fuzz --json`"
_OLD = b'"rnnparity-fuzz/1"'


class StoredLog(Log):
    """A log in a file, which is created, or continued where it has the same run."""

    def __init__(self, path: Path) -> None:
        """Read what is finished.

        Raises:
            RequestError: the file cannot be written, or is not a stored run of this version.
        """
        super().__init__()
        check_writable(path)
        self._path = path
        self._head: FuzzRun | None = None
        self._finished = SeedSet()
        self._length = 0
        if path.exists() and path.stat().st_size:
            self._read()

    def _read(self) -> None:
        with self._path.open("rb") as file:
            if _OLD in file.read(100):
                message = (
                    "is a run of an earlier version; name a new file and merge both with --from"
                )
                raise RequestError(f"{self._path}: {message}")
            file.seek(0)
            stored = _Lines(file, str(self._path))
            self._head = stored.head
            for seed in stored:
                super().add(seed)
                self._finished.add(seed.seed)
            self._length = stored.length

    def begin(self, run: FuzzRun) -> None:
        """Write what is run, or check that the file has the same; what was cut off is removed.

        Raises:
            RequestError: the file has another subject, version or precision, or gradients and outputs.
        """
        if self._head is None:
            self._path.write_bytes(_line(head_of(run).model_dump()))
            return
        for what in ("subject", "versions", "rnnparity", "precision", "compared"):
            actual, expected = getattr(self._head, what), getattr(run, what)
            if actual != expected:
                message = (
                    f"{what}: got {actual or 'none'}, expected {expected or 'none'} to continue"
                )
                raise RequestError(f"{self._path}: {message}; name a new file")
        with self._path.open("r+b") as file:
            file.truncate(self._length)

    def has(self, seed: int) -> bool:
        return seed in self._finished

    def add(self, seed: SeedRecords) -> None:
        super().add(seed)
        with self._path.open("ab") as file:
            file.write(_line(SeedLine.of(seed)))


def load_runs(files: Sequence[Path]) -> list[FuzzRun]:
    """Return the runs in files, each with its counts.

    Raises:
        RequestError: a file is unreadable or malformed, two are of different versions of rnnparity,
            or of gradients and outputs, or a seed of a subject occurs twice.
    """
    runs: list[FuzzRun] = []
    seen: dict[str, SeedSet] = {}
    for file in files:
        run = _load(file, seen)
        if runs and run.rnnparity != runs[0].rnnparity:
            expected = f"expected {runs[0].rnnparity} as in {files[0]}"
            raise RequestError(f"{file}: rnnparity: got {run.rnnparity}, {expected}")
        if runs and run.gradients != runs[0].gradients:
            expected = f"expected {runs[0].compared} as in {files[0]}"
            raise RequestError(f"{file}: compared: got {run.compared}, {expected}")
        runs.append(run)
    return runs


def _load(path: Path, seen: dict[str, SeedSet]) -> FuzzRun:
    """Return the run in a file, and enter its seeds into those that were `seen` by subject."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from None
    with file:
        run, seeds = _old_run(path) if _OLD in file.read(100) else _new_run(file, path)
        numbers = seen.setdefault(run.subject, SeedSet())
        for seed in seeds:
            if seed.seed in numbers:
                raise RequestError(f"{path}: {run.subject}: seed {seed.seed} occurs twice")
            numbers.add(seed.seed)
            run.tally.add(seed)
    if not run.tally.problems:
        raise RequestError(f"{path}: records: got none, expected at least one; {REMEDY}")
    return run


def _new_run(file: BinaryIO, path: Path) -> tuple[FuzzRun, Iterator[SeedRecords]]:
    file.seek(0)
    lines = _Lines(file, str(path))
    return lines.head, iter(lines)


def _old_run(path: Path) -> tuple[FuzzRun, Iterator[SeedRecords]]:
    value = load_stored(path, "rnnparity-fuzz/1", REMEDY)
    fields = validated(OldRun, value, str(path), REMEDY)
    records = sorted((each.record() for each in fields.records), key=lambda record: record.order)
    return fields.run(), (
        SeedRecords(seed, tuple(of_seed)) for seed, of_seed in groupby(records, _seed)
    )


def _seed(record: Record) -> int:
    return record.order[0]


class _Lines:
    """The lines of a stored run, read one by one; a last line that was cut off is left out.

    `length` is the number of bytes of the lines that were read.
    """

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self._where = file, where
        self.length = 0
        self._number = 0
        value = self._next()
        name = value.get("format") if isinstance(value, dict) else None
        if name != FORMAT:
            what = f"got format {name!r:.60}" if name else "got a file without a format"
            raise RequestError(f"{where}: {what}, expected {FORMAT!r}; {REMEDY}")
        self.head = validated(Head, value, where, REMEDY).run()

    def __iter__(self) -> Iterator[SeedRecords]:
        while (value := self._next()) is not None:
            where = f"{self._where}: line {self._number}"
            yield validated(SeedLine, value, where, REMEDY).records_of_seed()

    def _next(self) -> object:
        line = read_limited(self._file.readline, self._where)
        if not line.endswith(b"\n"):
            return None
        self._number += 1
        self.length += len(line)
        try:
            return load_json(line, f"{self._where}: line {self._number}")
        except RequestError as error:
            raise RequestError(f"{error}; {REMEDY}") from None


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
