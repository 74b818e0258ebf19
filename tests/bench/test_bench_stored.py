"""Stored benchmark runs: what is kept and refused, how runs are merged and compared."""

import json
from dataclasses import replace

import pytest
from _support.bench_runs import BLOCKS, MACHINE, fields, forward, run, series

from rnnparity.bench.measure import from_pytest
from rnnparity.bench.ratios import Change, Ratio, compare, exponent, paired, reference_ratios
from rnnparity.bench.stored import Series, dump, load, merge
from rnnparity.problem.errors import RequestError

# -------------------------------------------------------------------------------------------------------
# stored


def test_dumped_run_is_loaded_unchanged(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(dump(run()))
    assert dump(load(path)) == dump(run())
    lines = [line for line in path.read_text().splitlines() if '"contender"' in line]
    assert lines == sorted(lines)
    assert len(lines) == len(run().series)  # one series a line
    assert '"seconds": [5e-05, 5.1e-05, 4.9e-05, 5.05e-05, 4.95e-05]' in path.read_text()


def pytest_document(**info):
    """What pytest-benchmark stores, shortened."""
    entries = [
        {
            "extra_info": {
                "group": "forward",
                "problem": "p",
                "contender": "c",
                "block": block,
                **info,
            },
            "stats": {"min": seconds, "data": [seconds, 9.0]},
        }
        for block, seconds in ((1, 0.2), (0, 0.1))
    ]
    return {
        "machine_info": {
            "node": "my-laptop", "machine": "x86_64", "system": "Linux", "python_version": "3.11.7",
            "cpu": {"brand_raw": "Abacus 9"},
        },
        "commit_info": {"id": "0123456789abcdef", "dirty": True},
        "left_out": [{"contender": "torch", "problem": name, "why": "torch is not installed"} for name in "pq"],
        "benchmarks": entries,
    }  # fmt: skip


def test_rounds_and_the_name_of_the_host_are_not_stored():
    kept = from_pytest(pytest_document(), False, {"numpy": "2"})
    assert [s.seconds for s in kept.series] == [[0.1, 0.2]]  # in the order of the blocks
    assert kept.commit == "0123456789+changes"
    assert "my-laptop" not in dump(kept)
    assert "9.0" not in dump(kept)
    assert [(out.contender, out.problem) for out in kept.left_out] == [("torch", "")]


def changed(**other):
    return json.dumps(fields(**other))


ROW = series("forward", "p", "c", 1.0)
WHOLE = json.dumps(fields())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1, column 1: invalid JSON"),
        (WHOLE[: len(WHOLE) // 2], "invalid JSON"),
        (WHOLE[:-1], "invalid JSON"),
        (
            changed(format="rnnparity-bench/2"),
            "got format 'rnnparity-bench/2', expected 'rnnparity-bench/1'",
        ),
        ("[]", "got a file without a format, expected 'rnnparity-bench/1'"),
        ("null", "got a file without a format, expected 'rnnparity-bench/1'"),
        (
            json.dumps(pytest_document()),
            "got a file without a format, expected 'rnnparity-bench/1'",
        ),
        (changed(host="my-laptop"), "host: unknown key"),
        (changed(rows=[]), "series: got 0 items, expected at least 1"),
        (
            changed(rows=[{**ROW, "seconds": []}]),
            "series.0.seconds: got 0 items, expected at least 1",
        ),
        (
            changed(rows=[{**ROW, "seconds": [-1.0]}]),
            "series.0.seconds.0: got",
        ),
        (
            changed(rows=[{**ROW, "seconds": ["1"]}]),
            "series.0.seconds.0: got",
        ),
        (changed(rows=[{**ROW, "seconds": [float("nan")]}]), "invalid literal NaN"),
        (changed(rows=[ROW, ROW]), "forward / p / c: got 2 entries, expected 1"),
    ],
)
def test_malformed_run_is_refused(tmp_path, text, what):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(RequestError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert what in str(caught.value)
    assert str(caught.value).endswith("write it with `rnnparity bench`")


@pytest.mark.parametrize("place", [".", "none.json"])
def test_unreadable_file_is_refused(tmp_path, place):
    with pytest.raises(RequestError, match=r"cannot be read: (Is a directory|No such file)"):
        load(tmp_path / place)


# --------------------------------------------------------------------------------------------------------
# merge


def test_runs_of_different_problems_are_merged():
    rows = forward()
    parts = {"a.json": run(rows[:6]), "b.json": run(rows[6:], quick=False)}
    assert dump(merge(parts)) == dump(run(rows))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"commit": "abc"}, "b.json: commit: got abc, expected 0123456789 as in a.json"),
        (
            {"versions": {"numpy": "1"}},
            "b.json: versions: got numpy 1, expected numpy 2.4.6, tensorflow 2.21.0 as in a.json",
        ),
        ({"machine": {**MACHINE, "cores": 4}}, "--any-machine merges them all the same"),
        ({"rows": forward()[:1]}, "b.json: forward / LSTM 1x4x5x3 is in a.json too"),
    ],
)
def test_runs_of_different_origin_are_not_merged(other, what):
    parts = {"a.json": run(forward()[:6]), "b.json": run(**{"rows": forward()[6:], **other})}
    with pytest.raises(RequestError, match=what):
        merge(parts)


def test_runs_of_several_machines_merge_with_any_machine():
    parts = {
        "a": run(forward()[:6]),
        "b": run(forward()[6:], machine={**MACHINE, "processor": "Beads"}),
    }
    assert merge(parts, any_machine=True).machine.processor == "Abacus 9; Beads"


# -------------------------------------------------------------------------------------------------------
# ratios


def timed(*seconds):
    return Series(group="forward", problem="p", contender="c", seconds=list(seconds))


def test_ratio_is_the_median_over_blocks_with_the_middle_half():
    ratio = paired(timed(2.0, 8.0, 4.0, 16.0, 32.0), timed(1.0, 1.0, 1.0, 1.0, 1.0))
    assert ratio.value == pytest.approx(8)
    assert (ratio.low, ratio.high, ratio.fastest, ratio.blocks) == (
        pytest.approx(4),
        pytest.approx(16),
        2,
        5,
    )


def test_load_during_a_whole_block_leaves_the_ratio_unchanged():
    assert paired(timed(2.0, 20.0, 2.0), timed(1.0, 10.0, 1.0)) == Ratio(*[pytest.approx(2)] * 4, 3)


def test_exponent_of_exact_powers():
    assert exponent([1, 10, 100], [3, 30, 300]) == pytest.approx(1)
    assert exponent([2, 4, 8], [4, 16, 64]) == pytest.approx(2)
    assert exponent([2, 4, 8], [7, 7, 7]) == pytest.approx(0)


def test_reference_is_compared_with_products_of_its_own_dtype():
    pairs = {(s.contender, y.contender) for _, s, y in reference_ratios(run())}
    assert ("reference float32", "products float32") in pairs
    assert ("reference float32", "products float64") not in pairs
    assert ("reference float64", "tf.keras eager") in pairs


@pytest.mark.parametrize(
    ("factor", "change"),
    [
        (1.0, Change.INCONCLUSIVE),
        (1.2, Change.INCONCLUSIVE),
        (1.3, Change.SLOWER),
        (0.7, Change.FASTER),
    ],
)
def test_change_beyond_the_spread_is_detected(factor, change):
    found = compare(run(), run(forward(factor)))
    assert len(found) == 10
    assert {c.change for c in found} == {change}
    assert all(c.factor == pytest.approx(factor, rel=1e-3) for c in found)


def test_change_within_the_spread_is_inconclusive():
    before = [dict(row, seconds=[s * f for s, f in zip(row["seconds"], (1, 2, 0.5, 1.5, 1), strict=True)])
              if row["contender"].startswith("reference") else row for row in forward()]  # fmt: skip
    assert {c.change for c in compare(run(before), run(forward(1.3)))} == {Change.INCONCLUSIVE}


def test_run_with_one_block_as_fast_as_before_is_not_slower():
    """On a machine that was busy for most of a run one block shows what the code can do."""
    busy = [dict(row, seconds=[s * f for s, f in zip(row["seconds"], (1.5, 1.5, 1, 1.5, 1.5), strict=True)])
            if row["contender"].startswith("reference") else row for row in forward()]  # fmt: skip
    assert {c.change for c in compare(run(), run(busy))} == {Change.INCONCLUSIVE}


def test_two_blocks_are_inconclusive():
    def short(rows):
        return [dict(row, seconds=row["seconds"][:2]) for row in rows]

    assert {c.change for c in compare(run(short(forward())), run(short(forward(9.0))))} == {
        Change.INCONCLUSIVE
    }
    assert len(BLOCKS) > 2
    (first, *_) = compare(run(), run(forward(9.0)))
    assert replace(first, now=replace(first.now, blocks=2)).change is Change.INCONCLUSIVE
