"""Stored runs of random problems: continued where they stopped, whatever ended them."""

import json
from dataclasses import replace

import pytest

from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.stored.fuzz import StoredLog, load_runs
from rnnparity.session import fuzz as fuzzing
from rnnparity.session import random_problems
from rnnparity.session.fuzz import FuzzRun, fuzz
from rnnparity.session.fuzz_records import Record, SeedRecords
from rnnparity.session.fuzz_tally import REASONS, SeedSet, Tally, merged

RUN = FuzzRun("mine", {"mine": "1"}, (0, 9), date="2026-11-30", rnnparity="0.2")


def seed(number, verdict=Verdict.AGREES):
    return SeedRecords(number, (Record(f"fuzz-{number}-0", "float32", verdict, 0.5),))


@pytest.fixture
def path(tmp_path):
    log = StoredLog(tmp_path / "run.jsonl")
    log.begin(RUN)
    for number in (0, 2, 1):
        log.add(seed(number))
    return tmp_path / "run.jsonl"


def test_a_line_is_what_is_run_and_each_further_one_a_seed(path):
    head, *seeds = [json.loads(line) for line in path.read_text().splitlines()]
    assert (head["format"], head["subject"]) == ("rnnparity-fuzz/2", "mine")
    assert [line["seed"] for line in seeds] == [0, 2, 1]
    record = {"id": "fuzz-0-0", "dtype": "float32", "verdict": "agrees", "sigma": 0.5}
    assert seeds[0] == {"seed": 0, "records": [record]}


@pytest.mark.parametrize("cut", range(1, 90, 7))
def test_a_seed_that_was_cut_off_is_run_again(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    (stored,) = load_runs([path])
    assert stored.tally.problems == 2
    log = StoredLog(path)
    assert [log.has(number) for number in range(4)] == [True, False, True, False]
    log.begin(RUN)
    log.add(seed(1))
    (complete,) = load_runs([path])
    assert complete.tally.problems == log.tally.problems == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"subject": "other"}, "subject: got mine, expected other"),
        ({"versions": {"mine": "2"}}, "versions: got"),
        ({"rnnparity": "0.3"}, "rnnparity: got 0.2, expected 0.3"),
        ({"precision": "float16"}, "precision: got none, expected float16"),
        ({"gradients": True}, "compared: got outputs, expected gradients to continue"),
    ],
)
def test_another_run_does_not_continue(path, other, message):
    before = path.read_bytes()
    fields = {"subject": "mine", "versions": {"mine": "1"}, "rnnparity": "0.2", **other}
    run = FuzzRun(**fields, seeds=(0, 9), date="2026-12-24")
    with pytest.raises(RequestError, match=message):
        StoredLog(path).begin(run)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}\n", "got a file without a format"),
        ("text\n", "line 1"),
        ('{"format": "rnnparity-fuzz/1"}\n', "run of an earlier version; name a new file"),
        ("cut off", "got a file without a format"),
    ],
)
def test_a_file_of_something_else_is_left_alone(tmp_path, content, message):
    (tmp_path / "file").write_text(content)
    with pytest.raises(RequestError, match=message):
        StoredLog(tmp_path / "file")
    assert (tmp_path / "file").read_text() == content


def test_a_malformed_line_in_the_middle_is_refused_with_its_number(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], '{"seed": 5}', *lines[2:], ""]))
    for read in (StoredLog, lambda file: load_runs([file])):
        with pytest.raises(RequestError, match=r"run.jsonl: line 3: "):
            read(path)


def test_parts_of_the_seeds_add_up_to_the_whole(tmp_path, monkeypatch):
    for module in (random_problems, fuzzing):
        monkeypatch.setattr(module, "DRAWS", 2)
    whole = StoredLog(tmp_path / "whole")
    fuzz("reference", range(5), log=whole)
    parts = [tmp_path / "a", tmp_path / "b"]
    for file, seeds in zip(parts, (range(3, 5), range(3)), strict=True):
        fuzz("reference", seeds, log=StoredLog(file))
    total = Tally()
    for run in load_runs(parts):
        total.update(run.tally)
    assert total.summaries() == whole.tally.summaries()
    again = StoredLog(tmp_path / "whole")
    size = (tmp_path / "whole").stat().st_size
    fuzz("reference", range(5), log=again)
    assert (tmp_path / "whole").stat().st_size == size
    assert again.tally.summaries() == whole.tally.summaries()


def test_counts_do_not_depend_on_the_order_of_the_seeds():
    verdicts = [Verdict.DIVERGES, Verdict.AGREES, Verdict.ERROR, Verdict.DIVERGES] * 8
    seeds = [seed(number, verdict) for number, verdict in enumerate(verdicts)]
    forward, backward = Tally(seeds), Tally(seeds[::-1])
    assert forward.failing == backward.failing
    assert [record.order[0] for record in forward.failing] == [0, 2, 3, 4, 6, 7, 8, 10, 11, 12]
    assert forward.failures == 24
    assert forward.summaries() == backward.summaries()


def test_a_set_of_seeds_has_what_was_added():
    seeds = SeedSet()
    added = (0, 1023, 1024, 10**12)
    for number in added:
        seeds.add(number)
    assert [number in seeds for number in (*added, 1, 2048, 10**12 - 1)] == [True] * 4 + [False] * 3


def test_runs_of_gradients_and_of_outputs_are_not_merged(path, tmp_path):
    log = StoredLog(tmp_path / "gradients.jsonl")
    log.begin(replace(RUN, gradients=True))
    log.add(seed(3))
    (run,) = load_runs([tmp_path / "gradients.jsonl"])
    assert run.gradients
    with pytest.raises(RequestError, match="compared: got gradients, expected outputs as in"):
        load_runs([path, tmp_path / "gradients.jsonl"])


def test_reasons_are_counted_up_to_a_number():
    def unsupported(number):
        return Record(
            f"fuzz-{number}-0", "float32", Verdict.UNSUPPORTED, 0.0, reason=f"row {number}"
        )

    seeds = [SeedRecords(n, (unsupported(n),)) for n in range(REASONS + 5)]
    tally = Tally([*seeds, SeedRecords(999, (unsupported(0),))])
    total = merged([tally, Tally(seeds[:1])])
    assert len(total.unsupported) == REASONS
    assert total.unsupported["row 0"] == 3
