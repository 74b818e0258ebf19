"""Programs as subjects: a complete engine in C++, and every way in which a program can fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote

import pytest
from _support.command_line import command, start

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem import json_text
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.messages import faults_name
from rnnparity.session.ask import run
from rnnparity.subjects import SubjectError, make_subject
from rnnparity.subjects.command import ProgramError

CASE = "gru-spread-last"
ENGINE = Path(__file__).parents[1] / "_support" / "engine.cpp"
# A correct program in Python, from which the wrong ones are made.
PROGRAM = """
import json, sys
def answer(problem):
    case = cases[problem["id"]]
    return {"id": problem["id"], "outputs": case}
cases = json.load(open({path!r}))
for line in sys.stdin:
    problem = json.loads(line)
    {statement}
"""


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    """The expected outputs of some cases, in a file that a program without rnnparity can read."""
    path = tmp_path_factory.mktemp("program") / "cases.json"
    found = {}
    for name in [name for name in catalogue() if name.startswith(CASE)]:
        outputs = run(catalogue()[name]).outputs
        found[name] = [
            {
                "name": t.name,
                "shape": list(t.shape),
                "dtype": "float32",
                "data": t.data.ravel().tolist(),
            }
            for t in outputs
        ]
    path.write_text(json.dumps(found))
    return path


def program(goldens, statement):
    """A program that executes `statement` for each `problem`."""
    script = goldens.with_name(f"program{abs(hash(statement))}.py")
    code = PROGRAM.replace("{path!r}", repr(str(goldens))).replace("{statement}", statement)
    script.write_text(code)
    return f"cmd:{sys.executable} -u {script}"


def results(subject, **options):
    """The results of the cases in `goldens`, by id."""
    (result,) = check(subject, k=CASE, jobs=1, **options).subjects
    return {case.id: case for case in result.cases}


# --------------------------------------------------------------------------------------------------
# the C++ engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    compiler = shutil.which("c++")
    if compiler is None:
        # The programs in Python below test the protocol too.
        pytest.skip("no C++ compiler")
    path = tmp_path_factory.mktemp("engine") / "engine"
    subprocess.run(
        [compiler, "-O2", "-std=c++17", "-Wall", "-Werror", "-o", path, ENGINE], check=True
    )
    return path


def test_an_engine_in_another_language_agrees(engine):
    selection = "not initializers and mask_interior or bias_off"
    (result,) = check(f"cmd:{engine}", k=selection, jobs=1).subjects
    assert result.passed
    agreeing = {case.id for case in result.cases if case.verdict is Verdict.AGREES}
    for name in ("simple_rnn", "lstm", "gru", "gru_before"):
        assert f"{name}-spread-sequences-state-mask_interior" in agreeing
        assert f"{name}-spread-backwards-sequences-state-mask_interior-initial" in agreeing
    # It has one activation a gate and no stateful runs, and reports the rest as unsupported.
    assert result.counts[Verdict.UNSUPPORTED] > 0
    assert result.counts.keys() == {Verdict.AGREES, Verdict.UNSUPPORTED}


def test_a_wrong_engine_is_explained(engine, tmp_path):
    """One character of the source: the forget gate takes the input gate's block."""
    source = ENGINE.read_text()
    assert source.count("sigmoid(z(1)) * c[n] + sigmoid(z(0))") == 1
    wrong = tmp_path / "wrong.cpp"
    wrong.write_text(
        source.replace(
            "sigmoid(z(1)) * c[n] + sigmoid(z(0))", "sigmoid(z(0)) * c[n] + sigmoid(z(1))"
        )
    )
    subprocess.run(
        [shutil.which("c++"), "-O1", "-std=c++17", "-o", tmp_path / "wrong", wrong], check=True
    )
    selection = "lstm-spread-sequences-state"
    (result,) = check(f"cmd:{tmp_path / 'wrong'}", k=selection, jobs=1).subjects
    diverging = [case for case in result.cases if case.verdict is Verdict.DIVERGES]
    assert selection in [case.id for case in diverging]
    faults = {faults_name(case.cause.faults) for case in diverging}
    assert faults == {"gate-order: LSTM fico in all weights"}


# --------------------------------------------------------------------------------------------------
# programs in Python


def test_a_correct_program_agrees(goldens):
    found = results(program(goldens, "print(json.dumps(answer(problem)), flush=True)"))
    assert {verdict.verdict for verdict in found.values()} == {Verdict.AGREES}


def test_a_program_announces_its_name_and_version(goldens):
    announced = {"my engine": "1.2"}
    statement = f"print(json.dumps(answer(problem) | {{'versions': {announced}}}), flush=True)"
    (result,) = check(program(goldens, statement), k=CASE, jobs=1).subjects
    assert result.passed
    assert result.versions == announced


def test_a_problem_with_outputs_is_an_answer(goldens):
    echo = "print(json.dumps({**problem, **answer(problem)}), flush=True)"
    assert {verdict.verdict for verdict in results(program(goldens, echo)).values()} == {
        Verdict.AGREES
    }


WRONG = f"problem['id'] == {CASE!r}"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "print('loading')",
            "standard output: got 'loading', expected one JSON object a line; write messages to standard error",
        ),
        (
            "print('{oops')",
            "answer: line 1, column 2: invalid JSON",
        ),  # and then its correct answer
        ("print('{\"id\": 1, ')", "answer: line 2, column 1: invalid JSON: "),
        (
            "print(json.dumps({'id': 'other', 'outputs': []}))",
            f"answer: got id 'other', expected '{CASE}'",
        ),
        (
            "print(json.dumps({'id': problem['id']}))",
            "answer: expected one of the keys outputs, unsupported, error",
        ),
        ("print(json.dumps({'id': problem['id'], 'error': 'no memory'}))", "no memory"),
        ("print(json.dumps({'id': problem['id'], 'outputs': 7}))", "answer: outputs: "),
        ("print('x\\n' * 100)", "no answer in 100 lines; the first is 'x'"),
        ("sys.exit('out of luck')", "the program exited with status 1: out of luck"),
        (
            "sys.stdout.write('{\"id\": '); sys.exit(3)",
            "the program exited with status 3 (in the middle of a line: b'{",
        ),
        (
            "__import__('os').kill(__import__('os').getpid(), 9)",
            "the program was killed by SIGKILL",
        ),
        (
            "print(json.dumps(answer(problem)).replace('0.', 'nan', 1))",
            "answer: line 1, column",
        ),
    ],
)
def test_a_wrong_answer_fails_only_its_own_case(goldens, statement, message):
    """The next cases are answered by the same program, or by one that is started for them."""
    after = "print(json.dumps(answer(problem)), flush=True)"
    answered = (
        "" if "loading" in statement or "oops" in statement else f" if {WRONG} else ({after})"
    )
    body = f"({statement}){answered}" if answered else f"{WRONG} and ({statement}); {after}"
    if ";" in statement:
        body = f"exec({statement!r}) if {WRONG} else ({after})"
    found = results(program(goldens, body))
    assert found[CASE].verdict is Verdict.ERROR
    assert (
        found[CASE].reason.startswith(f"ProgramError: {message}") or message in found[CASE].reason
    )
    others = [verdict for name, verdict in found.items() if name != CASE]
    assert others
    assert {verdict.verdict for verdict in others} == {Verdict.AGREES}


def test_a_wrong_type_diverges_and_nan_is_a_string(goldens):
    kinds = "print(json.dumps(answer(problem)).replace('float32', 'float64'), flush=True)"
    found = results(program(goldens, kinds))[CASE]
    (difference,) = found.differences
    assert (difference.type, difference.actual) == ("dtype", "float64")
    first = (
        "a = answer(problem); a['outputs'][0]['data'][0] = 'NaN'; print(json.dumps(a), flush=True)"
    )
    found = results(program(goldens, first))[CASE]
    assert (found.verdict, found.differences[0].type) == (Verdict.DIVERGES, "finiteness")


# How a program is started: directly, or by a shell that waits for it and does what follows.
WRAPPERS = {
    "program": "{program}",
    "shell": """cmd:sh -c '{words}; echo "the engine has ended" >&2'""",
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def hanging(goldens, wrapper, note):
    """A program that writes its process id to a file and hangs on one case, in its wrapper."""
    hang = f"open({str(note)!r}, 'w').write(str(__import__('os').getpid()))"
    hang += " and None or __import__('time').sleep(600)"
    direct = program(
        goldens, f"({hang}) if {WRONG} else print(json.dumps(answer(problem)), flush=True)"
    )
    return WRAPPERS[wrapper].format(program=direct, words=direct.removeprefix("cmd:"))


def assert_ends(pid):
    status = Path(f"/proc/{pid}/stat")
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if status.exists() and status.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the program is still running")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_program_that_hangs_is_killed_with_its_worker(goldens, wrapper):
    note = goldens.with_name(f"pid-{wrapper}")
    found = results(hanging(goldens, wrapper, note), timeout_s=6)
    assert found[CASE].verdict is Verdict.ERROR
    assert found[CASE].reason == "timed out after 6 s; worker killed"
    assert sum(verdict.verdict is Verdict.AGREES for verdict in found.values()) == len(found) - 1
    assert_ends(int(note.read_text()))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_program_ends_with_the_run_that_is_killed(goldens, wrapper):
    note = goldens.with_name(f"run-{wrapper}")
    run = start("check", hanging(goldens, wrapper, note), "-k", CASE, "-j", "1")
    end = time.monotonic() + 60
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < end
        time.sleep(0.1)
    run.kill()
    run.communicate()
    assert_ends(int(note.read_text()))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cmd:", "the program is missing"),
        ("cmd:'", "No closing quotation"),
        ("cmd:./no-such-engine --rnn", "program not found or not executable: ./no-such-engine"),
    ],
)
def test_a_program_that_cannot_be_run_is_refused(name, message):
    with pytest.raises(SubjectError, match=message):
        make_subject(name)


def test_the_reason_of_an_unsupported_problem_is_passed_on(goldens):
    subject = make_subject(program(goldens, "print(json.dumps({'id': problem['id'], 'unsupported': 'no GRU'}))"
                                            "; sys.stdout.flush()"))  # fmt: skip
    with pytest.raises(Unsupported, match="no GRU"):
        subject.answer(catalogue()[CASE])
    subject.close()


@pytest.mark.parametrize("end", ["", "\\n"])
def test_an_answer_without_end_is_refused(goldens, monkeypatch, end):
    """The next case is answered by a program that is started for it."""
    monkeypatch.setattr(json_text, "MAX_BYTES", 2**20)
    long = f"sys.stdout.write('{{' + 'x' * 2**21 + '{end}')"
    correct = "print(json.dumps(answer(problem)), flush=True)"
    subject = make_subject(program(goldens, f"{long} if {WRONG} else {correct}"))
    with pytest.raises(ProgramError, match=r"^answer: larger than 1 MiB, the limit$"):
        subject.answer(catalogue()[CASE])
    assert subject.answer(catalogue()[f"{CASE}-initial"]).outputs
    subject.close()


def test_a_long_standard_error_is_read_at_its_end(goldens):
    body = "sys.stderr.write('x' * 2**22 + '\\nlast line'); sys.exit(2)"
    subject = make_subject(program(goldens, body))
    with pytest.raises(ProgramError, match=r"exited with status 2: last line$"):
        subject.answer(catalogue()[CASE])
    subject.close()


def test_the_command_to_rerun_a_case_quotes_the_program(goldens):
    subject = program(
        goldens, "print(json.dumps({'id': problem['id'], 'error': 'never'}), flush=True)"
    )
    status, out, err = command(
        "check", subject, "-k", f"{CASE} and not initial and not mask", "-j", "1"
    )
    assert status == 1
    assert err.endswith(f": {CASE}: error: ProgramError: never\n")
    assert f"  rerun: rnnparity show {CASE} --subject {quote(subject)}\n" in out
