"""A stored run: the measurements of a benchmark run, small, sorted and without the host's name.

The format is `rnnparity-bench/1`. A series is one contender on one problem. It has one time per
block, the fastest call of the block; times of the same block belong together (see `ratios`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from math import prod
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from rnnparity.problem.errors import RequestError
from rnnparity.problem.schema import Strict
from rnnparity.problem.stored import load_stored, validated

FORMAT = "rnnparity-bench/1"
REMEDY = "write it with `rnnparity bench`"
# Wide enough for whatever is timed; quotients of these are numbers.
Seconds = Annotated[float, Field(gt=1e-12, lt=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Series(Strict):
    """One contender on one problem.

    `extent` is the size of the `axis` that grows, `peak_bytes` the memory allocated in one call,
    `count` the number of verdicts of one call, `outside` the share of the time that was spent
    outside of the subject.
    """

    group: Literal["forward", "growth", "harness"]
    problem: str
    contender: str
    seconds: Annotated[list[Seconds], Field(min_length=1)]
    axis: Literal["T", "H", "B"] | None = None
    extent: Count | None = None
    peak_bytes: Count | None = None
    count: Count | None = None
    outside: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.group, self.problem, self.contender)


class MachineFields(Strict):
    """A `results.Machine` as it is stored."""

    processor: str
    cores: int
    system: str
    python: str


class SkippedContender(Strict):
    """A contender that could not run, and why; `problem` is "" where it is all of them."""

    contender: str
    problem: str
    why: str


class StoredRun(Strict):
    """One run, or several merged."""

    format: Literal["rnnparity-bench/1"]
    rnnparity: str
    commit: str
    quick: bool
    threads: int
    machine: MachineFields
    versions: dict[str, str]
    left_out: list[SkippedContender]
    series: Annotated[list[Series], Field(min_length=1)]

    def find(self, group: str) -> dict[str, dict[str, Series]]:
        """Return the series by problem and contender, small problems before large ones."""
        chosen = [series for series in self.series if series.group == group]
        chosen.sort(key=lambda series: _size(series.problem))
        problems: dict[str, dict[str, Series]] = {}
        for series in chosen:
            problems.setdefault(series.problem, {})[series.contender] = series
        return problems


def _size(problem: str) -> int:
    """Return the product B*T*D*H of "LSTM 1x4x5x3"."""
    return prod(int(number) for number in re.findall(r"[0-9]{1,9}", problem))


def dump(run: StoredRun) -> str:
    """Return a run as JSON: one series a line, sorted, with four digits of every time."""
    rows = []
    for series in sorted(run.series, key=lambda series: series.key):
        row = series.model_dump(exclude_none=True)
        row["seconds"] = [float(f"{value:.4g}") for value in series.seconds]
        rows.append(" " + json.dumps(row))
    head = json.dumps(run.model_dump(exclude_none=True, exclude={"series"}), indent=1)
    return head.removesuffix("\n}") + ',\n "series": [\n' + ",\n".join(rows) + "\n ]\n}\n"


def load(path: Path) -> StoredRun:
    """Return the run in a file.

    Raises:
        RequestError: the file cannot be read, is truncated or malformed, or has another format.
    """
    return parse(load_stored(path, FORMAT, REMEDY), str(path))


def parse(value: object, where: str) -> StoredRun:
    """Return the run in a JSON value.

    Raises:
        RequestError: something is missing, unknown, of a wrong type or duplicated.
    """
    run = validated(StoredRun, value, where, REMEDY)
    key, count = Counter(series.key for series in run.series).most_common(1)[0]
    if count > 1:
        raise RequestError(f"{where}: {' / '.join(key)}: got {count} entries, expected 1; {REMEDY}")
    return run


def merge(runs: dict[str, StoredRun], any_machine: bool = False) -> StoredRun:
    """Return several runs, by the name of their file, as one; each adds the problems it timed.

    Raises:
        RequestError: they differ in commit, versions, threads or (without `any_machine`) machine,
            or two of them timed the same problem.
    """
    (first_name, first), *_ = runs.items()
    for name, run in runs.items():
        _check_same_origin(name, run, first_name, first, any_machine)
    _check_different_problems(runs)
    processors = sorted({run.machine.processor for run in runs.values()})
    series = [series for run in runs.values() for series in run.series]
    skipped = dict.fromkeys(entry for run in runs.values() for entry in run.left_out)
    return first.model_copy(
        update={
            "quick": any(run.quick for run in runs.values()),
            "machine": first.machine.model_copy(update={"processor": "; ".join(processors)}),
            "left_out": list(skipped),
            "series": sorted(series, key=lambda series: series.key),
        }
    )


def _check_same_origin(
    name: str, run: StoredRun, first_name: str, first: StoredRun, any_machine: bool
) -> None:
    attributes = ["commit", "threads", "versions"]
    if not any_machine:
        attributes.append("machine")
    for attribute in attributes:
        actual, expected = getattr(run, attribute), getattr(first, attribute)
        if actual != expected:
            hint = "; --any-machine merges them all the same" if attribute == "machine" else ""
            raise RequestError(
                f"{name}: {attribute}: got {_text(actual)}, expected {_text(expected)} as in "
                f"{first_name}{hint}"
            )


def _check_different_problems(runs: dict[str, StoredRun]) -> None:
    files: dict[tuple[str, str], str] = {}
    for name, run in runs.items():
        for problem in sorted({series.key[:2] for series in run.series}):
            if problem in files:
                raise RequestError(
                    f"{name}: {' / '.join(problem)} is in {files[problem]} too; "
                    "merge runs of different problems"
                )
            files[problem] = name


def _text(value: object) -> str:
    fields = value.model_dump() if isinstance(value, BaseModel) else value
    if not isinstance(fields, dict):
        return str(fields)
    return ", ".join(f"{name} {entry}" for name, entry in fields.items())
