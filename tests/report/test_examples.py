"""Examples: runs whose groups are explained, and known differences with their reasons."""

import getpass
import json
import platform
from dataclasses import replace

import pytest

from rnnparity.golden.goldens import KNOWN, default_folder, golden_outputs
from rnnparity.problem.machine import this_machine
from rnnparity.problem.results import KnownEntry
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.examples import with_examples
from rnnparity.report.stored.reports import dump, parse
from rnnparity.session.check import check_run
from rnnparity.session.selection import Selection
from rnnparity.session.settings import Settings

FEW = "gru-spread-sequences-mask_interior and not bi_"


def unmasked(problem):
    """A port that ignores masks."""
    return [tensor.data for tensor in golden_outputs(replace(problem, mask=None))]


def ignore_progress(name, done, total):
    pass


@pytest.fixture(scope="module")
def run():
    return check_run([unmasked], Selection(FEW), Settings())


def test_a_group_of_failing_cases_is_explained_once(run):
    calls = []
    (subject,) = with_examples(run, lambda *call: calls.append(call)).subjects
    assert calls == []  # the search for the cause has explained it
    (explanation,) = [case.explanation for case in subject.cases if case.explanation]
    assert explanation.id == "gru-spread-sequences-mask_interior"
    assert explanation.cause.names == ("mask-ignored",)
    assert explanation.descriptions[0].description.startswith("Masked steps are computed")
    assert explanation.picture.shape == (5, 4)
    assert [len(row) for row in explanation.picture.levels] == [4] * 5
    assert [row[0] for row in explanation.picture.levels] == [0] * 5
    assert max(map(max, explanation.picture.levels)) > 3


def test_a_run_is_stored_and_read_back(run):
    report = with_examples(run, ignore_progress)
    assert parse(json.loads(dump(report)), "x") == report
    (subject,) = report.subjects
    assert subject.name == f"{__name__}:unmasked"
    assert subject.machine.processor == this_machine().processor
    assert subject.date.endswith("Z")


def test_the_machine_has_no_name():
    text = json.dumps(vars(this_machine()))
    assert platform.node() not in text
    assert f'"{getpass.getuser()}"' not in text
    assert "/" not in text.replace("x86/64", "")


@pytest.fixture
def known_folder(tmp_path):
    """Fixtures with an entry that `unmasked` meets and one that it does not meet."""
    for path in default_folder().glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    words = {"name": "no-masks", "cause": "mask-ignored", "standing": "undocumented", "link": "x"}
    entry = {**words, "subject": f"{__name__}:*", "cases": ["gru-*"], "kinds": ["values"]}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    text = f'[[difference]]\n{text}versions = {{}}\nreason = """As\nwanted."""\n'
    other = text.replace("no-masks", "not-met").replace(__name__, "elsewhere")
    (tmp_path / KNOWN).write_text(text + other)
    return tmp_path


def test_a_known_difference_is_explained_and_keeps_its_reason(known_folder):
    calls = []
    run = check_run([unmasked], Selection(FEW), Settings(fixtures=known_folder))
    report = with_examples(run, lambda *call: calls.append(call))
    entry = KnownEntry("no-masks", "mask-ignored", "undocumented", "As wanted.", "x")
    assert report.known == (entry,)
    (subject,) = report.subjects
    assert subject.passed
    assert {(case.verdict, case.known) for case in subject.cases} == {
        (Verdict.KNOWN, ("no-masks",))
    }
    explanations = [case.explanation for case in subject.cases if case.explanation]
    assert [(e.id, e.cause.names) for e in explanations] == [
        ("gru-spread-sequences-mask_interior", ("mask-ignored",))
    ]
    assert calls == [(f"{__name__}:unmasked: examples", 1, 1)]
