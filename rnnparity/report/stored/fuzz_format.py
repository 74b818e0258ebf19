"""The values of a stored run of `rnnparity fuzz`, checked when they are read."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from rnnparity.problem.dtypes import FLOAT_TYPES, declared_precision
from rnnparity.problem.errors import RequestError
from rnnparity.problem.schema import Strict
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.fuzz import FuzzRun
from rnnparity.session.fuzz_answers import FARTHEST
from rnnparity.session.fuzz_records import Record, SeedRecords

FORMAT = "rnnparity-fuzz/2"

_Date = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]


def _check_precision(text: str) -> str:
    """Return the name of an arithmetic, after a check of the N of 2**-N.

    Raises:
        ValueError: nobody can declare it.
    """
    if text and text not in FLOAT_TYPES:
        try:
            declared_precision(text)
        except RequestError as error:
            raise ValueError(str(error)) from None
    return text


_Precision = Annotated[
    str, Field(pattern=r"^(|b?float16|2\*\*-\d{1,2})$"), AfterValidator(_check_precision)
]
_Arithmetic = Annotated[
    str,
    Field(pattern=r"^(b?float16|float(32|64)|2\*\*-\d{1,2})$"),
    AfterValidator(_check_precision),
]


class RecordFields(Strict):
    """A `Record`; what has its default may be missing."""

    id: Annotated[str, Field(pattern=r"^fuzz-\d{1,18}-\d{1,3}$")]
    dtype: _Arithmetic
    verdict: Literal["agrees", "diverges", "known", "inconclusive", "unsupported", "error"]
    sigma: Annotated[float, Field(ge=0, le=FARTHEST)]
    change: Literal["", "scaled", "signs"] = ""
    rejected_by: list[Literal["np.allclose", "torch", "onnx"]] = Field(default_factory=list)
    reason: str = ""
    known: list[str] = Field(default_factory=list)

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
            tuple(self.known),
        )


class RunFields(Strict):
    """What is run, in both versions of the format."""

    format: str
    subject: str
    versions: dict[str, str]
    date: _Date
    rnnparity: str
    seeds: Annotated[list[int], Field(min_length=2, max_length=2)]

    def run(self) -> FuzzRun:
        """Return the run, without any records."""
        first, last = self.seeds
        return FuzzRun(
            self.subject, self.versions, (first, last), date=self.date, rnnparity=self.rnnparity
        )


class Head(RunFields):
    """The first line: what is run."""

    format: Literal["rnnparity-fuzz/2"]
    precision: _Precision = ""
    gradients: bool = False

    def run(self) -> FuzzRun:
        """Return the run, without any records."""
        return replace(super().run(), precision=self.precision, gradients=self.gradients)


def head_of(run: FuzzRun) -> Head:
    """Return the first line of a run."""
    return Head(
        format="rnnparity-fuzz/2",
        subject=run.subject,
        versions=dict(run.versions),
        date=run.date,
        rnnparity=run.rnnparity,
        precision=run.precision,
        gradients=run.gradients,
        seeds=list(run.seeds),
    )


class SeedLine(Strict):
    """The line of a seed."""

    seed: int
    records: list[RecordFields]

    @staticmethod
    def of(seed: SeedRecords) -> dict[str, Any]:
        """Return a seed as it is stored: records without the fields that have their default."""
        records = [
            {key: value for key, value in asdict(record).items() if value not in ("", ())}
            for record in seed.records
        ]
        return {"seed": seed.seed, "records": records}

    def records_of_seed(self) -> SeedRecords:
        """Return the records of the seed."""
        return SeedRecords(self.seed, tuple(fields.record() for fields in self.records))


class OldRun(RunFields):
    """A run as version 1 stored it."""

    records: Annotated[list[RecordFields], Field(min_length=1)]
    interrupted: bool

    def run(self) -> FuzzRun:
        """Return the run, without its records."""
        return replace(super().run(), interrupted=self.interrupted)
