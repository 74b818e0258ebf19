"""The report and the command `bench`: one page, the same as Markdown, and what is said before and
after."""

import re
import subprocess
import sys

import pytest
from _support.bench_runs import GROWTH, MACHINE, forward, run, series
from _support.command_line import ROOT, environment, here

from rnnparity.bench.ratios import compare
from rnnparity.bench.report import headline, render
from rnnparity.bench.stored import dump, load
from rnnparity.bench.targets import figures

__all__ = ["here"]

HARNESS = [
    series("harness", "start-up", "import numpy", 0.1),
    series("harness", "start-up", "rnnparity --help", 0.09),
    series("harness", "verdicts", "check keras", 2.0, count=60, outside=0.1),
]
EVERYTHING = run(forward() + GROWTH + HARNESS)

# -------------------------------------------------------------------------------------------------------
# report


def test_the_headline():
    assert headline(EVERYTHING) == (
        "One pass of the reference at LSTM (1, 4, 5, 3) takes 50.0 µs: 200 times faster than tf.keras eager, 8.00 "
        "times faster than tf.keras graph and 10.0 times as long as its bare matrix products; one at LSTM "
        "(32, 50, 64, 128) takes 14.0 ms: 2.80 times as long as tf.keras graph and 2.00 times as long as its bare "
        "matrix products."
    )
    own = [row for row in forward() if row["contender"].startswith(("reference", "products"))]
    assert headline(run(own)) == (
        "One pass of the reference at LSTM (1, 4, 5, 3) takes 50.0 µs: 10.0 times as long as its bare matrix products; "
        "one at LSTM (32, 50, 64, 128) takes 14.0 ms: 2.00 times as long as its bare matrix products."
    )
    assert headline(run(HARNESS)).startswith("3 series were timed")


@pytest.mark.parametrize("rows", [None, GROWTH, HARNESS, GROWTH[:1], forward()[:1]])
def test_a_page_stands_alone(rows):
    page, _ = render(EVERYTHING if rows is None else run(rows), [], None)
    assert "<script" not in page
    assert not re.search(
        r'(?:src|href)="(?!#)', page.replace("xlink:href", "href").replace('href="#', "#")
    )
    assert not re.search(r"url\((?!#)|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert "#010203" not in page
    assert "#040506" not in page


def test_names_are_escaped():
    page, _ = render(run([series("harness", "<b>start</b>", "<i>x</i>", 1.0)]), [], None)
    assert "<b>start" not in page
    assert "&lt;b&gt;start" in page


def test_the_markdown_holds_the_same_tables():
    now = run(forward(1.4) + GROWTH + HARNESS)
    page, markdown = render(now, compare(EVERYTHING, now), EVERYTHING)
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(blocks) > 5
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1, block
    cells = {cell.strip() for block in blocks for cell in block.replace("\n", "|").split("|")}
    cells = {cell for cell in cells if cell and not set(cell) <= set("-: ")}
    assert [cell for cell in cells if f">{cell}<" not in page] == []
    assert "Of 10 ratios 0 faster, 10 slower, 0 inconclusive." in markdown
    assert "| slower |" in markdown


def test_the_exponent_and_what_belongs_together():
    _, markdown = render(EVERYTHING, [], None)
    assert "| reference float64: time | T = 20 to 2000 | 1.00 | 19.6 ms |" in markdown
    assert "| reference float64: memory | T = 20 to 2000 | 0.00 |" in markdown
    assert "0.900 (0.900 to 0.900) times import numpy" in markdown
    assert (
        "30 a second, 10% of it outside the subject" not in markdown
    )  # the quickest block counts: 1.96 s
    assert "31 a second, 10% of it outside the subject" in markdown


def test_a_figure_that_is_missed_says_why():
    found = list(figures(EVERYTHING))
    assert [f.met for f in found if f.problem == "LSTM 32x50x64x128"] == [False, False]
    assert all(figure.reason for figure in found if not figure.met)
    (floor,) = [
        f
        for f in figures(run([*forward(), *slow_products()]))
        if f.floor and f.floor.value > f.wanted
    ]
    assert floor.reason == "its matrix products alone take 1.2 times as long"
    (own,) = [f for f in figures(run(slow_products(2.0))) if f.yardstick == "products float32"]
    assert own.reason == "60% of it are matrix products"


def slow_products(reference=1.5):
    large = "LSTM 32x100x256x512"
    times = {"products float32": 1.2, "reference float32": reference, "tf.keras graph": 1.0}
    return [series("forward", large, name, seconds) for name, seconds in times.items()]


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
        ("--fail-above 1.2", "--fail-above needs --against FILE"),
        ("--from a.json -k LSTM", "--from takes stored runs as they are: leave out --quick and -k"),
        ("--against none.json", "none.json: cannot be read: No such file"),
        ("--from none.json", "none.json: cannot be read: No such file"),
        ("--out file/report", "file/report: no report can be written there"),
        ("--out file", "file: no report can be written there"),
    ],
)
def test_what_is_refused_before_anything_is_measured(here, tmp_path, monkeypatch, words, what):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    status, out, err = here("bench", *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"rnnparity: {what}")


@pytest.mark.parametrize("package", ["matplotlib"])
def test_what_the_report_needs(here, tmp_path, monkeypatch, package):
    monkeypatch.setattr("rnnparity.bench.find_spec", lambda name: None if name == package else name)
    status, _, err = here("bench", "--out", str(tmp_path))
    assert (status, err) == (
        2,
        f"rnnparity: the report needs {package}: `pip install 'rnnparity[bench]'`\n",
    )


def test_what_measuring_needs(here, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["rnnparity.bench.measure"], "find_spec", lambda _: None)
    status, _, err = here("bench", "--out", str(tmp_path))
    assert (status, err) == (
        2,
        "rnnparity: the benchmarks need pytest-benchmark: `pip install 'rnnparity[bench]'`\n",
    )


def test_stored_runs_become_one_report(here, stored, tmp_path):
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
def test_a_slowdown_fails_above_the_limit(here, stored, tmp_path, limit, status):
    words = ["--from", stored("now.json", forward(1.4)), "--against", stored("before.json")]
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
            "was run on another machine (Beads; here Abacus 9)",
        ),
        (
            {"rows": HARNESS},
            "has no ratio in common with this run; choose the same benchmarks with -k",
        ),
    ],
)
def test_what_cannot_be_compared_is_kept_nevertheless(here, stored, tmp_path, other, what):
    before = stored("before.json", **other)
    words = ["--from", stored("now.json"), "--against", before, "--out", str(tmp_path / "out")]
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


def test_a_run(tmp_path):
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


def test_what_computes_something_else_is_not_timed(tmp_path):
    done = bench(tmp_path, "wrong")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "reference float32: output is " in done.stderr
    assert "sigma off (10 are allowed); nothing was timed" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_not_installed_is_left_out_by_name(tmp_path):
    done = bench(tmp_path, "missing")
    assert done.returncode == 0
    assert "left out: reference float32: no_such_module is not installed\n" in done.stdout
    assert (
        "reference float32: no_such_module is not installed"
        in (tmp_path / "out" / "report.html").read_text()
    )


def test_nothing_is_chosen(tmp_path):
    done = bench(tmp_path, k="nobody")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("rnnparity: -k 'nobody' chooses no benchmark")


def test_benchmarks_run_where_they_are_named_alone():
    def collected(*words):
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout

    assert "benchmarks/" not in collected("tests/benchmarks/..", "--ignore-glob=*catalogue*")
    assert "benchmarks/test_growth.py" in collected("tests/benchmarks")
