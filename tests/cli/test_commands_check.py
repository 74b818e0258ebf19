"""`check` as a command: what passes, what fails, what was not compared, and Ctrl-C."""

import json
import math
import os
import re
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _support.command_line import command, here, own_package, start
from _support.conformance_runs import report as report_of
from _support.conformance_runs import subject as result_of

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.core import core
from rnnparity.golden.goldens import Goldens, default_folder
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.reference.tolerance import expect
from rnnparity.report.stored.reports import dump, load, parse
from rnnparity.session.fixtures import read_fixtures

__all__ = ["here"]

CASE = "lstm-spread-sequences-state"
# Four cases without initial states, then one with.
KILLED = "gru-spread-last-mask and (not initial or mask_row)"
ONE = f"{CASE} and not bi_lstm and not mask and not initial"
NUMPY = {"numpy": np.__version__}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return own_package(tmp_path_factory.mktemp("own"))


def words(out):
    """Return the rows of the table by subject, and the lines below it."""
    lines = out.splitlines()
    (head,) = [number for number, line in enumerate(lines) if line.startswith("subject ")]
    end = lines.index(next(line for line in lines if re.search(" (passed|failed)[:;] ", line)))
    verdicts, *rows = [re.split(r"\s{2,}", line.strip()) for line in lines[head:end]]
    counts = {row[0]: dict(zip(verdicts[1:], row[1:], strict=True)) for row in rows}
    return counts, [*lines, ""][end : [*lines, ""].index("")]


@pytest.fixture
def inconclusive(monkeypatch):
    """The id of a case without golden, whose recurrent kernel is so small that noise hides it."""
    problem = catalogue()["gru-spread-last"]
    goldens = read_fixtures(only=[id_ for id_ in catalogue() if "spread-last" in id_]).goldens
    kernel, recurrent_kernel, bias = problem.weights
    weak = replace(recurrent_kernel, data=recurrent_kernel.data * np.float32(1e-6))
    problem = replace(problem, weights=(kernel, weak, bias))
    outputs = {id_: golden for id_, golden in goldens.outputs.items() if id_ != problem.id}
    without = Goldens(outputs, {problem.id: expect(problem).inconclusive})
    monkeypatch.setitem(catalogue()._problems, problem.id, problem)
    monkeypatch.setattr("rnnparity.session.fixtures.read_goldens", lambda *_: without)
    return problem.id


def refused(called):
    """Return the only line of a refusal; a verdict before it belongs to the run."""
    status, out, err = called
    *verdicts, line = err.splitlines()
    assert (status, out) == (2, ""), err
    assert all(re.fullmatch(r"\S+: \S+: (inconclusive|unsupported): .*", each) for each in verdicts)
    return line.removeprefix("rnnparity: ")


def test_the_reference_passes_with_all_its_counts():
    status, out, err = command("check", "reference")
    assert (status, err) == (0, "")
    counts, below = words(out)
    agree = {"agrees": str(len(core()))}
    assert counts["reference"] | agree == counts["reference"]
    assert counts["reference"]["diverges"] == "-"
    assert not set(counts["reference"]) & {"known", "unsupported", "error", "inconclusive"}
    compared = len(core())
    assert below == [f"reference passed: {compared} cases (numpy {np.__version__})"]


def test_the_json_on_stdout_has_all_results(here, inconclusive):
    expression = f"{inconclusive} or lstm-spread-last"
    status, out, err = here("check", "reference", "-k", expression, "--json", "-")
    assert status == 0
    assert err.startswith(f"reference: {inconclusive}: inconclusive: a relative change of ")
    assert json.loads(out)["format"] == "rnnparity-report/2"
    (subject,) = parse(json.loads(out), "stdout").subjects
    assert (subject.name, subject.versions) == ("reference", NUMPY)
    chosen = [case for case in catalogue() if inconclusive in case or "lstm-spread-last" in case]
    assert [case.id for case in subject.cases] == chosen
    verdicts = {(case.verdict, bool(case.reason)) for case in subject.cases}
    assert verdicts == {(Verdict.AGREES, False), (Verdict.INCONCLUSIVE, True)}


@pytest.fixture(scope="module")
def six(own, tmp_path_factory):
    """Six subjects in their own processes: the report, each case by name, and what was printed."""
    path = tmp_path_factory.mktemp("six") / "report.json"
    names = [f"own.functions:{name}" for name in SIX]
    status, out, err = command(
        "check", *names, "-k", ONE, "-j", "1", "--json", str(path), path=(own,)
    )
    assert status == 1
    report = load(path)
    cases = {}
    for name, subject in zip(SIX, report.subjects, strict=True):
        (case,) = subject.cases
        assert (subject.name, case.id) == (f"own.functions:{name}", CASE)
        cases[name] = case
    return report, cases, out, err.splitlines()


SIX = ("right", "wrong", "raises", "unsupported", "one_more", "integers")


def test_each_subject_has_its_verdict(six):
    _, cases, *_ = six
    assert {name: case.verdict for name, case in cases.items()} == {
        "right": "agrees",
        "wrong": "diverges",
        "raises": "error",
        "unsupported": "unsupported",
        "one_more": "diverges",
        "integers": "diverges",
    }
    message = r"ValueError: no such gate \(.*functions\.py, line \d+\)"
    assert re.fullmatch(message, cases["raises"].reason)
    assert cases["unsupported"].reason == "not today"
    assert math.isinf(cases["one_more"].sigma)
    assert cases["right"].sigma < 1
    assert cases["wrong"].sigma > 1000


def test_each_verdict_that_is_not_a_pass_is_printed_when_it_arrives(six):
    *_, lines = six
    lines[1] = re.sub(r", line \d+", "", lines[1])
    value = r"output\[\d, \d, \d\]: got \S+, expected \S+"
    assert re.fullmatch(f"own.functions:wrong: {CASE}: diverges: {value}", lines.pop(0))
    assert lines == [
        f"own.functions:raises: {CASE}: error: ValueError: no such gate (functions.py)",
        f"own.functions:unsupported: {CASE}: unsupported: not today",
        f"own.functions:one_more: {CASE}: diverges: outputs: got 4 (output, h, c, extra_3), expected 3: output, h, c",
        f"own.functions:integers: {CASE}: diverges: output: got dtype int64, expected float32",
    ]


def test_differences_are_stored_with_actual_and_expected(six):
    _, cases, *_ = six
    (count,) = cases["one_more"].differences
    assert count.type is DifferenceType.COUNT
    assert count.actual == ("output", "h", "c", "extra_3")
    assert count.expected == ("output", "h", "c")
    dtype = cases["integers"].differences[0]
    assert dtype.type is DifferenceType.DTYPE
    assert (dtype.output, dtype.actual, dtype.expected) == ("output", "int64", "float32")


def test_a_cause_is_stored_where_it_was_searched(six):
    _, cases, *_ = six
    (fault,) = cases["wrong"].cause.faults
    assert (fault.cause, fault.variant) == ("unit-scale", "outputs shifted by 0.01")
    assert cases["one_more"].cause.faults == ()
    for name in ("right", "raises", "unsupported", "integers"):
        assert cases[name].cause is None


def without_coverage(lines):
    return [line for line in lines if not line.startswith(("  not covered by its ", "    "))]


def test_the_table_and_the_lines_below_it(six):
    report, _, out, _ = six
    counts, below = words(out)
    assert len(below) > len(without_coverage(below))
    below = without_coverage(below)
    diverging = [counts[f"own.functions:{name}"]["diverges"] for name in SIX]
    assert diverging == ["-", "1", "-", "-", "1", "1"]
    below[4] = re.sub(r", line \d+", "", below[4])
    score = f"{report.score.detected}/{report.score.applicable}"
    assert below == [
        "own.functions:right passed: 1 case",
        "own.functions:wrong failed: 1 of 1 case diverges",
        "  cause: unit-scale: outputs shifted by 0.01 (1 case)",
        "own.functions:raises failed: 1 of 1 case errs",
        "  error: ValueError: no such gate (functions.py) (1 case)",
        "own.functions:unsupported not compared: none of 1 case; 1 unsupported",
        "  unsupported: not today (1 case)",
        "own.functions:one_more failed: 1 of 1 case diverges",
        "  cause: unexplained (1 case)",
        "own.functions:integers failed: 1 of 1 case diverges",
        "  cause: another dtype than specified (1 case)",
        f"mutation score: {score}",
    ]
    assert report.score.detected == report.score.applicable > 100


def test_a_failing_case_is_printed_with_the_command_that_reruns_it(six):
    *_, out, _ = six
    assert re.search(
        f"{CASE}: own.functions:raises errs\n"
        r"  ValueError: no such gate \(.*functions.py, line \d+\)\n"
        f"  case: {re.escape(catalogue()[CASE].case.why)}\n"
        f"  rerun: rnnparity show {CASE} --subject own.functions:raises\n",
        out,
    )
    assert "  golden and reference agree: the subject is wrong\n" in out


def test_a_lock_that_a_subject_leaves_behind_is_ignored(own):
    """Such as tqdm creates, and nobody releases when the worker ends."""
    status, _, err = command("check", "own.functions:locks", "-k", ONE, path=(own,))
    assert (status, err) == (0, "")


def test_the_command_that_a_failure_names_reruns_it(here, own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    status, out, err = here("show", CASE, "--subject", "own.functions:wrong")
    assert (status, err) == (1, "")
    assert (
        f"{CASE}: own.functions:wrong diverges\n  output (B=2, T=4, H=5): 40 of 40 values differ\n"
        in out
    )


# ---------------------------------------------------------------------------------------------
# nothing to compare


def test_commands_that_a_failure_names_declare_its_precision(here, own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    words = ["check", "own.functions:wrong", "-k", ONE]
    status, out, _ = here(*words, "--precision", "float16")
    printed = re.findall(r"(?:explain|rerun): rnnparity (.*)", out)
    assert status == 1
    assert [command.split()[0] for command in printed] == ["explain", "show"]
    assert {command.partition(" --precision ")[2] for command in printed} == {"float16"}
    assert here(*printed[0].split())[0] == 1
    status, out, _ = here(*printed[1].split())
    assert (status, "  declared precision: float16" in out) == (1, True)
    status, out, _ = here(*printed[1].replace("functions:wrong", "functions:right").split())
    assert (status, "right agrees to float16" in out.splitlines()[-1]) == (0, True)


def test_a_run_without_a_comparison_is_refused(here, own, monkeypatch):
    monkeypatch.syspath_prepend(own)
    called = here("check", "own.functions:unsupported", "-k", ONE)
    expected = "nothing was compared: no selected case is supported and conclusive; most frequent reason: not today"
    assert refused(called) == expected


def test_a_run_of_inconclusive_cases_only_is_refused_also_where_it_is_merged(
    here, tmp_path, inconclusive
):
    reason = expect(catalogue()[inconclusive]).inconclusive
    expected = (
        "nothing was compared: no selected case is supported and conclusive; "
        f"most frequent reason: {reason}"
    )
    assert (
        refused(here("check", "reference", "-k", f"{inconclusive} and not mask and not initial"))
        == expected
    )
    results = (CaseResult(inconclusive, Verdict.INCONCLUSIVE, reason=reason),)
    (tmp_path / "a.json").write_text(dump(report_of(result_of("a", results))))
    assert refused(here("check", "--from", str(tmp_path / "a.json"))) == expected


def test_an_inconclusive_case_is_shown_and_explained_with_status_2(here, inconclusive):
    for words in (("show", inconclusive), ("explain", inconclusive, "--subject", "reference")):
        status, out, err = here(*words)
        assert (status, err) == (2, "")
        assert "inconclusive" in out


@pytest.fixture
def problem_file(tmp_path):
    path = tmp_path / "problem.json"
    path.write_text(dump_line(catalogue()[CASE]))
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
def test_an_unusable_tensorflow_is_refused_with_a_remedy(
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
        assert "'rnnparity[keras]'" in line


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
def test_a_function_that_cannot_be_loaded_is_refused(
    here, problem_file, tmp_path, monkeypatch, name, text, expected
):
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "__init__.py").touch()
    (tmp_path / "nowhere" / "here.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert refused(here("run", problem_file, "--subject", name)) == f"subject {name!r}: {expected}"


def test_a_missing_framework_is_reported_and_other_subjects_run(here, tmp_path, monkeypatch):
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
    """Return whether a worker is alive: a zombie has no command line, a new process another."""
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
    """A `check` whose two workers are both running a case, and the ids of the workers."""
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
    assert err in (
        "",
        "no case has a verdict yet: nothing is written\nrnnparity: interrupted\n",
    )
    assert not any(map(is_there, workers))


@needs_proc
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_workers_of_a_killed_run_end(asleep, sign):
    checked, workers = asleep
    assert all(map(is_there, workers))
    checked.send_signal(sign)
    assert checked.wait() == (130 if sign is signal.SIGTERM else -sign)
    assert waited_for(lambda: not any(map(is_there, workers)), 5)


def test_a_full_disk_at_the_end_of_a_run_keeps_the_table(here, tmp_path, monkeypatch):
    def fails(path, _):
        raise RequestError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr("rnnparity.report.outputs.write_file", fails)
    file = tmp_path / "report.json"
    status, out, err = here("check", "reference", "-k", ONE, "--json", str(file))
    assert "reference passed: 1 case" in out
    assert (status, err) == (2, f"rnnparity: {file}: cannot be written: No space left on device\n")


@needs_proc
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=str)
def test_a_run_that_is_killed_leaves_the_verdicts_that_were_there(here, own, tmp_path, sign):
    """The last case never ends: the four before are saved while the run waits."""
    file = tmp_path / "report.json"
    names = ["own.functions:hangs_with_initial_states", "own.functions:right"]
    words = ["check", *names, "-k", KILLED, "-j", "1", "--json", str(file)]
    checked = start(*words, path=(own,))
    try:
        assert waited_for(lambda: file.exists() and len(load(file).subjects[0].cases) == 4)
        checked.send_signal(sign)
        out, err = checked.communicate(timeout=60)
    finally:
        checked.kill()
    if sign is signal.SIGINT:
        assert f"\n4 of 5 cases have a verdict, written to {file}\n" in err
    assert checked.returncode == (130 if sign is signal.SIGINT else -sign)
    stored = load(file)
    (subject,) = stored.subjects
    assert ([case.verdict for case in subject.cases], subject.unfinished) == (["agrees"] * 4, 1)
    status, merged, err = here("check", "--from", str(file))
    left = "not run: own.functions:right: the run ended before\nrnnparity: interrupted\n"
    assert (status, err) == (130, left)
    assert merged == (out or merged)
    assert "\ninterrupted: the report has what was finished\n" in merged
    unfinished = "1 case has no result, because the run was not finished"
    assert f"\nown.functions:hangs_with_initial_states: {unfinished}\n" in merged
    assert "\nmutation score: " in merged


def test_a_stale_entry_fails_the_run(here, own, tmp_path, monkeypatch):
    """One entry covers a difference that its subject does not have, one a difference that it has."""
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
        "own.functions:right: known difference 'right' is stale: its case agrees now; "
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
    assert without_coverage(below) == [
        "own.functions:right failed: 1 case, 1 stale entry of known differences",
        "own.functions:wrong passed; 1 of 1 case is a known difference",
        "  known difference: wrong (1 case)",
    ]
