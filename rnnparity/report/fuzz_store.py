"""Stored runs of `rnnparity fuzz`: JSON that is the dump of `fuzz.FuzzRun`, read back strictly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Verdict
from rnnparity.problem.stored import Strict, load_stored, validated
from rnnparity.session.fuzz import FARTHEST, FuzzRun, Record

FORMAT = "rnnparity-fuzz/1"
AGAIN = "write it with `rnnparity fuzz --json`"


class _RecordFields(Strict):
    """A `fuzz.Record` as it is stored."""

    id: str
    dtype: Literal["float16", "bfloat16", "float32", "float64"]
    verdict: Literal["agrees", "diverges", "inconclusive", "unsupported", "error"]
    sigma: Annotated[float, Field(ge=0, le=FARTHEST)]
    change: Literal["", "scaled", "signs"]
    rejected_by: list[Literal["np.allclose", "torch", "onnx"]]
    reason: str

    def record(self) -> Record:
        """Return the record."""
        return Record(
            self.id,
            self.dtype,
            Verdict(self.verdict),
            self.sigma,
            self.change,
            tuple(self.rejected_by),
            self.reason,
        )


class _RunFields(Strict):
    """A `fuzz.FuzzRun` as it is stored."""

    format: str
    subject: str
    versions: dict[str, str]
    seeds: Annotated[list[int], Field(min_length=2, max_length=2)]
    records: Annotated[list[_RecordFields], Field(min_length=1)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    rnnparity: str
    interrupted: bool


def dump(run: FuzzRun) -> str:
    """Return a run as JSON."""
    return json.dumps({"format": FORMAT, **asdict(run)}) + "\n"


def load_runs(files: Sequence[Path]) -> list[FuzzRun]:
    """Return the runs in files.

    Raises:
        RequestError: a file is unreadable or malformed, two are of different versions of rnnparity,
        or a verdict occurs twice.
    """
    runs: list[FuzzRun] = []
    seen: set[tuple[str, str, str]] = set()
    for file in files:
        run = _load(file)
        if runs and run.rnnparity != runs[0].rnnparity:
            expected = f"expected {runs[0].rnnparity} as in {files[0]}"
            raise RequestError(f"{file}: rnnparity: got {run.rnnparity}, {expected}")
        for record in run.records:
            verdict = (run.subject, record.id, record.change)
            if verdict in seen:
                raise RequestError(f"{file}: {run.subject}: {record.id} occurs twice")
            seen.add(verdict)
        runs.append(run)
    return runs


def _load(file: Path) -> FuzzRun:
    fields = validated(_RunFields, load_stored(file, FORMAT, AGAIN), str(file), AGAIN)
    first, last = fields.seeds
    records = tuple(record.record() for record in fields.records)
    return FuzzRun(
        fields.subject,
        fields.versions,
        (first, last),
        records,
        fields.date,
        fields.rnnparity,
        fields.interrupted,
    )
