"""`check` from outside: what passes, what fails, what was never compared, and what Ctrl-C leaves
behind."""

import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from _support.command_line import command, here, own_package, start

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import default_folder
from rnnparity.problem import file_format as wire

__all__ = ["here"]

CASE = "lstm-spread-sequences-state"
ONE = f"{CASE} and not bi_lstm and not mask and not initial"
NUMPY = {"numpy": np.__version__}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return own_package(tmp_path_factory.mktemp("own"))


def words(out):
    """The table's rows by subject, and the lines below it."""
    lines = out.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("subject "))
    end = next(place for place, line in enumerate(lines) if re.search(" (passed|failed): ", line))
    kinds = lines[head].split()[1:]
    counts = {
        row.split()[0]: dict(zip(kinds, row.split()[1:], strict=False))
        for row in lines[head + 1 : end]
    }
    return counts, lines[end:]


def refused(called):
    status, out, err = called
    assert (status, out, err.count("\n")) == (2, "", 1), err
    return err.removeprefix("rnnparity: ").rstrip("\n")


def test_the_reference_passes_with_all_its_counts():
    status, out, err = command("check", "reference")
    assert (status, err) == (0, "")
    left_out = len(json.loads((default_folder() / "manifest.json").read_text())["left_out"])
    counts, below = words(out)
    agree = {"agrees": str(len(catalogue()) - left_out), "inconclusive": str(left_out)}
    assert counts["reference"] | agree == counts["reference"]
    assert counts["reference"]["diverges"] == "-"
    assert not set(counts["reference"]) & {"known", "unsupported", "error"}
    compared = len(catalogue()) - left_out
    assert below == [f"reference passed: {compared} cases (numpy {np.__version__})"]


def test_a_report_for_machines(here):
    status, out, err = here(
        "check", "reference", "-k", "stack-policies or lstm-spread-last", "--json", "-"
    )
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert list(report) == ["format", "rnnparity", "catalogue", "left_out", "known", "subjects"]
    assert report["format"] == "rnnparity-report/1"
    (subject,) = report["subjects"]
    assert list(subject) == ["name", "versions", "date", "machine", "seconds", "verdicts"]
    assert (subject["name"], subject["versions"]) == ("reference", NUMPY)
    assert all(
        list(verdict) == ["id", "verdict", "sigma", "reason"] for verdict in subject["verdicts"]
    )
    chosen = [
        case
        for case in catalogue()
        if case.startswith("stack-policies") or "lstm-spread-last" in case
    ]
    assert [verdict["id"] for verdict in subject["verdicts"]] == chosen
    for verdict in subject["verdicts"]:
        assert (verdict["verdict"], bool(verdict["reason"])) in (
            ("agrees", False),
            ("inconclusive", True),
        )
        assert type(verdict["sigma"]) is float
    assert {verdict["verdict"] for verdict in subject["verdicts"]} == {"agrees", "inconclusive"}


def test_several_subjects_and_a_report_in_a_file(own, tmp_path):
    """One that agrees, one that diverges, one that errs, all in processes of their own."""
    path = tmp_path / "report.json"
    names = [
        f"own.functions:{name}"
        for name in ("right", "wrong", "raises", "unsupported", "one_more", "integers")
    ]
    status, out, err = command(
        "check", *names, "-k", ONE, "-j", "1", "--json", str(path), path=(own,)
    )
    assert (status, err) == (1, "")
    verdicts = {
        each["name"].split(":")[1]: each["verdicts"]
        for each in json.loads(path.read_text())["subjects"]
    }
    assert all(len(each) == 1 and each[0]["id"] == CASE for each in verdicts.values())
    found = {name: (each[0]["verdict"], each[0]["reason"]) for name, each in verdicts.items()}
    assert found["right"] == ("agrees", "")
    assert found["raises"][0] == "error"
    assert re.fullmatch(
        r"ValueError: no such gate \(.*functions\.py, line \d+\)", found["raises"][1]
    )
    assert found["unsupported"] == ("unsupported", "not today")
    assert found["one_more"] == (
        "diverges",
        "outputs: got 4 (output, h, c, extra_3), expected 3: output, h, c",
    )
    assert found["integers"] == ("diverges", "output: got dtype int64, expected float32")
    assert found["wrong"][0] == "diverges"
    assert verdicts["one_more"][0]["sigma"] == "Infinity"
    assert verdicts["right"][0]["sigma"] < 1
    assert verdicts["wrong"][0]["sigma"] > 1000
    assert verdicts["wrong"][0]["fault"] == "unit-scale: outputs shifted by 0.01"
    assert (verdicts["one_more"][0]["cause"], "fault" in verdicts["one_more"][0]) == (
        "unexplained",
        False,
    )
    assert not any(
        "cause" in verdicts[name][0] for name in ("right", "raises", "unsupported", "integers")
    )
    counts, below = words(out)
    assert [counts[name]["diverges"] for name in names] == ["-", "1", "-", "-", "1", "1"]
    assert re.fullmatch(r"mutation score: (\d+)/\1", below.pop())
    below[4] = re.sub(r", line \d+", "", below[4])
    assert below == [
        "own.functions:right passed: 1 case",
        "own.functions:wrong failed: 1 of 1 case",
        "  cause: unit-scale: outputs shifted by 0.01 (1 case)",
        "own.functions:raises failed: 1 of 1 case",
        "  error: ValueError: no such gate (functions.py) (1 case)",
        "own.functions:unsupported ran none of 1 case",
        "  unsupported: not today (1 case)",
        "own.functions:one_more failed: 1 of 1 case",
        "  cause: unexplained (1 case)",
        "own.functions:integers failed: 1 of 1 case",
    ]
    score = json.loads(path.read_text())["faults"]
    assert score["visible"] == score["total"] > 100
    assert re.search(
        f"{CASE}: own.functions:raises fails\n"
        r"  ValueError: no such gate \(.*functions.py, line \d+\)\n"
        f"  case: {re.escape(catalogue()[CASE].case.why)}\n"
        f"  rerun: rnnparity show {CASE} --subject own.functions:raises\n\n",
        out,
    )
    assert "  witnesses: golden and reference agree: the subject is wrong\n" in out


def test_what_a_subject_leaves_behind_is_no_matter(own):
    """A lock that nobody takes back when its process is ended, as tqdm makes one."""
    status, _, err = command("check", "own.functions:locks", "-k", ONE, path=(own,))
    assert (status, err) == (0, "")


def test_the_command_that_a_failure_names_shows_it_again(here, own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    status, out, err = here("show", CASE, "--subject", "own.functions:wrong")
    assert (status, err) == (1, "")
    assert (
        f"{CASE}: own.functions:wrong diverges\n  output (B=2, T=4, H=3): 24 of 24 values differ\n"
        in out
    )


# ---------------------------------------------------------------------------------------------
# nothing to compare


def test_where_nothing_is_supported_nothing_was_compared(here, own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    called = here("check", "own.functions:unsupported", "-k", ONE)
    said = "nothing was compared: no selected case is supported and conclusive; most frequent reason: not today"
    assert refused(called) == said


@pytest.fixture
def problem_file(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(wire.dump_line(catalogue()[CASE]))
    return str(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "raise ImportError('No module named tensorflow')",
            "cannot import tensorflow (No module named tensorflow); ",
        ),
        (
            "__version__ = '2.15.0'",
            "TensorFlow 2.15.0 is installed, expected 2.16 or newer (Keras 3); ",
        ),
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
    ],
    ids=["missing", "too_old", "broken"],
)
def test_tensorflow_is_not_what_it_should_be(
    here, problem_file, tmp_path, monkeypatch, text, expected
):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    line = refused(here("run", problem_file, "--subject", "keras"))
    assert expected in line
    assert line.startswith("subject 'keras'")
    if "tensorflow" in expected.lower():
        assert "pip install 'rnnparity[keras]'" in line


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("nowhere.gone:run", "", "No module named 'nowhere.gone'"),
        ("nowhere.here:gone", "", "nowhere.here has no 'gone'"),
        ("nowhere.here:run", "\nimport nothere", "No module named 'nothere' (here.py, line 2)"),
        ("nowhere.here:rnu", "run = 1", "nowhere.here has no 'rnu'; did you mean run?"),
        (
            "nowhere.here:run",
            "def run(",
            "cannot be loaded: SyntaxError: '(' was never closed (here.py, line 1)",
        ),
        ("nowhere.here:run", "import sys\nsys.exit(0)", "cannot be loaded: SystemExit: 0"),
    ],
    ids=["no_module", "no_function", "imports_none", "slip", "no_python", "exits"],
)
def test_a_function_that_cannot_be_loaded(
    here, problem_file, tmp_path, monkeypatch, name, text, expected
):
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "__init__.py").touch()
    (tmp_path / "nowhere" / "here.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert refused(here("run", problem_file, "--subject", name)) == f"subject {name!r}: {expected}"


def test_a_framework_that_is_missing_is_said_and_the_others_go_on(here, tmp_path, monkeypatch):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('gone')")
    monkeypatch.syspath_prepend(tmp_path)
    line = "subject 'keras': cannot import tensorflow (gone); run pip install 'rnnparity[keras]'"
    assert refused(here("check", "keras", "-k", ONE)) == line
    status, out, err = here("check", "reference", "keras", "-k", ONE)
    assert (status, err) == (
        2,
        "not run: keras: cannot import tensorflow (gone); run pip install 'rnnparity[keras]'\n",
    )
    assert "reference passed: 1 case" in out


# ----------------------------------------------------------------------------------------------------
# interrupted


def is_there(process):
    """Whether a worker is there, and no zombie, of which the words are gone, nor another process of
    its number."""
    try:
        return b"multiprocessing" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def waited_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def asleep(own, tmp_path):
    """A `check` whose two workers are both in the middle of a case, and the workers' processes."""
    checked = start(
        *("check", "own.functions:sleeps", "-k", "lstm-spread-last", "-j", "2"),
        path=(own,),
        variables={"RNNPARITY_TEST_PIDS": str(tmp_path)},
    )
    try:
        assert waited_for(lambda: len(list(tmp_path.iterdir())) == 2)
        yield checked, [int(path.name) for path in tmp_path.iterdir()]
    finally:
        checked.kill()
        for process in filter(is_there, (int(path.name) for path in tmp_path.iterdir())):
            os.kill(process, signal.SIGKILL)
        checked.communicate()


needs_proc = pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="looks for processes under /proc"
)


@needs_proc
def test_ctrl_c_ends_everything_within_five_seconds(asleep):
    checked, workers = asleep
    assert all(map(is_there, workers))
    begun = time.monotonic()
    checked.send_signal(signal.SIGINT)
    out, err = checked.communicate(timeout=60)
    assert time.monotonic() - begun < 5
    assert (checked.returncode, out) == (130, "")
    assert err in ("", "rnnparity: interrupted\n")
    assert not any(map(is_there, workers))


@needs_proc
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_workers_of_a_run_that_was_killed_end_too(asleep, sign):
    checked, workers = asleep
    assert all(map(is_there, workers))
    checked.send_signal(sign)
    assert checked.wait() == -sign
    assert waited_for(lambda: not any(map(is_there, workers)), 5)


def test_a_stale_entry_fails_the_run(here, own, tmp_path, monkeypatch):
    """A list whose entry covers a difference that this subject does not have, and one that it does
    have."""
    for path in default_folder().glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    entry = (
        '[[difference]]\nname = "{name}"\nsubject = "own.functions:{subject}"\ncases = ["{case}"]\n'
        'kinds = ["values"]\nversions = {{}}\ncause = "x"\nstanding = "mistake"\nreason = "x"\nlink = "x"\n'
    )
    text = [entry.format(name=name, subject=name, case=CASE) for name in ("right", "wrong")]
    (tmp_path / "known_differences.toml").write_text("".join(text))
    monkeypatch.syspath_prepend(own)
    names = ["own.functions:right", "own.functions:wrong"]
    status, out, err = here("check", *names, "-k", ONE, "--fixtures", str(tmp_path))
    assert (status, err) == (1, "")
    assert (
        "own.functions:right: known difference 'right' is stale: its 1 cases all agree now; "
        "remove it from known_differences.toml\n"
    ) in out
    counts, below = words(out)
    assert Counter(
        kind for name in names for kind, count in counts[name].items() if count == "1"
    ) == {
        "agrees": 1,
        "known": 1,
    }
    assert below.pop().startswith("mutation score: ")
    assert below == [
        "own.functions:right failed: 1 case",
        "own.functions:wrong passed: 1 case, 1 of them known differences",
        "  known differences met: wrong",
    ]
