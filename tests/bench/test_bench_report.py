"""The report and the command `bench`: the page, the Markdown, refusals and real runs."""

import re
import subprocess
import sys

import pytest
from _support.bench_runs import GROWTH, MACHINE, forward, run, series
from _support.command_line import ROOT, environment, here

from rnnparity.bench.ratios import compare
from rnnparity.bench.report import headline, render
from rnnparity.bench.stored import dump, load

__all__ = ["here"]

HARNESS = [
    series("harness", "start-up", "import numpy", 0.1),
    series("harness", "start-up", "rnnparity --help", 0.09),
    series("harness", "verdicts", "check keras", 2.0, count=60, outside=0.1),
]
EVERYTHING = run(forward() + GROWTH + HARNESS)

# -------------------------------------------------------------------------------------------------------
# report


def test_headline_compares_the_reference_with_its_yardsticks():
    assert headline(EVERYTHING) == (
        "One pass of the reference at LSTM (1, 4, 5, 3) takes 50.0 µs: 200 times faster than tf.keras eager, 8.00 "
        "times faster than tf.keras graph and 10.0 times slower than its bare matrix products; one at LSTM "
        "(32, 50, 64, 128) takes 14.0 ms: 2.80 times slower than tf.keras graph and 2.00 times slower than its bare "
        "matrix products."
    )
    own = [row for row in forward() if row["contender"].startswith(("reference", "products"))]
    assert headline(run(own)) == (
        "One pass of the reference at LSTM (1, 4, 5, 3) takes 50.0 µs: 10.0 times slower than its bare matrix "
        "products; one at LSTM (32, 50, 64, 128) takes 14.0 ms: 2.00 times slower than its bare matrix products."
    )
    assert headline(run(HARNESS)).startswith("3 series were timed")


@pytest.mark.parametrize("rows", [None, GROWTH, HARNESS, GROWTH[:1], forward()[:1]])
def test_page_needs_nothing_from_elsewhere(rows):
    page, _ = render(EVERYTHING if rows is None else run(rows), [], None)
    assert "<script" not in page
    assert not re.search(
        r'(?:src|href)="(?!#)', page.replace("xlink:href", "href").replace('href="#', "#")
    )
    assert not re.search(r"url\((?!#)|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert "#010203" not in page
    assert "#040506" not in page


def test_names_are_escaped_in_html():
    page, _ = render(run([series("harness", "<b>start</b>", "<i>x</i>", 1.0)]), [], None)
    assert "<b>start" not in page
    assert "&lt;b&gt;start" in page


def test_markdown_has_the_same_cells_as_the_page():
    now = run(forward(1.4) + GROWTH + HARNESS)
    page, markdown = render(now, compare(EVERYTHING, now), EVERYTHING)
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(blocks) == 5  # changes, ratios, times, growth, harness
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1, block
    cells = {cell.strip() for block in blocks for cell in block.replace("\n", "|").split("|")}
    cells = {cell for cell in cells if cell and not set(cell) <= set("-: ")}
    assert [cell for cell in cells if f">{cell}<" not in page] == []
    assert "Of 10 ratios 0 faster, 10 slower, 0 inconclusive." in markdown
    assert "| slower |" in markdown


def test_growth_exponents_and_harness_ratios_are_reported():
    _, markdown = render(EVERYTHING, [], None)
    assert "| reference float64: time | T = 20 to 2000 | 1.00 | 19.6 ms |" in markdown
    assert "| reference float64: memory | T = 20 to 2000 | 0.00 |" in markdown
    assert "1.11 times faster (1.11 to 1.11) than import numpy" in markdown
    assert (
        "30 a second, 10% of it outside the subject" not in markdown
    )  # the quickest block counts: 1.96 s
    assert "31 a second, 10% of it outside the subject" in markdown


# ------------------------------------------------------------------------------------------------------
# command


@pytest.fixture
def stored(tmp_path):
    """A function that stores a run and gives its path."""

    def store(name, rows=None, **other):
        path = tmp_path / name
        path.write_text(dump(run(rows, **other)))
        return str(path)

    return store


@pytest.fixture
def nothing_is_measured(monkeypatch):
    def measure(*_):
        raise AssertionError("measured")

    monkeypatch.setattr("rnnparity.bench.measure", measure)


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("--fail-above 1.2", "--fail-above: --baseline FILE is missing"),
        ("--from a.json -k LSTM", "--from: merges stored runs; leave out --quick and -k"),
        ("--baseline none.json", "none.json: cannot be read: No such file"),
        ("--from none.json", "none.json: cannot be read: No such file"),
        ("--out file/report", "file/report: cannot be written"),
        ("--out file", "file: cannot be written"),
    ],
)
def test_invalid_request_is_refused_before_measuring(here, tmp_path, monkeypatch, words, what):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    status, out, err = here("bench", *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"rnnparity: {what}")


@pytest.mark.parametrize("package", ["matplotlib"])
def test_missing_report_package_is_reported(here, tmp_path, monkeypatch, package):
    monkeypatch.setattr("rnnparity.bench.find_spec", lambda name: None if name == package else name)
    status, _, err = here("bench", "--out", str(tmp_path))
    assert (status, err) == (
        2,
        f"rnnparity: bench: {package} is missing; run `pip install 'rnnparity[bench]'`\n",
    )


def test_missing_pytest_benchmark_is_reported(here, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["rnnparity.bench.measure"], "find_spec", lambda _: None)
    status, _, err = here("bench", "--out", str(tmp_path))
    assert (status, err) == (
        2,
        "rnnparity: bench: pytest-benchmark is missing; run `pip install 'rnnparity[bench]'`\n",
    )


def test_stored_runs_are_merged_into_one_report(here, stored, tmp_path):
    parts = [stored("a.json", forward()[:6]), stored("b.json", forward()[6:])]
    status, out, err = here(
        "bench", "--from", parts[0], "--from", parts[1], "--out", str(tmp_path / "out")
    )
    assert (status, err) == (0, "")
    assert out.startswith("One pass of the reference at LSTM (1, 4, 5, 3) takes ")
    assert dump(load(tmp_path / "out" / "report.json")) == dump(run())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        "report.md",
        "report.json",
    }


@pytest.mark.parametrize(("limit", "status"), [("1.2", 1), ("1.5", 0)])
def test_slowdown_above_the_limit_fails(here, stored, tmp_path, limit, status):
    words = ["--from", stored("now.json", forward(1.4)), "--baseline", stored("before.json")]
    found, out, _ = here("bench", *words, "--fail-above", limit, "--out", str(tmp_path / "out"))
    assert found == status
    assert "Of 10 ratios 0 faster, 10 slower, 0 inconclusive." in out
    assert ("failed: 10 ratios are slower by more than 1.2" in out) == bool(status)
    assert "slower: LSTM 1x4x5x3: reference float64 / tf.keras eager, 1.40 times" in out


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (
            {"machine": {**MACHINE, "processor": "Beads"}},
            "machine: got Beads, expected Abacus 9; ratios differ between machines",
        ),
        (
            {"rows": HARNESS},
            "no ratio in common with this run; select the same ones with -k",
        ),
    ],
)
def test_run_that_cannot_be_compared_is_still_written(here, stored, tmp_path, other, what):
    before = stored("before.json", **other)
    words = ["--from", stored("now.json"), "--baseline", before, "--out", str(tmp_path / "out")]
    status, out, err = here("bench", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"rnnparity: {before}: {what}")
    assert (tmp_path / "out" / "report.json").exists()
    if "machine" in other:
        assert here("bench", *words, "--any-machine")[0] == 0


# ---------------------------------------------------------------------------------------------------
# real runs

ONE = "test_forward and SimpleRNN and 1x4x5x3 and (reference or products) and not Evaluator"
WRONG = """
import contenders
def pytest_collection_modifyitems():
    ready = contenders.CONTENDERS["reference float32"]
    def wrong(problem):
        call = ready(problem)
        return lambda: call() + 0.001
    def missing(problem):
        contenders.needs("no_such_module")
    contenders.CONTENDERS["reference float32"] = {}
"""


def bench(folder, how="", k=ONE):
    """A real run; `how`: what stands for a contender."""
    (folder / "injected.py").write_text(WRONG.format(how or "ready"))
    given = {"PYTEST_ADDOPTS": "-p injected"} if how else {}
    words = [
        sys.executable,
        "-m",
        "rnnparity",
        "bench",
        "--quick",
        "-k",
        k,
        "--out",
        str(folder / "out"),
    ]
    return subprocess.run(
        words, env=environment(folder, **given), capture_output=True, text=True, check=False
    )


def test_real_run_times_every_contender_in_blocks(tmp_path):
    done = bench(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (problem,) = load(tmp_path / "out" / "report.json").find("forward").values()
    assert list(problem) == [
        "products float32",
        "products float64",
        "reference float32",
        "reference float64",
    ]
    assert all(len(each.seconds) == 5 for each in problem.values())


def test_contender_with_wrong_outputs_is_not_timed(tmp_path):
    done = bench(tmp_path, "wrong")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "reference float32: output is off by " in done.stderr
    assert "sigma (10 allowed); nothing was timed" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_contender_that_is_not_installed_is_skipped_by_name(tmp_path):
    done = bench(tmp_path, "missing")
    assert done.returncode == 0
    assert "skipped: reference float32: no_such_module is not installed\n" in done.stdout
    assert (
        "reference float32: no_such_module is not installed"
        in (tmp_path / "out" / "report.html").read_text()
    )


def test_selection_of_no_benchmark_is_refused(tmp_path):
    done = bench(tmp_path, k="nobody")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("rnnparity: -k 'nobody': selects no benchmark")


@pytest.mark.slow
def test_benchmarks_run_only_where_they_are_named():
    def collected(*words):
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout

    others = [
        path for path in (ROOT / "tests").iterdir() if path.name not in {"benchmarks", "verdict"}
    ]
    found = collected("tests", *(f"--ignore={path}" for path in others))
    assert "verdict/test_compare.py" in found
    assert "benchmarks/" not in found
    assert "benchmarks/test_growth.py" in collected("tests/benchmarks")
