"""Benchmarks: measured by pytest-benchmark, stored, compared by paired ratios, and reported."""

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
from rnnparity.problem.files import check_new_folder, check_writable, write_folder

NAMES = ("report.html", "report.md", "report.json")


@dataclass(frozen=True)
class Summary:
    """The lines to print, and whether nothing became slower than allowed."""

    lines: Sequence[str]
    passed: bool


def bench(
    out: Path,
    quick: bool,
    k: str,
    baseline: Path | None,
    fail_above: float | None,
    stored: Sequence[Path],
    any_machine: bool,
    report_progress: Callable[[str, int, int], None],
) -> Summary:
    """Measure or read `stored` runs, compare them with `baseline`, and write the report to `out`.

    Raises:
        RequestError: a file or the folder is invalid, a package is missing, or there is nothing
            to compare.
        SelfCheckError: a benchmark failed.
    """
    if fail_above is not None and baseline is None:
        raise RequestError("--fail-above: --baseline FILE is missing; give an earlier report.json")
    if stored and (quick or k):
        raise RequestError("--from: merges stored runs; leave out --quick and -k")
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        packages = " and ".join(missing)
        raise RequestError(f"bench: {packages} is missing; run `pip install 'rnnparity[bench]'`")
    before = load(baseline) if baseline else None
    runs = {str(path): load(path) for path in dict.fromkeys(stored)}
    _check_folder(out)
    run = merge(runs, any_machine) if runs else measure(quick, k, report_progress)
    # Written first: what was measured is kept whatever the comparison does.
    write_folder(out, {"report.json": dump(run)})
    compared = _compared(run, before, str(baseline), any_machine) if before else []
    page, markdown = render(run, compared, before)
    write_folder(out, {"report.html": page, "report.md": markdown})
    return _summary(run, compared, fail_above, out)


def _summary(
    run: StoredRun, compared: Sequence[Compared], fail_above: float | None, out: Path
) -> Summary:
    lines = [headline(run)]
    if compared:
        lines.append(verdict(compared))
    changed = [ratio for ratio in compared if ratio.change is not Change.INCONCLUSIVE]
    for ratio in changed:
        name = f"{ratio.problem}: {ratio.contender} / {ratio.yardstick}"
        lines.append(f"{ratio.change}: {name}, {ratio.factor:.2f} times")
    lines += [f"skipped: {skipped.contender}: {skipped.why}" for skipped in run.left_out]
    lines.append(f"written: {', '.join(str(out / name) for name in NAMES)}")
    slower = [ratio for ratio in changed if ratio.change is Change.SLOWER]
    failing = [ratio for ratio in slower if fail_above and ratio.factor > fail_above]
    if failing:
        lines.append(f"failed: {len(failing)} ratios are slower by more than {fail_above:g}")
    return Summary(lines, not failing)


def _compared(run: StoredRun, before: StoredRun, name: str, any_machine: bool) -> list[Compared]:
    processor, expected = before.machine.processor, run.machine.processor
    if processor != expected and not any_machine:
        raise RequestError(
            f"{name}: machine: got {processor}, expected {expected}; ratios differ between machines; "
            "--any-machine compares them all the same"
        )
    compared = compare(before, run)
    if not compared:
        raise RequestError(
            f"{name}: no ratio in common with this run; select the same ones with -k"
        )
    return compared


def _check_folder(out: Path) -> None:
    """Check before minutes of measuring that the report can be written."""
    check_new_folder(out)
    if out.exists():
        for name in NAMES:
            check_writable(out / name)
