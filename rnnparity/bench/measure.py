"""A benchmark run: pytest-benchmark in a process of its own, with one thread, and what it stored as
a stored run."""

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
WRONG_WORDS, NO_TESTS = 4, 5  # pytest's exit status where -k is malformed, where nothing was chosen

Tell = Callable[[str, int, int], None]


def measure(quick: bool, k: str, tell: Tell) -> StoredRun:
    """Run the benchmarks that the pytest expression `k` chooses (all where it is empty).

    Raises:
        RequestError: pytest-benchmark is not installed, or nothing is chosen, or nothing of it can
        run here. MistrustedRunError: a benchmark failed, as one does whose output is not what the
        reference says.
    """
    if find_spec("pytest_benchmark") is None:
        raise RequestError("the benchmarks need pytest-benchmark: `pip install 'rnnparity[bench]'`")
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "benchmarks.json"
        arguments = ["-x", "--benchmark-only", f"--benchmark-json={stored}", "--benchmark-quiet"]
        arguments += [
            f"--blocks={QUICK_BLOCKS if quick else BLOCKS}",
            *(["--quick"] if quick else []),
        ]
        arguments += ["-k", k] if k else []
        _run_pytest(arguments, k, tell)
        if not stored.exists() or not stored.stat().st_size:  # not written where all is skipped
            raise RequestError(
                "none of the chosen benchmarks can run here: what they need is not installed"
            )
        return from_pytest(json.loads(stored.read_text()), quick, _versions())


def from_pytest(document: Mapping[str, Any], quick: bool, versions: dict[str, str]) -> StoredRun:
    """What pytest-benchmark stored (see tests/benchmarks/conftest.py), without its rounds and the
    host's name."""
    series: dict[tuple[str, ...], dict[str, Any]] = {}
    for benchmark in sorted(document["benchmarks"], key=lambda entry: entry["extra_info"]["block"]):
        info = {
            key: value
            for key, value in benchmark["extra_info"].items()
            if key != "block" and value is not None
        }
        row = series.setdefault(
            (info["group"], info["problem"], info["contender"]), {"seconds": []}
        )
        row.update(info)
        row["seconds"].append(benchmark["stats"]["min"])
    machine, commit = document["machine_info"], document["commit_info"]
    value = {
        "format": FORMAT,
        "rnnparity": __version__,
        "commit": commit.get("id", "unknown")[:10] + ("+changes" if commit.get("dirty") else ""),
        "quick": quick,
        "threads": 1,
        "machine": {
            "processor": machine.get("cpu", {}).get("brand_raw") or machine["machine"],
            "cores": os.cpu_count() or 1,
            "system": f"{machine['system']} {machine['machine']}",
            "python": machine["python_version"],
        },
        "versions": versions,
        "left_out": _for_all(document["left_out"]),
        "series": list(series.values()),
    }
    return parse(value, "this run")


def _run_pytest(arguments: list[str], k: str, tell: Tell) -> None:
    folder = benchmarks_folder()
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(folder),
        "-v",
        "--tb=line",
        "-p",
        "no:cacheprovider",
    ]
    command += ["-o", "console_output_style=count", "-W", "ignore:Not saving anything", *arguments]
    # pytest-benchmark does not time in a worker of pytest-xdist, which this process may be and its
    # own are not.
    outer = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")
    }
    environment = {**outer, **THREADS, "TF_CPP_MIN_LOG_LEVEL": "3"}
    said: list[str] = []
    process = subprocess.Popen(  # noqa: S603 - this Python, and what the user chose with -k
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout or ():
            said.append(line.strip())
            if counted := re.search(r"\[ *(\d+)/(\d+)\]$", said[-1]):
                tell("benchmarks", int(counted[1]), int(counted[2]))
        status = process.wait()
    except (
        BaseException
    ):  # Ctrl-C, which pytest gets as well: it may clear up, but nothing goes on behind one's back
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    if status == NO_TESTS:
        raise RequestError(
            f"-k {k!r} chooses no benchmark; the names are those of `pytest tests/benchmarks --collect-only`"
        )
    if status == WRONG_WORDS and (
        wrong := [line for line in said if line.startswith("ERROR: Wrong expression")]
    ):
        raise RequestError(wrong[0].removeprefix("ERROR: "))
    if status:
        failed = [
            line for line in said if re.match(r"(E  |FAILED|ERROR|/)", line) or "Error" in line
        ]
        raise SelfCheckError(
            f"the benchmarks failed, nothing is kept: {(failed or said[-1:] or ['no word'])[0]}"
        )


def benchmarks_folder() -> Path:
    """In a checkout tests/benchmarks, in an installed wheel the copy that it carries."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "tests" / "benchmarks"
    return checkout if checkout.is_dir() else package / "benchmarks"


def _for_all(left_out: list[dict[str, str]]) -> list[dict[str, str]]:
    """One line where a contender was left out for the same reason everywhere."""
    whys = list(dict.fromkeys((row["contender"], row["why"]) for row in left_out))
    return [{"contender": contender, "problem": "", "why": why} for contender, why in whys]


def _versions() -> dict[str, str]:
    return dict(_installed())


def _installed() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
    import numpy  # noqa: F401 - so that its BLAS is there to be asked
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "blas":
            yield (
                library["internal_api"],
                f"{library['version']} ({library.get('architecture', 'unknown')})",
            )
