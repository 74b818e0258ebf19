"""The project's figures, measured: `pytest tests/bench_figures.py` (not collected by default; compare by ratios).

Noisy machines are the rule, so nothing here fails by the clock; what matters is in the table and in `extra_info`.
"""

import subprocess
import sys
from time import perf_counter

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.runner import one_blas_thread, verdict_of
from rnnparity.tolerance import expect
from rnnparity.workers import Workers

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def command(*arguments):
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def test_import_numpy(benchmark):
    benchmark.pedantic(command, ("-c", "import numpy"), rounds=10)


def test_help(benchmark):
    """At most 1.5 times `import numpy`."""
    benchmark.pedantic(command, ("-m", "rnnparity", "--help"), rounds=10)


def test_check_reference(benchmark):
    """All goldens against the reference, no framework: 2 s."""
    benchmark.pedantic(command, ("-m", "rnnparity", "check", "reference"), rounds=5)


def test_check_keras(benchmark):
    """The default check, cold start included: 30 s for 2,000 cases."""
    benchmark.extra_info["cases"] = len(catalogue())
    benchmark.pedantic(command, ("-m", "rnnparity", "check"), rounds=1)


@pytest.mark.parametrize("plugin", ["with", "without"])
def test_a_run_that_does_not_use_the_plugin(benchmark, tmp_path, plugin):
    """The plugin adds less than 20 ms."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    arguments = [*PYTEST, *(["-p", "no:rnnparity"] if plugin == "without" else []), str(tmp_path)]
    benchmark.pedantic(subprocess.run, (arguments,), {"check": True, "capture_output": True}, rounds=10)


def test_what_the_harness_adds(benchmark):
    """Beside the time inside the subject: at most 10 %, with one worker, the reference and its noise included."""
    cases = [case for case in catalogue().values() if "pairs" in case.case.tags]

    def judged():
        start, inside = perf_counter(), 0.0
        for outcome in workers.run(cases):
            verdict_of(outcome, expect(outcome.problem), None)
            inside += outcome.answer.seconds if outcome.answer else 0.0
        return perf_counter() - start, inside

    with one_blas_thread(), Workers("keras", 1) as workers:
        workers.versions()
        wall, inside = benchmark.pedantic(judged, rounds=1)
    benchmark.extra_info.update(wall_s=wall, inside_s=inside, added_percent=100 * (wall / inside - 1))
    print(f"\nwall {wall:.2f} s, inside the subject {inside:.2f} s, added {100 * (wall / inside - 1):.1f} %")
