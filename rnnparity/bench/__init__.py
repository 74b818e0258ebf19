"""Benchmarks: run by pytest-benchmark, kept as small stored runs, compared by paired ratios, told
in a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rnnparity.bench.measure import measure
from rnnparity.bench.ratios import Change, Compared, compare
from rnnparity.bench.report import headline, render, verdict
from rnnparity.bench.stored import StoredRun, dump, load, merge
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_writable, write_where_asked

NAMES = ("report.html", "report.md", "report.json")


@dataclass(frozen=True)
class Done:
    """What is said at the end, and whether nothing has become slower than allowed."""

    lines: Sequence[str]
    passed: bool


def bench(
    out: Path,
    quick: bool,
    k: str,
    against: Path | None,
    fail_above: float | None,
    stored: Sequence[Path],
    any_machine: bool,
    tell: Callable[[str, int, int], None],
) -> Done:
    """Measure (or take what is `stored`), compare with `against`, write the report into the folder
    `out`.

    Raises:
        RequestError: a file or the folder is at fault, a package is missing, or there is nothing to
        compare. MistrustedRunError: a benchmark failed.
    """
    if fail_above is not None and against is None:
        raise RequestError(
            "--fail-above needs --against FILE, the report.json that it compares with"
        )
    if stored and (quick or k):
        raise RequestError("--from takes stored runs as they are: leave out --quick and -k")
    if missing := [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]:
        raise RequestError(
            f"the report needs {' and '.join(missing)}: `pip install 'rnnparity[bench]'`"
        )
    before = load(against) if against else None
    runs = {str(path): load(path) for path in dict.fromkeys(stored)}
    _writable(out)
    run = merge(runs, any_machine) if runs else measure(quick, k, tell)
    write_where_asked(
        out / "report.json", dump(run)
    )  # first: what was measured is kept, whatever it is compared with
    compared = _compared(run, before, str(against), any_machine) if before else []
    page, markdown = render(run, compared, before)
    write_where_asked(out / "report.html", page)
    write_where_asked(out / "report.md", markdown)
    return _done(run, compared, fail_above, out)


def _done(
    run: StoredRun, compared: Sequence[Compared], fail_above: float | None, out: Path
) -> Done:
    lines = [headline(run), *([verdict(compared)] if compared else [])]
    changed = [c for c in compared if c.change is not Change.INCONCLUSIVE]
    lines += [
        f"{c.change}: {c.problem}: {c.contender} / {c.yardstick}, {c.factor:.2f} times"
        for c in changed
    ]
    lines += [f"left out: {out.contender}: {out.why}" for out in run.left_out]
    lines.append(f"written: {', '.join(str(out / name) for name in NAMES)}")
    slower = [
        c for c in changed if c.change is Change.SLOWER and fail_above and c.factor > fail_above
    ]
    if slower:
        lines.append(f"failed: {len(slower)} ratios are slower by more than {fail_above:g}")
    return Done(lines, not slower)


def _compared(run: StoredRun, before: StoredRun, name: str, any_machine: bool) -> list[Compared]:
    if run.machine.processor != before.machine.processor and not any_machine:
        raise RequestError(
            f"{name}: was run on another machine ({before.machine.processor}; here {run.machine.processor}), where "
            "ratios are others; --any-machine compares nevertheless"
        )
    compared = compare(before, run)
    if not compared:
        raise RequestError(
            f"{name}: has no ratio in common with this run; choose the same benchmarks with -k"
        )
    return compared


def _writable(out: Path) -> None:
    """Asked before minutes of measuring, not after."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"{out}: no report can be written there: {error.strerror or error}"
        ) from None
    for name in NAMES:
        check_writable(out / name)
