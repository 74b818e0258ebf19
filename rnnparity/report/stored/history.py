"""Stored runs of `rnnparity history`: JSON of what was counted in each release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rnnparity import __version__
from rnnparity.catalogue import digest
from rnnparity.problem.schema import Strict
from rnnparity.problem.stored import load_stored, validated
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.history import Moved, ReleaseResult

FORMAT = "rnnparity-history/1"
REMEDY = "write it with `rnnparity history --json`"
# A distance of outputs of another structure is infinite, for which JSON has no number.
FARTHEST = 1e15

_Count = Annotated[int, Field(ge=0)]
_Verdict = Annotated[str, Field(pattern=f"^({'|'.join(Verdict)})$")]


class StoredMoved(Strict):
    """A `history.Moved`."""

    bits: _Count
    far: _Count
    sigma: Annotated[float, Field(ge=0, le=FARTHEST)]


class StoredRelease(Strict):
    """A `history.ReleaseResult` with the number of cases by verdict instead of the cases."""

    version: str
    versions: dict[str, str] = Field(default_factory=dict)
    counts: dict[_Verdict, _Count] = Field(default_factory=dict)
    listed: dict[str, _Count] = Field(default_factory=dict)
    agreeing: dict[str, _Count] = Field(default_factory=dict)
    unlisted: list[str] = Field(default_factory=list)
    moved: StoredMoved | None = None
    error: str = ""


class StoredHistory(Strict):
    """What was run; `catalogue` is the digest of the cases there were to choose from."""

    format: Literal["rnnparity-history/1"]
    package: str
    subject: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    rnnparity: str
    catalogue: str
    releases: Annotated[list[StoredRelease], Field(min_length=1)]


def dump(package: str, subject: str, results: Sequence[ReleaseResult]) -> str:
    """Return the releases of a package as JSON, without the fields that have their default."""
    history = StoredHistory(
        format="rnnparity-history/1",
        package=package,
        subject=subject,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        rnnparity=__version__,
        catalogue=digest(),
        releases=[_stored(result) for result in results],
    )
    return history.model_dump_json(indent=1, exclude_defaults=True) + "\n"


def load(path: Path) -> StoredHistory:
    """Return what is stored in a file.

    Raises:
        RequestError: the file is unreadable or malformed.
    """
    return validated(StoredHistory, load_stored(path, FORMAT, REMEDY), str(path), REMEDY)


def _stored(result: ReleaseResult) -> StoredRelease:
    counts = Counter(case.verdict for case in result.cases)
    return StoredRelease(
        version=result.version,
        versions=dict(result.versions),
        counts={verdict.value: counts[verdict] for verdict in Verdict if counts[verdict]},
        listed=dict(result.listed),
        agreeing=dict(result.agreeing),
        unlisted=list(result.unlisted),
        moved=_stored_moved(result.moved),
        error=result.error,
    )


def _stored_moved(moved: Moved | None) -> StoredMoved | None:
    if moved is None:
        return None
    return StoredMoved(bits=moved.bits, far=moved.far, sigma=min(moved.sigma, FARTHEST))
