"""Regeneration with a fake of tf.keras: both keys, known differences, drift."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from _support.fixture_folders import IDS, SmallCatalogue, small_catalogue, write_folder

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import GRADIENTS, golden_outputs, read_goldens
from rnnparity.golden.manifest import MANIFEST, SCHEMA
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.reference.tolerance import expect
from rnnparity.session.judging import judge_outcome
from rnnparity.session.outcome import Outcome
from rnnparity.session.regenerate import regenerate

CASE = "lstm-spread-sequences-state"
VERSIONS = {"keras": "3.15.1", "tensorflow": "2.21.0"}
ENTRY = """
[[difference]]
name = "second-output"
subject = "keras"
cases = ["lstm-spread-*", "gru-spread-last"]
kinds = ["values"]
versions = { keras = ">=3.15,<3.16" }
cause = "sake: for the sake of the test"
standing = "mistake"
reason = "for the sake of the test"
link = "https://example.org"
"""


def right(problem):
    return Outcome(problem, Answer(golden_outputs(problem)))


def off_by_a_thousandth(problem):
    first, *others = golden_outputs(problem)
    moved = replace(first, data=(first.data + first.data.dtype.type(1e-3)))
    return Outcome(problem, Answer((moved, *others)))


class Keras:
    """A session that answers at once; `special` are the cases that it does not get right."""

    name = "keras"
    judge = staticmethod(judge_outcome)

    def __init__(self):
        self.versions = dict(VERSIONS)
        self.special = {}
        self.opened = []

    @contextmanager
    def open_session(self, subject, *, jobs):
        self.opened.append((subject, jobs))
        yield self

    def ask_all(self, problems):
        for problem in problems:
            yield self.special.get(problem.id, right)(problem)


@pytest.fixture
def keras(monkeypatch, tmp_path):
    """Return a tf.keras that gets everything right; the folder lists no known difference."""
    keras = Keras()
    (tmp_path / "known_differences.toml").touch()
    monkeypatch.setattr("rnnparity.session.regenerate.open_session", keras.open_session)
    monkeypatch.setattr("rnnparity.session.regenerate.catalogue", small_catalogue)
    return keras


@pytest.fixture
def written(keras, tmp_path):
    """Return a folder that is up to date."""
    regenerate(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_golden_is_written_where_both_keys_agree(keras, tmp_path):
    calls = []
    done = regenerate(tmp_path, jobs=3, progress=lambda *arguments: calls.append(arguments))
    assert keras.opened == [("keras", 3)]
    numbers = [
        (name, number, len(IDS))
        for name in ("keras", "goldens")
        for number in range(1, len(IDS) + 1)
    ]
    assert [call[:3] for call in calls] == numbers
    assert (done.refused, done.rows, done.left_out) == ([], len(IDS), {})
    assert set(done.changed) == {path.name for path in tmp_path.glob("*.json")}
    goldens = read_goldens(tmp_path, small_catalogue())
    assert goldens.manifest["versions"] == {**VERSIONS, "numpy": np.__version__}
    assert goldens.manifest["known"] == {}
    for case, outputs in goldens.outputs.items():
        for golden, exact in zip(outputs, golden_outputs(small_catalogue()[case]), strict=True):
            np.testing.assert_array_equal(golden.data, exact.data, strict=True)


def test_a_second_run_leaves_no_diff(keras, written):
    before = contents(written)
    assert regenerate(written).changed == []
    assert regenerate(written, check=True).changed == []
    assert contents(written) == before


def test_other_versions_alone_leave_no_diff(keras, written):
    before = contents(written)
    keras.versions = {"keras": "3.99.0", "tensorflow": "2.99.0"}
    assert regenerate(written, check=True).changed == []
    assert regenerate(written).changed == []
    assert contents(written) == before


def test_manifest_keeps_the_versions_that_last_changed_something(keras, written):
    (written / "edge.json").write_text("[]")
    keras.versions = {"keras": "3.99.0", "tensorflow": "2.99.0"}
    assert regenerate(written).changed == ["edge.json"]
    assert (
        read_goldens(written, small_catalogue()).manifest["versions"]["keras"] == VERSIONS["keras"]
    )
    (written / MANIFEST).write_text("{}")
    assert regenerate(written).changed == [MANIFEST]
    assert read_goldens(written, small_catalogue()).manifest["versions"]["keras"] == "3.99.0"


def test_one_unlisted_difference_prevents_every_write(keras, tmp_path):
    keras.special[CASE] = off_by_a_thousandth
    done = regenerate(tmp_path)
    assert [(verdict.id, str(verdict.verdict)) for verdict in done.refused] == [(CASE, "diverges")]
    assert set(done.changed) == {path.name for path in tmp_path.iterdir()} - {
        ".lock",
        "known_differences.toml",
    }
    assert "lstm-spread.json.rej" in done.changed
    assert all(name.endswith(".rej") for name in done.changed)


def test_without_the_list_of_known_differences_nothing_is_computed(keras, tmp_path):
    (tmp_path / "known_differences.toml").unlink()
    with pytest.raises(RequestError, match=r"known_differences\.toml: not found; an empty file"):
        regenerate(tmp_path)


def test_fixtures_stay_and_the_candidate_is_kept_as_rej(keras, written, monkeypatch):
    def changed(problem):
        first, *others = golden_outputs(problem)
        return (
            (replace(first, data=first.data * 2), *others)
            if problem.id == CASE
            else (first, *others)
        )

    before = contents(written)
    monkeypatch.setattr("rnnparity.session.regenerate.golden_outputs", changed)
    keras.special["edge-D1-simple_rnn-forward"] = off_by_a_thousandth
    done = regenerate(written)
    assert done.changed == ["lstm-spread.json.rej"]
    candidate = contents(written)["lstm-spread.json.rej"]
    assert contents(written) == {**before, "lstm-spread.json.rej": candidate}
    keras.special.clear()
    done = regenerate(written)
    assert (done.changed, done.refused) == (["lstm-spread.json", MANIFEST], [])
    assert (written / "lstm-spread.json").read_bytes() == candidate
    assert not (written / "lstm-spread.json.rej").exists()


def test_an_error_is_not_a_second_key(keras, tmp_path):
    keras.special[CASE] = lambda problem: Outcome(problem, error="worker died")
    assert [verdict.reason for verdict in regenerate(tmp_path).refused] == ["worker died"]
    assert not (tmp_path / MANIFEST).exists()


def test_an_unsupported_case_is_not_a_second_key(keras, tmp_path):
    keras.special[CASE] = lambda problem: Outcome(problem, unsupported="no such activation")
    assert [verdict.reason for verdict in regenerate(tmp_path).refused] == ["no such activation"]
    assert not (tmp_path / MANIFEST).exists()


def test_a_listed_difference_is_recorded_in_the_manifest(keras, tmp_path):
    keras.special[CASE] = off_by_a_thousandth
    (tmp_path / "known_differences.toml").write_text(ENTRY)
    done = regenerate(tmp_path)
    assert done.refused == []
    goldens = read_goldens(tmp_path, small_catalogue())
    assert goldens.manifest["known"] == {"second-output": [CASE]}
    right_value = golden_outputs(small_catalogue()[CASE])[0].data
    np.testing.assert_array_equal(goldens.outputs[CASE][0].data, right_value)


def test_an_entry_for_another_version_covers_nothing(keras, tmp_path):
    keras.special[CASE] = off_by_a_thousandth
    keras.versions["keras"] = "3.16.0"
    (tmp_path / "known_differences.toml").write_text(ENTRY)
    assert [verdict.id for verdict in regenerate(tmp_path).refused] == [CASE]


def test_an_inconclusive_case_is_left_out_with_the_reason(keras, tmp_path, monkeypatch):
    def noisy(problem):
        return replace(expect(problem), inconclusive="too much noise" if problem.id == CASE else "")

    monkeypatch.setattr("rnnparity.session.regenerate.expect_answer", noisy)
    done = regenerate(tmp_path)
    assert (done.rows, done.left_out) == (len(IDS) - 1, {CASE: "too much noise"})
    goldens = read_goldens(tmp_path, small_catalogue())
    assert goldens.left_out == {CASE: "too much noise"}
    assert CASE not in goldens.outputs


@pytest.mark.parametrize("name", ["edge.json", MANIFEST])
def test_check_reports_a_file_that_drifted(keras, written, name):
    path = written / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    before = contents(written)
    assert regenerate(written, check=True).changed == [name]
    assert contents(written) == before
    path.unlink()
    assert regenerate(written, check=True).changed == [name]
    assert not path.exists()


def test_check_reports_a_file_that_is_not_used(keras, written):
    (written / "stray.json").write_text("[]")
    before = contents(written)
    for check in (True, False):
        with pytest.raises(RequestError, match=r"stray.json: not in the manifest; remove it$"):
            regenerate(written, check=check)
    assert contents(written) == before
    assert (written / "stray.json").exists()


def test_check_reports_fixtures_of_another_catalogue(keras, tmp_path):
    # The folder has one more row, in a file that only it is in.
    write_folder(tmp_path)
    assert regenerate(tmp_path, check=True).changed == ["stack.json", SCHEMA, MANIFEST]


def test_check_does_not_ask_keras(keras, written):
    before = contents(written)
    keras.opened.clear()
    keras.special[CASE] = off_by_a_thousandth
    done = regenerate(written, check=True)
    assert (done.refused, done.changed, keras.opened) == ([], [], [])
    assert contents(written) == before


def remove_case(monkeypatch):
    without = SmallCatalogue(small_catalogue())
    del without[CASE]
    monkeypatch.setattr("rnnparity.session.regenerate.catalogue", lambda: without)


def test_a_new_case_is_added_without_asking_keras_about_the_others(keras, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        remove_case(patch)
        (tmp_path / "known_differences.toml").write_text(ENTRY)
        keras.special["gru-spread-last"] = off_by_a_thousandth
        regenerate(tmp_path)
    keras.special = dict.fromkeys(small_catalogue(), off_by_a_thousandth) | {CASE: right}
    done = regenerate(tmp_path, k=CASE)
    assert (done.changed, done.refused) == (["lstm-spread.json", MANIFEST], [])
    goldens = read_goldens(tmp_path, small_catalogue())
    assert (goldens.missing, goldens.manifest["known"]) == (
        (),
        {"second-output": ["gru-spread-last"]},
    )


def test_goldens_of_cases_that_were_not_selected_must_stay(keras, written, monkeypatch):
    def changed(problem):
        first, *others = golden_outputs(problem)
        return (replace(first, data=first.data * 2), *others)

    before = contents(written)
    monkeypatch.setattr("rnnparity.session.regenerate.golden_outputs", changed)
    with pytest.raises(RequestError, match="its golden would change, too; run `rnnparity regen"):
        regenerate(written, k=CASE)
    assert contents(written) == before


def test_a_file_in_place_of_the_folder_is_refused(keras, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"file/known_differences.toml: not found"):
        regenerate(tmp_path / "file")


def test_a_failed_self_check_prevents_every_write(keras, tmp_path, monkeypatch):
    from rnnparity.problem.errors import SelfCheckError

    monkeypatch.setattr(
        "rnnparity.session.judging.wrong_answer", lambda problem: Answer(golden_outputs(problem))
    )
    with pytest.raises(
        SelfCheckError, match=r"self-check failed: discard this run; .* passed lstm"
    ):
        regenerate(tmp_path)
    assert contents(tmp_path) == {"known_differences.toml": b""}


@pytest.fixture
def gradients(keras, monkeypatch):
    """Return cases with golden gradients; tf.keras gets them right."""
    cases = {CASE: with_cotangents(small_catalogue()[CASE])}
    monkeypatch.setattr("rnnparity.session.regenerate.gradient_cases", lambda: cases)
    keras.special[CASE] = right_gradients
    return cases


def right_gradients(problem):
    return Outcome(problem, Answer(gradients=golden_outputs(problem)))


def test_golden_gradients_are_written_into_their_own_folder(keras, gradients, written):
    before = {path.name: path.read_bytes() for path in written.glob("*.json")}
    done = regenerate(written, gradients=True)
    assert (done.changed, done.rows) == (["lstm-spread.json", MANIFEST], 1)
    assert {path.name: path.read_bytes() for path in written.glob("*.json")} == before
    goldens = read_goldens(written / GRADIENTS, gradients)
    for golden, exact in zip(goldens.outputs[CASE], golden_outputs(gradients[CASE]), strict=True):
        np.testing.assert_array_equal(golden.data, exact.data, strict=True)
    assert regenerate(written, gradients=True, check=True).changed == []
    path = written / GRADIENTS / "lstm-spread.json"
    path.write_text(path.read_text().replace("0.1", "0.2", 1))
    assert regenerate(written, gradients=True, check=True).changed == [path.name]


def test_gradients_that_tf_keras_does_not_have_are_refused(keras, gradients, written):
    keras.special[CASE] = lambda problem: Outcome(problem, Answer(gradients=()))
    done = regenerate(written, gradients=True)
    assert [result.id for result in done.refused] == [CASE]
    assert done.changed == ["lstm-spread.json.rej"]


def test_an_expression_selects_cases_with_golden_gradients(keras, gradients, written):
    regenerate(written, gradients=True)
    assert regenerate(written, k="gru-spread-last", gradients=True).changed == []
