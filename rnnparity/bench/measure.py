"""A benchmark run: pytest-benchmark in a separate process with one thread, read back as a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rnnparity import __version__
from rnnparity.bench.stored import FORMAT, StoredRun, parse
from rnnparity.problem.errors import RequestError, SelfCheckError

BLOCKS, QUICK_BLOCKS = 10, 5
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PACKAGES = ("numpy", "tensorflow", "tensorflow-cpu", "keras", "torch", "onnxruntime", "onnx", "jax")
# pytest's exit statuses for a malformed -k and for a -k that selects nothing.
USAGE_ERROR, NO_TESTS = 4, 5

Progress = Callable[[str, int, int], None]
Document = Mapping[str, Any]  # what pytest-benchmark writes


def measure(quick: bool, k: str, report_progress: Progress) -> StoredRun:
    """Run the benchmarks that the pytest expression `k` selects; all of them if it is empty.

    Raises:
        RequestError: pytest-benchmark is missing, or nothing that is selected can run.
        SelfCheckError: a benchmark failed, e.g. because its output differs from the reference.
    """
    if find_spec("pytest_benchmark") is None:
        raise RequestError(
            "bench: pytest-benchmark is missing; run `pip install 'rnnparity[bench]'`"
        )
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "benchmarks.json"
        arguments = ["-x", "--benchmark-only", f"--benchmark-json={stored}", "--benchmark-quiet"]
        arguments.append(f"--blocks={QUICK_BLOCKS if quick else BLOCKS}")
        if quick:
            arguments.append("--quick")
        if k:
            arguments += ["-k", k]
        _run_pytest(arguments, k, report_progress)
        # pytest-benchmark writes nothing where everything was skipped.
        if not stored.exists() or not stored.stat().st_size:
            raise RequestError("bench: what the selected benchmarks need is not installed")
        return from_pytest(json.loads(stored.read_text()), quick, dict(_versions()))


def from_pytest(document: Document, quick: bool, versions: dict[str, str]) -> StoredRun:
    """Return the run in what pytest-benchmark stored (see tests/benchmarks/conftest.py).

    Only the fastest round of each block is kept, and not the name of the host.
    """
    series: dict[tuple[str, ...], dict[str, Any]] = {}
    benchmarks = sorted(document["benchmarks"], key=lambda entry: entry["extra_info"]["block"])
    for benchmark in benchmarks:
        info = dict(benchmark["extra_info"])
        del info["block"]
        key = (info["group"], info["problem"], info["contender"])
        row = series.setdefault(key, {"seconds": []})
        row.update((name, value) for name, value in info.items() if value is not None)
        row["seconds"].append(benchmark["stats"]["min"])
    commit = document["commit_info"]
    value = {
        "format": FORMAT,
        "rnnparity": __version__,
        "commit": commit.get("id", "unknown")[:10] + ("+changes" if commit.get("dirty") else ""),
        "quick": quick,
        "threads": 1,
        "machine": _machine(document["machine_info"]),
        "versions": versions,
        "left_out": _by_reason(document["left_out"]),
        "series": list(series.values()),
    }
    return parse(value, "this run")


def _machine(info: Document) -> dict[str, Any]:
    return {
        "processor": info.get("cpu", {}).get("brand_raw") or info["machine"],
        "cores": os.cpu_count() or 1,
        "system": f"{info['system']} {info['machine']}",
        "python": info["python_version"],
    }


def _run_pytest(arguments: list[str], k: str, report_progress: Progress) -> None:
    folder = benchmarks_folder()
    command = [sys.executable, "-m", "pytest", str(folder), "-v", "--tb=line"]
    # Benchmarks take turns: the options for tests, which run in parallel, do not apply.
    command += ["-p", "no:cacheprovider", "-o", "console_output_style=count", "-o", "addopts="]
    command += ["-W", "ignore:Not saving anything", *arguments]
    # pytest-benchmark does not time in a worker of pytest-xdist, which this process may be.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")
    }
    environment = {**inherited, **THREADS, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(  # noqa: S603 - this Python, and what the user selected with -k
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = _follow(process, report_progress)
        status = process.wait()
    except BaseException:
        # Ctrl-C, which pytest gets as well: it may clean up, but must not outlive this process.
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    _check_status(status, lines, k)


def _follow(process: subprocess.Popen[str], report_progress: Progress) -> list[str]:
    """Return pytest's lines, and report its counter as it grows."""
    lines = []
    for line in process.stdout or ():
        lines.append(line.strip())
        counter = re.search(r"\[ *(\d+)/(\d+)\]$", lines[-1])
        if counter:
            report_progress("benchmarks", int(counter[1]), int(counter[2]))
    return lines


def _check_status(status: int, lines: list[str], k: str) -> None:
    if status == NO_TESTS:
        raise RequestError(
            f"-k {k!r}: selects no benchmark; `pytest tests/benchmarks --collect-only` lists them"
        )
    if status == USAGE_ERROR:
        raise RequestError(f"-k {k!r}: wrong expression; write names joined by and, or, not")
    if status:
        failures = [line for line in lines if re.match(r"(E  |FAILED|ERROR|/)", line)]
        reason = (failures or lines[-1:] or ["no output"])[0]
        raise SelfCheckError(f"a benchmark failed, nothing is kept: {reason}")


def benchmarks_folder() -> Path:
    """Return tests/benchmarks of a checkout, or the copy in an installed wheel."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "tests" / "benchmarks"
    return checkout if checkout.is_dir() else package / "benchmarks"


def _by_reason(skipped: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return one entry for each contender and reason."""
    reasons = dict.fromkeys((entry["contender"], entry["why"]) for entry in skipped)
    return [{"contender": contender, "problem": "", "why": why} for contender, why in reasons]


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
    import numpy  # noqa: F401 - loads the BLAS library that threadpoolctl lists
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "blas":
            architecture = library.get("architecture", "unknown")
            yield library["internal_api"], f"{library['version']} ({architecture})"
