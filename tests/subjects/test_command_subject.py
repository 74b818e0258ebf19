"""Programs of any language as subjects: a complete engine in C++, and everything that a program can
do wrong."""

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
from _support.command_line import command

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Verdict
from rnnparity.report.messages import faults_name
from rnnparity.session.ask import run
from rnnparity.subjects import make_subject

CASE = "gru-spread-last"
ENGINE = Path(__file__).parents[1] / "_support" / "engine.cpp"
# What a right program in Python does, for programs that go wrong in one thing.
RIGHT = """
import json, sys
def answer(problem):
    case = cases[problem["id"]]
    return {"id": problem["id"], "outputs": case}
cases = json.load(open({path!r}))
for line in sys.stdin:
    problem = json.loads(line)
    {then}
"""


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    """The right outputs of some cases, as a file that a program without rnnparity can read."""
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


def program(goldens, then):
    """A command that answers as `then`, a statement about `problem`, says."""
    script = goldens.with_name(f"program{abs(hash(then))}.py")
    script.write_text(RIGHT.replace("{path!r}", repr(str(goldens))).replace("{then}", then))
    return f"cmd:{sys.executable} {script}"


def verdicts(subject, **words):
    return {v.id: v for v in check(subject, k=CASE, jobs=1, **words).subjects[0].cases}


# --------------------------------------------------------------------------------------------------
# the C++ engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip(
            "no C++ compiler"
        )  # what the engine shows of the wire the Python programs below show too
    path = tmp_path_factory.mktemp("engine") / "engine"
    subprocess.run(
        [compiler, "-O2", "-std=c++17", "-Wall", "-Werror", "-o", path, ENGINE], check=True
    )
    return path


def test_an_engine_in_another_language_agrees(engine):
    report = check(
        f"cmd:{engine}", k="not initializers and mask_interior or bias_off", jobs=1
    ).subjects[0]
    assert report.passed
    assert report.counts[Verdict.AGREES] > 50
    assert report.counts[Verdict.UNSUPPORTED] > 50


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
    report = check(f"cmd:{tmp_path / 'wrong'}", k="lstm-spread-sequences-state", jobs=1).subjects[0]
    faults = {faults_name(case.cause.faults) for case in report.cases if case.cause}
    assert faults == {"gate-order: LSTM fico in all weights"}
    assert report.counts[Verdict.DIVERGES] > 5


# ------------------------------------------------------------------------------------------- what
# can go wrong


def test_a_right_program_agrees(goldens):
    found = verdicts(program(goldens, "print(json.dumps(answer(problem)), flush=True)"))
    assert {verdict.verdict for verdict in found.values()} == {Verdict.AGREES}


def test_the_problem_with_its_outputs_is_an_answer_too(goldens):
    echo = "print(json.dumps({**problem, **answer(problem)}), flush=True)"
    assert {verdict.verdict for verdict in verdicts(program(goldens, echo)).values()} == {
        Verdict.AGREES
    }


WRONG = f"problem['id'] == {CASE!r}"


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (
            "print('loading')",
            "it printed 'loading' among its answers: standard output is for one JSON a line",
        ),
        (
            "print('{oops')",
            "its answer: line 1, column 2: is not JSON",
        ),  # and then its right answer
        ("print('{\"id\": 1, ')", "its answer: line 2, column 1: is not JSON: "),
        (
            "print(json.dumps({'id': 'other', 'outputs': []}))",
            f"it answered 'other' when asked for '{CASE}'",
        ),
        (
            "print(json.dumps({'id': problem['id']}))",
            "its answer has neither outputs nor a reason why not",
        ),
        ("print(json.dumps({'id': problem['id'], 'error': 'no memory'}))", "no memory"),
        ("print(json.dumps({'id': problem['id'], 'outputs': 7}))", "its answer: outputs: "),
        ("sys.exit('out of luck')", "it ended with exit status 1: out of luck"),
        (
            "sys.stdout.write('{\"id\": '); sys.exit(3)",
            "it ended with exit status 3, in the middle of a line: b'{",
        ),
        ("__import__('os').kill(__import__('os').getpid(), 9)", "it was ended by SIGKILL"),
        (
            "print(json.dumps(answer(problem)).replace('0.', 'nan', 1))",
            "its answer: line 1, column",
        ),
    ],
)
def test_one_bad_answer_costs_one_case(goldens, then, said):
    """The next cases go on, with the same program or with a new one."""
    after = "print(json.dumps(answer(problem)), flush=True)"
    answered = "" if "loading" in then or "oops" in then else f" if {WRONG} else ({after})"
    body = f"({then}){answered}" if answered else f"{WRONG} and ({then}); {after}"
    if ";" in then:
        body = f"exec({then!r}) if {WRONG} else ({after})"
    found = verdicts(program(goldens, body))
    assert found[CASE].verdict is Verdict.ERROR
    assert found[CASE].reason.startswith(f"ProgramError: {said}") or said in found[CASE].reason
    others = [verdict for name, verdict in found.items() if name != CASE]
    assert len(others) > 3
    assert {verdict.verdict for verdict in others} == {Verdict.AGREES}


def test_a_wrong_type_diverges_and_nan_is_a_word(goldens):
    kinds = "print(json.dumps(answer(problem)).replace('float32', 'float64'), flush=True)"
    found = verdicts(program(goldens, kinds))[CASE]
    (difference,) = found.differences
    assert (difference.type, difference.actual) == ("dtype", "float64")
    first = (
        "a = answer(problem); a['outputs'][0]['data'][0] = 'NaN'; print(json.dumps(a), flush=True)"
    )
    found = verdicts(program(goldens, first))[CASE]
    assert (found.verdict, found.differences[0].type) == (Verdict.DIVERGES, "finiteness")


def test_a_program_that_hangs_is_ended_with_its_worker(goldens):
    note = goldens.with_name("pid")
    hang = f"open({str(note)!r}, 'w').write(str(__import__('os').getpid())); __import__('time').sleep(600)"
    body = f"({hang}) if {WRONG} else print(json.dumps(answer(problem)), flush=True)".replace(
        "; ", " and None or "
    )
    found = verdicts(program(goldens, body), timeout_s=6)
    assert found[CASE].verdict is Verdict.ERROR
    assert found[CASE].reason == "timed out after 6 s; worker killed"
    assert sum(verdict.verdict is Verdict.AGREES for verdict in found.values()) == len(found) - 1
    pid = int(note.read_text())
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if (
            Path(f"/proc/{pid}/stat").exists()
            and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        ):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the program went on after its worker was ended")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cmd:", "names no program"),
        ("cmd:'", "No closing quotation"),
        ("cmd:./no-such-engine --rnn", "there is no program './no-such-engine' that can be run"),
    ],
)
def test_no_program(name, said):
    with pytest.raises(RequestError, match=said):
        make_subject(name)


def test_a_reason_is_passed_on(goldens):
    subject = make_subject(program(goldens, "print(json.dumps({'id': problem['id'], 'unsupported': 'no GRU'}))"
                                            "; sys.stdout.flush()"))  # fmt: skip
    with pytest.raises(Unsupported, match="no GRU"):
        subject.answer(catalogue()[CASE])
    subject.close()


def test_the_command_line_quotes_the_program(goldens):
    subject = program(
        goldens, "print(json.dumps({'id': problem['id'], 'error': 'never'}), flush=True)"
    )
    status, out, err = command(
        "check", subject, "-k", f"{CASE} and not initial and not mask", "-j", "1"
    )
    assert (status, err) == (1, "")
    assert f"  rerun: rnnparity show {CASE} --subject {quote(subject)}\n" in out
