"""The stored report: JSON that is the dump of `results.Report`, read back strictly."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args, get_type_hints

from rnnparity.catalogue import catalogue, digest
from rnnparity.problem import explanations, results, verdicts
from rnnparity.problem.errors import RequestError
from rnnparity.problem.json_text import load_json, read_bytes
from rnnparity.problem.results import Report, Shards, SubjectResult
from rnnparity.report.stored.version_1 import FORMAT as FORMAT_1
from rnnparity.report.stored.version_1 import report_of_version_1

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = "rnnparity-report/2"
REMEDY = "write it with `rnnparity check --json`"
# What JSON has no number for is stored as a string.
NON_FINITE = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
# A picture's levels: 0 is noise, 8 a million times beyond it.
LEVELS = range(9)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ|")


def dump(report: Report) -> str:
    """Return the report as JSON without the fields that have their default."""
    (fields,) = _adapter().dump_python((report,), exclude_defaults=True)
    return json.dumps(_storable({"format": FORMAT, **fields}), indent=1) + "\n"


def _storable(value: object) -> object:
    """Return a value as JSON has it: numbers that are not finite as strings, and only Unicode."""
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, str):  # a subject's message may have half of a surrogate pair
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return next(word for word, number in NON_FINITE.items() if str(number) == str(value))
    return value


def load(path: Path) -> Report:
    """Return the report in a file.

    Raises:
        RequestError: the file is unreadable or malformed, or of another format or catalogue.
    """
    try:
        value = load_json(read_bytes(path), str(path))
    except RequestError as error:
        raise RequestError(f"{error}; {REMEDY}") from None
    return parse(value, str(path))


def parse(value: object, where: str) -> Report:
    """Return the report in a JSON value; `where` is the name of its file in messages.

    Raises:
        RequestError: a key is missing, unknown or of the wrong type, a case or a subject occurs
        twice, or the report belongs to another catalogue.
    """
    name = value.get("format") if isinstance(value, dict) else None
    if name not in (FORMAT, FORMAT_1):
        raise RequestError(f"{where}: format: got {name!r}, expected {FORMAT!r}; {REMEDY}")
    try:
        report = _validated(value) if name == FORMAT else report_of_version_1(value)
        _check(report)
    except ValueError as error:
        raise RequestError(f"{where}: {_first_line(error)}; {REMEDY}") from None
    return report


@cache
def _adapter() -> TypeAdapter[tuple[Report]]:
    """Return what reads and writes a report; a tuple of one, for its configuration is inherited.

    pydantic takes a tenth of a second to load, so that it is imported here.
    """
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(strict=True, extra="forbid")
    return TypeAdapter(tuple[Report], config=config)


def _validated(value: object) -> Report:
    fields = dict(value) if isinstance(value, dict) else {}
    del fields["format"]
    content = json.dumps([_with_non_finite(fields)])
    (report,) = _adapter().validate_json(content)
    return report


def _with_non_finite(value: object, number: bool = False) -> object:
    """Return a JSON value with the strings for non-finite numbers as numbers.

    `number`: the value belongs to a field that may be a number.
    """
    if isinstance(value, dict):
        return {key: _with_non_finite(item, key in _numbers()) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_non_finite(item, number) for item in value]
    return NON_FINITE.get(value, value) if number and isinstance(value, str) else value


@cache
def _numbers() -> frozenset[str]:
    """Return the names of all fields of the results that may be a float."""
    modules = (results, verdicts, explanations)
    models = [model for module in modules for model in vars(module).values() if is_dataclass(model)]
    hints = [get_type_hints(model) for model in models if isinstance(model, type)]
    return frozenset(name for fields in hints for name, hint in fields.items() if _is_float(hint))


def _is_float(hint: object) -> bool:
    return hint is float or any(_is_float(argument) for argument in get_args(hint))


def _first_line(error: ValueError) -> str:
    """Return an error in one line: of pydantic's errors the first with its location."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    # The report is the only item of a tuple, whose index is not part of the file.
    location = ".".join(str(part) for part in first["loc"][1:])
    return f"{location}: {first['msg']}"


def _check(report: Report) -> None:
    """Check what types do not express.

    Raises:
        ValueError: something is inconsistent.
    """
    if report.catalogue != digest():
        raise ValueError(f"catalogue: got {report.catalogue}, expected {digest()} of this version")
    if not report.subjects:
        raise ValueError("subjects: got none, expected at least one")
    _check_unique((subject.name for subject in report.subjects), "subjects")
    known = {entry.name for entry in report.known}
    for subject in report.subjects:
        _check_subject(subject, known)


def _check_subject(subject: SubjectResult, known: Collection[str]) -> None:
    if not subject.cases:
        raise ValueError(f"{subject.name}: cases: got none, expected at least one")
    if not _DATE.fullmatch(subject.date):
        raise ValueError(f"{subject.name}: date: got {subject.date!r}, expected 2026-07-30T12:34Z")
    if not 0 <= subject.seconds < math.inf:
        raise ValueError(f"{subject.name}: seconds: got {subject.seconds}, expected 0 or more")
    if subject.unfinished < 0:
        raise ValueError(f"{subject.name}: unfinished: got {subject.unfinished}, expected >= 0")
    for shards in subject.shards:
        if min(shards.sizes, default=0) < 0 or not _are_numbers(shards):
            raise ValueError(f"{subject.name}: shards: sizes or missing numbers are invalid")
    ids = [case.id for case in subject.cases]
    for case in subject.cases:
        if not case.sigma >= 0:
            raise ValueError(f"{subject.name}: {case.id}: sigma: got {case.sigma}, expected >= 0")
    _check_unique(ids, subject.name)
    _check_known(ids, catalogue(), f"{subject.name}: case")
    names = [name for case in subject.cases for name in case.known]
    _check_known(names, known, f"{subject.name}: known difference")
    if any(level not in LEVELS for level in _levels(subject)):
        raise ValueError(f"{subject.name}: picture: levels must be 0 to {LEVELS[-1]}")


def _are_numbers(shards: Shards) -> bool:
    """Return whether the missing shards are increasing numbers of shards."""
    numbers = set(range(1, len(shards.sizes) + 1))
    return numbers.issuperset(shards.missing) and list(shards.missing) == sorted(
        set(shards.missing)
    )


def _levels(subject: SubjectResult) -> Iterator[int]:
    """Yield all levels of a subject's pictures; a picture without any yields -1."""
    for case in subject.cases:
        picture = case.explanation.picture if case.explanation else None
        if picture is None:
            continue
        for row in picture.levels or ((),):
            yield from row or (-1,)


def _check_unique(names: Iterable[str], what: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{what}: {name} occurs {count} times, expected once")


def _check_known(names: Iterable[str], known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what} {name!r} is unknown")
