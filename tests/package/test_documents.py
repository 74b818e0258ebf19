"""README and docs: their generated parts are current, their links lead somewhere, their code runs."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnnparity import Unsupported, Verdict, assert_parity, check
from rnnparity.catalogue import catalogue
from rnnparity.catalogue.selection import select
from rnnparity.report.stored.fuzz import StoredLog
from rnnparity.session.fuzz import FuzzRun
from rnnparity.session.fuzz_records import Record, SeedRecords
from rnnparity.verdict.judge import judge

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SUBJECTS = (ROOT / "docs" / "subjects.md").read_text(encoding="utf-8")
# Where a document's code block begins.
NUMPY_FIRST = "import numpy as np\nfrom rnnparity import Unsupported\nfrom rnnparity"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_first_code_block_of_the_readme_is_the_two_commands():
    block = re.search(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
    first, second = block.splitlines()
    assert first.endswith("rnnparity check")
    assert second.endswith("pytest")


def test_readme_has_at_most_200_lines():
    assert len(README.splitlines()) <= 200


def test_generated_parts_are_current():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("differ: none\n", 0), done.stderr


def test_generated_part_that_is_not_current_is_reported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import generate

    stale = "<!-- begin thresholds -->\nold\n<!-- end -->"
    assert generate.rendered(stale) != stale
    assert generate.rendered(generate.rendered(stale)) == generate.rendered(stale)


def test_table_of_fuzzing_is_that_of_its_stored_runs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import generate

    versions = {"keras": "3.15.1"}
    for subject, verdict in (("keras", Verdict.AGREES), ("keras:xla", Verdict.INCONCLUSIVE)):
        record = Record("fuzz-4-0", "float64", verdict, 0.5)
        log = StoredLog(tmp_path / f"{subject}.json")
        log.begin(FuzzRun(subject, versions, (4, 5), date="2026-11-30", rnnparity="0.2"))
        log.add(SeedRecords(4, (record,)))
        log.add(SeedRecords(5, ()))
    files = [str(tmp_path / name) for name in ("keras.json", "keras:xla.json")]
    entry = generate.fuzz_entry(files)
    assert entry["command"] == "rnnparity fuzz --from keras.json keras:xla.json"
    assert entry["rows"] == [["float64", "2", "0", "50.0 %", "0.5", "0/0", "0/0", "0.0e+00"]]
    counts = "keras (1 verdicts), keras:xla (1 verdicts)"
    assert entry["versions"] == f"{counts} on seeds from 4 to 5, with keras 3.15.1"
    monkeypatch.setattr(generate, "measurements", lambda: {"fuzz": entry})
    assert "| float64 | 2 | 0 | 50.0 % |" in generate.measured("fuzz")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_exist(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (document.parent / link).exists(), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_named_in_a_document_exist(document):
    for name in re.findall(
        r"`((?:rnnparity|tests|fixtures|docs)/[\w./-]+)`", document.read_text("utf-8")
    ):
        assert (ROOT / name).exists(), name


def test_no_placeholder_is_left():
    for document in DOCUMENTS:
        assert not re.search(r"@[A-Z]+@|FIXME|XXX", document.read_text("utf-8")), document


def snippet(start, text=README):
    """Return the names that the code block of a document which begins with `start` defines."""
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (code,) = [block for block in blocks if block.startswith(start)]
    names = {}
    exec(code, names)  # noqa: S102 - what the README asks people to type
    return names


def test_implementation_of_the_readme_agrees_where_it_is_supported():
    (result,) = check(snippet("import numpy")["my_rnn"], k="simple_rnn and core").subjects
    assert result.failing == ()
    assert result.counts[Verdict.AGREES] > 10


def test_implementation_of_the_readme_has_at_most_30_lines():
    (code,) = re.findall(r"^```python\n(import numpy.*?)^```", README, re.M | re.S)
    assert len(code.splitlines()) <= 30


def test_half_of_the_documentation_of_subjects_agrees_where_it_is_supported():
    half = snippet(f"{NUMPY_FIRST}.subjects", SUBJECTS)["my_lstm"]
    (result,) = check(half, k="lstm and core and not stack").subjects
    assert result.failing == ()
    assert result.counts[Verdict.AGREES] > 30


def test_subject_module_of_the_documentation_agrees_where_it_is_supported():
    (registration,) = snippet("from rnnparity import Unsupported\n", SUBJECTS)["SUBJECTS"]
    subject = registration.factory()
    for case in ("simple_rnn-spread-last", "bi_simple_rnn-spread-sum-sequences-state"):
        problem = catalogue()[case]
        assert judge(problem, subject.answer(problem)).verdict is Verdict.AGREES
    with pytest.raises(Unsupported, match="only SimpleRNN"):
        subject.answer(catalogue()["lstm-spread-last"])


def test_converter_of_the_documentation_of_subjects_agrees():
    pytest.importorskip("keras")
    converter = snippet(f"{NUMPY_FIRST}.models", SUBJECTS)["my_converter"]
    for case in ("gru-spread-last", "bi_lstm-spread-none-sequences-state"):
        assert_parity(converter, catalogue()[case])


def test_live_layer_of_the_readme_agrees():
    pytest.importorskip("tensorflow")
    assert snippet("import keras")["problem"].layer.units == 3


def test_live_model_of_its_document_agrees():
    pytest.importorskip("tensorflow")
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    assert snippet("import keras", text)["result"].passed


def test_gradients_of_their_document_agree():
    pytest.importorskip("torch")
    my_rnn = snippet("import torch", (ROOT / "docs" / "gradients.md").read_text("utf-8"))["my_rnn"]
    (result,) = check(my_rnn, k="simple_rnn and not bi_simple_rnn", gradients=True).subjects
    assert result.failing == ()
    assert result.counts[Verdict.AGREES] > 5
    problem = catalogue()["simple_rnn-spread-last"]
    assert assert_parity(my_rnn, problem, gradients=True).verdict is Verdict.AGREES
    cotangents = my_rnn.gradients
    my_rnn.gradients = lambda problem: [2 * gradient for gradient in cotangents(problem)]
    with pytest.raises(AssertionError, match="cause: gradient-doubled: all"):
        assert_parity(my_rnn, problem, gradients=True)


def test_parametrized_test_of_the_readme_selects_cases(monkeypatch):
    monkeypatch.setitem(sys.modules, "mylib", SimpleNamespace(my_rnn=None))
    test = snippet("import pytest")["test_keras_parity"]
    assert select(catalogue().tags(), test.pytestmark[0].args[0])
