"""Corrupted files of every format: refused in one line, or read because they are still valid."""

import hashlib
import io
import json
import signal
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from _support.command_line import here
from _support.conformance_runs import MIXED, report, subject
from _support.corruption import corrupted
from _support.fixture_folders import change_manifest, small_catalogue, write_folder
from _support.valid_problem import VALID

from rnnparity.catalogue import catalogue, digest
from rnnparity.golden.goldens import default_folder, golden_outputs, read_goldens
from rnnparity.golden.known_differences import read_known
from rnnparity.golden.manifest import MANIFEST
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import LONGEST, RequestError
from rnnparity.problem.format_reading import read_problem
from rnnparity.problem.format_writing import dump_line
from rnnparity.report.pages import explanation as explanation_page
from rnnparity.report.pages.conformance import markdown, page
from rnnparity.report.stored.reports import dump, load
from rnnparity.report.text.check import report_lines
from rnnparity.report.text.explanation import lines
from rnnparity.session.ask import explain_outputs
from rnnparity.subjects.command import CommandSubject, ProgramError
from rnnparity.verdict.judge import judge

__all__ = ["here"]

REPORT_1 = Path(__file__).parents[1] / "report" / "stored" / "data" / "report-1.json"
PROBLEM = catalogue()["lstm-spread-sequences-state"]
# A file that is read needs milliseconds.
CPU_SECONDS = 20.0


def problem_file():
    return json.dumps(VALID).encode()


def known_file():
    return (default_folder() / "known_differences.toml").read_bytes()[:6000].rpartition(b"\n\n")[0]


def report_2():
    return dump(report(subject("mine", MIXED))).encode()


def report_1():
    """A stored report with some of its cases, as if it were of this catalogue."""
    stored = json.loads(REPORT_1.read_text())
    for part in stored["subjects"]:
        examples = {example["id"] for example in part.get("examples", [])}
        plain = [verdict for verdict in part["verdicts"] if verdict["verdict"] == "agrees"]
        others = [verdict for verdict in part["verdicts"] if verdict["verdict"] != "agrees"]
        kept = [*plain[:2], *(v for v in others if v["id"] in examples), *others[:3]]
        part["verdicts"] = list({verdict["id"]: verdict for verdict in kept}.values())
    return json.dumps({**stored, "catalogue": digest()}).encode()


def answer_line():
    return dump_line(PROBLEM.with_outputs(golden_outputs(PROBLEM))).encode()


def explain_problem(path):
    """Read a problem, explain its outputs and render the explanation in every way."""
    problem = read_problem(path)
    explanation = explain_outputs(problem).explanation
    return dump_line(problem), list(lines(explanation)), explanation_page.page(explanation)


def read_report(path):
    """Read a report and render it in every way."""
    read = load(path)
    list(report_lines(read))
    return dump(read), page(read), markdown(read)


def read_answer(path):
    """Have a program answer with the first line of a file, and judge its answer."""
    line = path.read_bytes().partition(b"\n")[0] + b"\n"
    pipes = {"stdin": io.BytesIO(), "stdout": io.BytesIO(line)}
    process = SimpleNamespace(
        poll=lambda: None, kill=lambda: None, wait=lambda **_: 0, returncode=0, **pipes
    )
    program = CommandSubject(["program"])
    program.process = process
    try:
        answer = program.answer(PROBLEM)
    finally:
        program.close()
    return str(judge(PROBLEM, answer).differences)


def fixture(name, checksums):
    """A function that reads a folder with a changed file, whose checksums are right or wrong."""

    def read(path):
        folder = path.with_name("fixtures")
        old = (folder / name).read_bytes(), (folder / MANIFEST).read_bytes()
        (folder / name).write_bytes(path.read_bytes())
        if checksums:
            repair_checksums(folder, name)
        try:
            return repr(read_goldens(folder, small_catalogue()).outputs)
        finally:
            (folder / name).write_bytes(old[0])
            (folder / MANIFEST).write_bytes(old[1])

    return read


def repair_checksums(folder, name):
    """Enter the checksum of a file, or that of the manifest if it can still be read."""
    if name != MANIFEST:
        content = (folder / name).read_bytes()
        change_manifest(
            folder,
            lambda manifest: manifest["files"][name].update(
                sha256=hashlib.sha256(content).hexdigest()
            ),
        )
        return
    try:
        change_manifest(folder, lambda _: None)
    except Exception:  # it is no longer an object, or no longer JSON
        return


FAMILY = "lstm-spread.json"
READERS = {
    "problem": (problem_file, explain_problem),
    "known": (known_file, read_known),
    "report-2": (report_2, read_report),
    "report-1": (report_1, read_report),
    "answer": (answer_line, read_answer),
    "family": (FAMILY, fixture(FAMILY, checksums=False)),
    "family, checksums": (FAMILY, fixture(FAMILY, checksums=True)),
    "manifest": (MANIFEST, fixture(MANIFEST, checksums=False)),
    "manifest, checksums": (MANIFEST, fixture(MANIFEST, checksums=True)),
}
REFUSALS = RequestError, ProgramError, Unsupported


@contextmanager
def limited_cpu():
    """Raise TimeoutError in the block after CPU_SECONDS of its own CPU time."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def outcome(read, path, expected):
    """Return what became of a file; whatever is raised but a refusal fails the test."""
    try:
        with limited_cpu():
            value = read(path)
    except REFUSALS as error:
        line = str(error)
        if isinstance(error, RequestError):
            assert line.isprintable()
            assert 0 < len(line) <= LONGEST
        return "refused"
    return "same content" if value == expected else "other valid content"


def corrupt_and_read(folder, name, seeds):
    """Return how often each outcome came, for files corrupted with these seeds."""
    source, read = READERS[name]
    write_folder(folder / "fixtures")
    content = source() if callable(source) else (folder / "fixtures" / source).read_bytes()
    path = folder / "file"
    path.write_bytes(content)
    expected = read(path)
    counts, failures = Counter(), {}
    for seed in seeds:
        path.write_bytes(corrupted(content, Random(f"{name} {seed}")))
        try:
            counts[outcome(read, path, expected)] += 1
        except Exception as error:  # any but a refusal is what the test looks for
            failures[seed] = f"{type(error).__name__}: {error}"
    assert not failures
    assert counts["refused"] > counts.total() / 3
    print(f"{name}: {dict(counts)}")
    return counts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fixtures").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", READERS)
def test_corrupted_files_are_refused_in_one_line(folder, name):
    """A few files for every run of the tests."""
    corrupt_and_read(folder, name, range(20))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6), ids="part{}".format)
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_corrupted_files_are_refused_in_one_line(folder, name, part):
    """10,800 files, of which CI reads the first part."""
    corrupt_and_read(folder, name, range(1000 + 200 * part, 1200 + 200 * part))


@pytest.mark.parametrize("seed", range(4))
def test_the_command_refuses_in_one_line(here, tmp_path, seed):
    path = tmp_path / "file"
    for source, words in ((problem_file, ["explain"]), (report_2, ["check", "--from"])):
        path.write_bytes(corrupted(source(), Random(f"command {seed}")))
        status, _, err = here(*words, str(path))
        assert status in (0, 1, 2)
        assert len(err.splitlines()) == (status == 2)
