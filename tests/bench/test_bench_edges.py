"""Edge cases of stored benchmark runs and their report: truncated files, limits, odd names."""

import json
import os
import re
import subprocess
import sys

import pytest
from _support.bench_runs import GROWTH, MACHINE, fields, forward, run, series
from _support.command_line import environment, here

from rnnparity.bench.ratios import Change, compare
from rnnparity.bench.report import headline, render
from rnnparity.bench.stored import dump, load, merge
from rnnparity.problem.errors import RequestError

__all__ = ["here"]

WHOLE = dump(run())
LARGE = "LSTM 32x100x256x512"


# -------------------------------------------------------------------------------------------------------
# stored


@pytest.mark.parametrize(
    "place", [1, 20, WHOLE.index('"series"') + 20, len(WHOLE) - 40, len(WHOLE) - 3]
)
def test_truncated_run_is_refused_in_one_line(tmp_path, place):
    path = tmp_path / "report.json"
    path.write_text(WHOLE[:place])
    with pytest.raises(
        RequestError, match=r"invalid JSON: .*; write it with `rnnparity bench`$"
    ) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: line ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"seconds": [1e300]}, "less than 1000000000"),
        ({"seconds": [1e-300]}, "more than 1e-12"),
        ({"seconds": [0.0]}, "more than 1e-12"),
        ({"axis": "T", "extent": 0}, "extent: got"),
        ({"axis": "T", "extent": -5}, "extent: got"),
        ({"peak_bytes": -1}, "peak_bytes: got -1, expected more than 0"),
        ({"count": 0}, "count: got 0, expected more than 0"),
    ],
)
def test_numbers_without_a_logarithm_are_refused(tmp_path, other, what):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(fields([{**series("growth", "p", "c", 1.0), **other}])))
    with pytest.raises(RequestError, match=what):
        load(path)


def test_stored_run_is_small_and_names_no_host():
    assert len(WHOLE) < 200 * len(run().series) + 500
    assert os.uname().nodename not in WHOLE


def test_same_problem_in_two_runs_is_not_merged(tmp_path):
    with pytest.raises(
        RequestError, match=r"^b: forward / LSTM 1x4x5x3 is in a too; merge runs of different"
    ):
        merge({"a": run(), "b": run()})
    with pytest.raises(RequestError, match=r"^b: threads: got 2, expected 1 as in a$"):
        merge({"a": run(forward()[:6]), "b": run(forward()[6:], threads=2)}, any_machine=True)


# -------------------------------------------------------------------------------------------------------
# report


def rows_of(*names, problem=LARGE):
    return [series("forward", problem, name, seconds) for name, seconds in names]


SIZES = ["LSTM 1x4x5x3", "LSTM 8x16x16x32", "LSTM 32x50x64x128", LARGE]


def test_small_problems_come_before_large_ones():
    rows = [
        row
        for size in SIZES
        for row in rows_of(("reference float64", 1.0), ("products float32", 1.0), problem=size)
    ]
    page, markdown = render(run(rows), [], None)
    assert list(run(rows[::-1]).find("forward")) == SIZES
    assert (
        "|  | (1, 4, 5, 3) | (8, 16, 16, 32) | (32, 50, 64, 128) | (32, 100, 256, 512) |"
        in markdown
    )
    assert re.findall(r"> *(\d+×\d+×\d+×\d+)", page) == [
        size[5:].replace("x", "×") for size in SIZES
    ]


def test_headline_names_the_reference():
    own = rows_of(("reference float64", 2.0), ("products float64", 1.0), problem="GRU 8x16x16x32")
    assert headline(run(own)) == (
        "One pass of the reference at GRU (8, 16, 16, 32) takes 2.00 s: 2.00 times slower than "
        "its bare matrix products."
    )
    middle = rows_of(
        ("reference float64", 2.0), ("tf.keras graph", 4.0), problem="LSTM 32x50x64x128"
    )
    assert headline(run(middle)).endswith(
        "(32, 50, 64, 128) takes 2.00 s: 2.00 times faster than tf.keras graph."
    )
    assert headline(run(rows_of(("reference float64", 2.0)))).startswith(
        "1 series were timed, none of the reference"
    )


NAMES = ["<b>bold</b>", "a|b", "two\nlines", "a$b_{$c", "back\\slash|", "&amp;", "--- | ---"]


@pytest.mark.parametrize("name", NAMES)
def test_tables_survive_any_name_of_a_contender(name):
    rows = rows_of(
        (name, 2.0),
        ("products float32", 1.0),
        ("products float64", 1.0),
        ("reference float64", 3.0),
    )
    rows += [series("growth", f"p{n}", name, n * 1e-3, axis="T", extent=n) for n in (1, 10)]
    rows += [series("harness", "start-up", name, 1.0)]
    left_out = [{"contender": name, "problem": "", "why": name}]
    page, markdown = render(run(rows, left_out=left_out), [], None)
    assert "<b>" not in page
    assert "<b>" not in markdown.replace("\\<", "")
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(blocks) == 4  # ratios, times, growth, harness
    for block in blocks:
        assert (
            len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in block.splitlines()}) == 1
        ), block
        assert block.count("\n") > 2


def test_axes_have_plain_numbers():
    page, _ = render(
        run(GROWTH + rows_of(("reference float64", 99.0), ("products float32", 1.0))), [], None
    )
    words = [word.strip() for word in re.findall(r"<text[^>]*>([^<]*)</text>", page)]
    assert {"20", "200", "2000", "1 ms", "10 ms", "1", "10", "reference float64"} <= set(words)
    assert not [word for word in words if "$" in word or "mathdefault" in word]
    assert "<tspan" not in page  # how exponents are set


@pytest.mark.parametrize(
    "rows", [GROWTH, forward(), [series("harness", "start-up", "import numpy", 0.1)]]
)
def test_page_loads_nothing_from_elsewhere(rows):
    page, _ = render(run(rows), [], None)
    named = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert "http:" not in named.replace("http://www.w3.org/Graphics/SVG/1.1/DTD", "")
    assert "https:" not in named
    assert "<link" not in page
    assert "<metadata" not in page


def test_most_changed_ratio_comes_first_and_three_blocks_suffice():
    now = [dict(row, seconds=[s * (2 if row["contender"] == "reference float32" else 1) for s in row["seconds"]])
           for row in forward(1.5)]  # fmt: skip
    compared = compare(run(), run(now))
    assert {round(c.factor, 3) for c in compared} == {1.5, 3.0}
    _, markdown = render(run(now), compared, run())
    changes = markdown.partition("## Changes")[2].partition("## Ratios")[0]
    factors = [line.split(" | ")[3] for line in changes.splitlines() if line.endswith("| slower |")]
    assert factors == sorted(factors, reverse=True)

    def three(rows):
        return [dict(row, seconds=row["seconds"][:3]) for row in rows]

    assert {c.change for c in compare(run(three(forward())), run(three(forward(1.5))))} == {
        Change.SLOWER
    }


# ------------------------------------------------------------------------------------------------------
# command


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.json"])
def test_folder_in_place_of_a_file_is_refused_before_measuring(here, tmp_path, monkeypatch, name):
    monkeypatch.setattr("rnnparity.bench.measure", lambda *_: pytest.fail("measured"))
    (tmp_path / name).mkdir()
    status, out, err = here("bench", "--out", str(tmp_path))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"rnnparity: {tmp_path / name}: cannot be written: it is a folder")


def test_broken_baseline_is_refused_before_measuring(here, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnparity.bench.measure", lambda *_: pytest.fail("measured"))
    before = tmp_path / "before.json"
    before.write_text(WHOLE[: len(WHOLE) // 2])
    status, out, err = here("bench", "--baseline", str(before), "--out", str(tmp_path / "out"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"rnnparity: {before}: line ")
    assert not (tmp_path / "out").exists()


def test_run_is_written_although_the_baseline_is_of_another_machine(here, tmp_path):
    now, before = tmp_path / "now.json", tmp_path / "before.json"
    now.write_text(WHOLE)
    before.write_text(dump(run(machine={**MACHINE, "processor": "Beads"})))
    words = ["bench", "--from", str(now), "--baseline", str(before), "--out", str(tmp_path / "out")]
    status, _, err = here(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert (tmp_path / "out" / "report.json").read_text() == WHOLE


# ---------------------------------------------------------------------------------------------------
# real runs

INJECTED = """
import contenders
def pytest_collection_modifyitems():
    def missing(problem):
        contenders.needs("no_such_module")
    contenders.CONTENDERS["PyTorch"] = missing
"""


def measured(folder, k):
    (folder / "injected.py").write_text(INJECTED)
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
    given = environment(folder, PYTEST_ADDOPTS="-p injected")
    return subprocess.run(words, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("k", "what"),
    [
        (
            "test_forward and SimpleRNN and 1x4x5x3 and PyTorch",
            "bench: what the selected benchmarks need is not installed",
        ),
        ("test_forward and", "-k 'test_forward and': wrong expression"),
    ],
)
def test_selection_that_cannot_run_is_refused(tmp_path, k, what):
    done = measured(tmp_path, k)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"rnnparity: {what}")
    assert not (tmp_path / "out").exists()
