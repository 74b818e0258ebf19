"""`rnnparity fuzz`: what is printed and stored, and its exit status."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
from _support.command_line import here, own_package

from rnnparity.problem.problem import Problem
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.stored.fuzz import StoredLog, load_runs
from rnnparity.report.text.fuzz import fuzz_lines
from rnnparity.session.fuzz import FuzzRun
from rnnparity.session.fuzz_records import Record, SeedRecords
from rnnparity.session.fuzz_tally import Tally

__all__ = ["here"]


def run_of(*records, subject="keras", seeds=(0, 9), **fields):
    fields = {"date": "2026-11-30", "rnnparity": "0.2", **fields}
    seeds_of_records = {record.order[0]: None for record in records}
    finished = [
        SeedRecords(seed, tuple(record for record in records if record.order[0] == seed))
        for seed in seeds_of_records
    ]
    return FuzzRun(subject, {"keras": "3.15.1"}, seeds, **fields), finished


def record(number=0, verdict="agrees", sigma=0.5, **fields):
    return Record(f"fuzz-{number}-0", "float32", Verdict(verdict), sigma, **fields)


FINE = run_of(
    record(0, rejected_by=("np.allclose",)),
    record(0, "diverges", 400.0, change="scaled"),
    record(1, "inconclusive"),
)
WRONG = run_of(
    record(2, "diverges", 1e9),
    record(3, "error", 0.0, reason="worker died by SIGSEGV"),
    subject="cmd:./my engine",
)

KNOWN = run_of(record(0), record(4, "known", 400.0, known=("a-difference", "another-one")))


RECORD = dataclasses.asdict(record())


@pytest.fixture
def stored(tmp_path):
    def store(name, run):
        log = StoredLog(tmp_path / name)
        log.begin(run[0])
        for seed in run[1]:
            log.add(seed)
        return str(tmp_path / name)

    return store


def test_a_run_is_stored_and_read_back(stored, tmp_path):
    stored("a.json", FINE)
    (run,) = load_runs([tmp_path / "a.json"])
    assert run == FINE[0]
    assert run.tally.summaries() == Tally(FINE[1]).summaries()


def test_known_differences_are_stored_and_counted(here, stored):
    status, out, _ = here("fuzz", "--from", stored("k.json", KNOWN))
    assert "known: a-difference + another-one: 1 problem of keras" in out
    assert status == 0


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (FINE, 0),
        (WRONG, 1),
        (KNOWN, 0),
        (run_of(record(0, "inconclusive"), record(1, "unsupported")), 2),
    ],
)
def test_the_exit_status_of_a_run(here, stored, run, status):
    assert here("fuzz", "--from", stored("a.json", run))[0] == status


def test_problems_that_are_unsupported_are_counted_below_the_table(here, stored):
    run = run_of(record(0, "agrees"), record(1, "unsupported"))
    _, out, _ = here("fuzz", "--from", stored("a.json", run))
    assert "\nfloat32: 1 of 2 problems are unsupported\n" in out
    assert "unsupported" not in here("fuzz", "--from", stored("b.json", FINE))[1]


def test_most_frequent_reasons_why_problems_are_unsupported_are_named(here, stored):
    reasons = ["no masks", "no GRU", "no GRU", "no stacks", "no stacks", "no dtype", "no dtype"]
    run = run_of(*(record(n, "unsupported", reason=reason) for n, reason in enumerate(reasons)))
    status, out, err = here("fuzz", "--from", stored("a.json", run))
    assert (status, err.count("\n")) == (2, 1)
    assert "a larger -n, or select layers with -k" in err
    lines = [line for line in out.splitlines() if line.startswith("keras: unsupported: ")]
    assert lines == [
        f"keras: unsupported: {reason} (2 problems)"
        for reason in ("no GRU", "no dtype", "no stacks")
    ]


def test_unsupported_problems_of_a_run_have_their_reasons(here, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(own_package(tmp_path)))
    _, out, _ = here("fuzz", "own.functions:unsupported", "-n", "8", "-j", "1")
    assert "\nown.functions:unsupported: unsupported: not today (8 problems)\n" in out


def test_a_type_that_is_unsupported_throughout_has_no_row(here, stored):
    wide = dataclasses.replace(record(1, "unsupported"), dtype="float64")
    _, out, _ = here("fuzz", "--from", stored("a.json", run_of(record(0), wide)))
    assert "\nfloat64: 1 of 1 problems are unsupported\n" in out
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["dtype", "float32"]
    assert out.count("float64") == 1
    assert "keras: 1 verdicts" in out


def test_seeds_are_selected_by_words(here, tmp_path):
    path = str(tmp_path / "a.json")
    words = ("fuzz", "reference", "-n", "8", "-k", "simple_rnn and not stack and not mask")
    status, out, _ = here(*words, "--json", path)
    (run,) = load_runs([tmp_path / "a.json"])
    assert status == 0
    assert run.tally.problems == 8
    assert f"seeds {run.seeds[0]}..{run.seeds[0]}" in out
    status, out, err = here("fuzz", "reference", "--seeds", "0..3", "-k", "no-such-word")
    assert (status, out) == (2, "")
    assert err.startswith("rnnparity: -k 'no-such-word': matches no seed")


def old(run, **fields):
    """Return a run as version 1 stored it."""
    records = [dataclasses.asdict(record) for seed in run[1] for record in seed.records]
    head = dataclasses.asdict(dataclasses.replace(run[0], tally=None))
    del head["tally"], head["precision"], head["gradients"]
    return {"format": "rnnparity-fuzz/1", **head, "records": records, **fields}


def test_an_interrupted_run_is_announced_once(here, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(old(FINE, interrupted=True)))
    status, out, err = here("fuzz", "--from", str(tmp_path / "a.json"))
    assert (status, err) == (130, "rnnparity: interrupted\n")
    assert ", interrupted" in out


def test_a_run_of_version_1_gives_the_same_table(here, stored, tmp_path):
    (tmp_path / "old.json").write_text(json.dumps(old(FINE)))
    tables = [
        here("fuzz", "--from", path) for path in (stored("a.json", FINE), tmp_path / "old.json")
    ]
    assert tables[0] == tables[1]


def test_stored_runs_are_merged_into_one_table(here, stored):
    words = ["--from", stored("a.json", FINE), "--from", stored("b.json", WRONG)]
    status, out, err = here("fuzz", *words)
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "fuzz-2-0: cmd:./my engine diverges (1e9 sigma)",
        "  explain: rnnparity explain fuzz-2-0 --subject 'cmd:./my engine'",
        "fuzz-3-0: cmd:./my engine error: worker died by SIGSEGV",
        "  explain: rnnparity explain fuzz-3-0 --subject 'cmd:./my engine'",
        "dtype    verdicts  fail  inconclusive  max error  detected, scaled  detected, signs  smallest",
        "float32         4     2        25.0 %        1e9               1/1              0/0   2.5e-05",
        "np.allclose would reject 1 of 3 float32 outputs",
        "torch would reject 0 of 3 float32 outputs",
        "onnx would reject 0 of 3 float32 outputs",
        "keras: 2 verdicts, seeds 0..1 (keras 3.15.1)",
        "cmd:./my engine: 2 verdicts, seeds 2..3 (keras 3.15.1)",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "rnnparity-report/2"}, "expected 'rnnparity-fuzz/2'"),
        ({"seeds": [1]}, "seeds"),
        ({"more": 1}, "more"),
        ({"records": []}, "records"),
        ({"date": "today"}, "date"),
        ({"records": [{**RECORD, "dtype": "2**-99"}]}, "dtype"),
        ({"records": [{**RECORD, "verdict": "other"}]}, "verdict"),
        ({"records": [{**RECORD, "sigma": -1.0}]}, "sigma"),
    ],
)
def test_a_malformed_run_is_refused_in_one_line(here, tmp_path, change, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(old(FINE, **change)))
    status, out, err = here("fuzz", "--from", str(path))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(path) in err
    assert message in err


def test_runs_that_do_not_belong_together_are_refused(here, stored):
    first = stored("a.json", FINE)
    for number, (run, message) in enumerate(
        (
            (FINE, "keras: seed 0 occurs twice"),
            (run_of(record(7), rnnparity="0.3"), "rnnparity: got 0.3, expected 0.2"),
        )
    ):
        status, _, err = here("fuzz", "--from", first, "--from", stored(f"{number}.json", run))
        assert (status, message in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "5"], "--seeds: got '5', expected FIRST..LAST, such as 0..99"),
        (["--seeds", "5..4"], "--seeds: got '5..4', expected"),
        (["keras", "--from", "x.json"], "--from merges stored runs"),
        (["--precision", "2**-9", "--from", "x.json"], "remove SUBJECT"),
        (["no-such"], "unknown name"),
        (["reference", "--dask", "tcp://x:1", "-j", "2"], "-j: remove it with --dask"),
        (["--from", "x.json", "--dask", "tcp://x:1"], "--gradients and --dask"),
        (["--json", "/nowhere/x.json"], "/nowhere/x.json"),
    ],
)
def test_a_bad_request_is_refused_in_one_line(here, words, message):
    status, out, err = here("fuzz", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_cluster_without_dask_is_refused_in_one_line(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, out, err = here("fuzz", "reference", "-n", "1", "--dask", "tcp://127.0.0.1:9")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "run pip install 'rnnparity[dask]'" in err


def test_a_subject_is_run_and_its_verdicts_are_stored(here, tmp_path):
    path = tmp_path / "run.json"
    words = ["reference", "--seeds", "3..9", "-n", "9", "--json", str(path)]
    status, out, _ = here("fuzz", *words)
    assert status == 0
    assert out.startswith("dtype ")
    (run,) = load_runs([path])
    assert (run.subject, run.seeds) == ("reference", (3, 4))
    assert run.tally.problems == 16  # two whole seeds
    assert out.splitlines() == list(fuzz_lines([run]))


def test_a_run_that_is_continued_names_all_seeds_of_its_file(here, tmp_path):
    path = str(tmp_path / "run.json")
    runs = [here("fuzz", "reference", "--seeds", f"{n}..{n}", "--json", path) for n in (3, 2)]
    lines = [out.splitlines()[-1].split(" (")[0] for _, out, _ in runs]
    assert lines == [
        "reference: 8 verdicts, seeds 3..3",
        "reference: 16 verdicts, seeds 2..3",
    ]


def test_a_stored_precision_that_cannot_be_declared_is_refused(here, stored):
    path = stored("a.json", FINE)
    assert here("fuzz", "--from", path)[0] == 0
    head, *seeds = Path(path).read_text().splitlines()
    Path(path).write_text(
        "\n".join([json.dumps({**json.loads(head), "precision": "2**-99"}), *seeds, ""])
    )
    status, out, err = here("fuzz", "--from", path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{path}: precision" in err
    assert "got '2**-99', expected float16, bfloat16, or 2**-4 to 2**-23" in err


def test_the_smallest_problem_that_fails_is_printed_and_its_bundle_written(
    here, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(own_package(tmp_path)))
    words = ["own.functions:wrong", "--seeds", "36..36", "-n", "1", "--out", str(tmp_path / "out")]
    status, out, _ = here("fuzz", *words)
    assert status == 1
    smallest = out[out.index("smallest problem") :].splitlines()
    assert smallest[0].startswith("smallest problem like fuzz-36-0 that fails: ")
    assert smallest[0].endswith("B=1 T=1 D=1")
    assert smallest[1].startswith("  cause: ")
    folder = tmp_path / "out" / "fuzz-36-0"
    assert smallest[2] == f"  bundle: {folder / 'problem.json'}, {folder / 'reproduce.py'}"
    assert here("explain", str(folder / "problem.json"))[0] == 1


def test_a_function_that_raises_has_a_problem_file_instead_of_a_bundle(here, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(own_package(tmp_path)))
    words = ["own.functions:raises", "--seeds", "36..36", "-n", "1", "--out", str(tmp_path / "out")]
    status, out, _ = here("fuzz", *words)
    file = tmp_path / "out" / "fuzz-36-0" / "problem.json"
    assert (status, out.splitlines()[-1]) == (1, f"  bundle: {file}")
    assert Problem.load(file).inputs.shape == (1, 1, 1)


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(here, tmp_path):
    (tmp_path / "file").touch()
    status, out, err = here("fuzz", "reference", "-n", "1", "--out", str(tmp_path / "file"))
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_a_random_problem_is_explained_and_shown_by_its_id(here):
    status, out, _ = here("explain", "fuzz-3-1", "--subject", "reference")
    assert (status, out.splitlines()[0]) == (0, "fuzz-3-1: agrees")
    status, out, _ = here("show", "fuzz-3-1", "--json")
    assert (status, json.loads(out)["id"]) == (0, "fuzz-3-1")
    assert here("show", "fuzz-3-99")[0] == 2
