"""A stored run: what a benchmark run has measured, small, sorted and without the machine's name.

The format is `rnnparity-bench/1`. A series is one contender on one problem; its seconds are those
of one call, a number a block (the least of the block's rounds), and the numbers of one block belong
together: see `rnnparity.bench.ratios`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from rnnparity.problem.errors import RequestError
from rnnparity.problem.stored import Machine, Strict, load_stored, validated

FORMAT = "rnnparity-bench/1"
AGAIN = "write it anew with `rnnparity bench`"
# Wide enough for whatever is timed; quotients of these are numbers.
Seconds = Annotated[float, Field(gt=1e-12, lt=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Series(Strict):
    """One contender on one problem; `extent` of the `axis` that grows, `peak_bytes` of memory in
    one call, `count` of what one call judges, `outside`: the share of the time that was not the
    subject's.
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


class LeftOut(Strict):
    """A contender that could not run, and why; `problem` is empty where it is all of them."""

    contender: str
    problem: str
    why: str


class StoredRun(Strict):
    """All of one run, or of several merged."""

    format: Literal["rnnparity-bench/1"]
    rnnparity: str
    commit: str
    quick: bool
    threads: int
    machine: Machine
    versions: dict[str, str]
    left_out: list[LeftOut]
    series: Annotated[list[Series], Field(min_length=1)]

    def find(self, group: str) -> dict[str, dict[str, Series]]:
        """Problem -> contender -> series, in stored order, but small problems before large ones."""
        found: dict[str, dict[str, Series]] = {}
        for series in sorted(
            (s for s in self.series if s.group == group), key=lambda s: _extent(s.problem)
        ):
            found.setdefault(series.problem, {})[series.contender] = series
        return found


def _extent(problem: str) -> int:
    """B T D H of "LSTM 1x4x5x3"."""
    return prod(int(number) for number in re.findall(r"[0-9]{1,9}", problem))


def dump(run: StoredRun) -> str:
    """One series a line, sorted, seconds with four digits: two runs differ in what they measured
    alone."""
    fields = run.model_dump(exclude_none=True)
    rows = []
    for series in sorted(run.series, key=lambda series: series.key):
        row = series.model_dump(exclude_none=True)
        row["seconds"] = [float(f"{value:.4g}") for value in series.seconds]
        rows.append(" " + json.dumps(row))
    head = json.dumps(
        {**{key: value for key, value in fields.items() if key != "series"}}, indent=1
    )
    return head.removesuffix("\n}") + ',\n "series": [\n' + ",\n".join(rows) + "\n ]\n}\n"


def load(path: Path) -> StoredRun:
    """Read a stored run.

    Raises:
        RequestError: the file cannot be read, is cut off or malformed, or is of another version.
    """
    return parse(load_stored(path, FORMAT, AGAIN), str(path))


def parse(value: Any, where: str) -> StoredRun:
    """The stored run in a JSON value.

    Raises:
        RequestError: something is missing, unknown, of a wrong type or there twice.
    """
    run = validated(StoredRun, value, where, AGAIN)
    key, count = Counter(series.key for series in run.series).most_common(1)[0]
    if count > 1:
        raise RequestError(f"{where}: {' / '.join(key)} is there {count} times; {AGAIN}")
    return run


def merge(runs: dict[str, StoredRun], any_machine: bool = False) -> StoredRun:
    """Several runs by the name of where they come from, as one: each adds the problems that it has
    timed.

    Raises:
        RequestError: they are not of one commit, one set of versions and (unless told otherwise)
        one machine, or two
            have timed the same problem.
    """
    (first_name, first), *others = runs.items()
    for name, run in others:
        same = ["commit", "threads", "versions", *([] if any_machine else ["machine"])]
        for what in same:
            one, other = getattr(first, what), getattr(run, what)
            if one != other:
                hint = "; --any-machine merges them nevertheless" if what == "machine" else ""
                raise RequestError(
                    f"{name}: {what} is {_plain(other)}, but {_plain(one)} in {first_name}{hint}"
                )
    home: dict[tuple[str, str], str] = {}
    for name, run in runs.items():
        for place in sorted({series.key[:2] for series in run.series}):
            if place in home:
                raise RequestError(
                    f"{name}: {' / '.join(place)} is in {home[place]} too; merge runs of different problems"
                )
            home[place] = name
    processors = sorted({run.machine.processor for run in runs.values()})
    return first.model_copy(
        update={
            "quick": any(run.quick for run in runs.values()),
            "machine": first.machine.model_copy(update={"processor": "; ".join(processors)}),
            "left_out": list({out: None for run in runs.values() for out in run.left_out}),
            "series": sorted(
                (series for run in runs.values() for series in run.series), key=lambda s: s.key
            ),
        }
    )


def _plain(value: Any) -> str:
    fields = value.model_dump() if isinstance(value, BaseModel) else value
    return (
        ", ".join(f"{k} {v}" for k, v in fields.items())
        if isinstance(fields, dict)
        else str(fields)
    )
