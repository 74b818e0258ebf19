"""What `regenerate` writes and refuses, with tf.keras played by the reference: both keys, known
differences, drift."""

from dataclasses import replace

import numpy as np
import pytest
from _support.fixture_folders import IDS, small_catalogue, write_folder

from rnnparity.golden.goldens import MANIFEST, golden_outputs, read_goldens
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.reference.tolerance import expect
from rnnparity.session.regenerate import regenerate
from rnnparity.session.workers import Outcome

CASE = "lstm-spread-sequences-state"
VERSIONS = {"keras": "3.15.1", "tensorflow": "2.21.0"}
ENTRY = """
[[difference]]
name = "second-output"
subject = "keras"
cases = ["lstm-spread-*"]
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
    """Workers that answer at once; `special` are cases with another answer than the right one."""

    def __init__(self):
        self.said = dict(VERSIONS)
        self.special = {}
        self.asked = []

    def __call__(self, subject, count):
        self.asked.append((subject, count))
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def versions(self):
        return dict(self.said)

    def run(self, problems):
        for problem in problems:
            yield self.special.get(problem.id, right)(problem)


@pytest.fixture
def keras(monkeypatch, tmp_path):
    """tf.keras is right about everything; nothing is known in the folder."""
    keras = Keras()
    (tmp_path / "known_differences.toml").touch()
    monkeypatch.setattr("rnnparity.session.regenerate.Workers", keras)
    monkeypatch.setattr("rnnparity.session.regenerate.catalogue", small_catalogue)
    return keras


@pytest.fixture
def written(keras, tmp_path):
    """A folder that is up to date."""
    regenerate(tmp_path)
    return tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_agree_and_everything_is_written(keras, tmp_path):
    heard = []
    done = regenerate(tmp_path, jobs=3, progress=lambda *words: heard.append(words))
    assert keras.asked == [("keras", 3)]
    assert heard == [("keras", number, len(IDS)) for number in range(1, len(IDS) + 1)]
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


def test_another_machine_leaves_no_diff(keras, written):
    before = contents(written)
    keras.said = {"keras": "3.99.0", "tensorflow": "2.99.0"}
    assert regenerate(written, check=True).changed == []
    assert regenerate(written).changed == []
    assert contents(written) == before


def test_the_versions_are_those_that_last_changed_something(keras, written):
    (written / "edge.json").write_text("[]")
    keras.said = {"keras": "3.99.0", "tensorflow": "2.99.0"}
    assert regenerate(written).changed == ["edge.json"]
    assert (
        read_goldens(written, small_catalogue()).manifest["versions"]["keras"] == VERSIONS["keras"]
    )
    (written / MANIFEST).write_text("{}")
    assert regenerate(written).changed == [MANIFEST]
    assert read_goldens(written, small_catalogue()).manifest["versions"]["keras"] == "3.99.0"


def test_one_difference_and_nothing_is_written(keras, tmp_path):
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
    with pytest.raises(RequestError, match=r"known_differences\.toml: is not there; an empty file"):
        regenerate(tmp_path)


def test_what_was_there_stays_and_the_candidate_lies_beside_it(keras, written, monkeypatch):
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


def test_an_error_is_no_second_key(keras, tmp_path):
    keras.special[CASE] = lambda problem: Outcome(problem, error="its process died")
    assert [verdict.reason for verdict in regenerate(tmp_path).refused] == ["its process died"]
    assert not (tmp_path / MANIFEST).exists()


def test_silence_is_no_second_key(keras, tmp_path):
    keras.special[CASE] = lambda problem: Outcome(problem, unsupported="no such activation")
    assert [verdict.reason for verdict in regenerate(tmp_path).refused] == ["no such activation"]
    assert not (tmp_path / MANIFEST).exists()


def test_a_listed_difference_is_written_with_its_name(keras, tmp_path):
    keras.special[CASE] = off_by_a_thousandth
    (tmp_path / "known_differences.toml").write_text(ENTRY)
    done = regenerate(tmp_path)
    assert done.refused == []
    goldens = read_goldens(tmp_path, small_catalogue())
    assert goldens.manifest["known"] == {"second-output": [CASE]}
    right_value = golden_outputs(small_catalogue()[CASE])[0].data
    np.testing.assert_array_equal(goldens.outputs[CASE][0].data, right_value)


def test_a_list_for_another_version_covers_nothing(keras, tmp_path):
    keras.special[CASE] = off_by_a_thousandth
    keras.said["keras"] = "3.16.0"
    (tmp_path / "known_differences.toml").write_text(ENTRY)
    assert [verdict.id for verdict in regenerate(tmp_path).refused] == [CASE]


def test_an_inconclusive_case_is_left_out_with_the_reason(keras, tmp_path, monkeypatch):
    def noisy(problem):
        return replace(expect(problem), inconclusive="too much noise" if problem.id == CASE else "")

    monkeypatch.setattr("rnnparity.session.regenerate.expect", noisy)
    done = regenerate(tmp_path)
    assert (done.rows, done.left_out) == (len(IDS) - 1, {CASE: "too much noise"})
    goldens = read_goldens(tmp_path, small_catalogue())
    assert goldens.left_out == {CASE: "too much noise"}
    assert CASE not in goldens.outputs


@pytest.mark.parametrize("name", ["edge.json", MANIFEST])
def test_check_sees_a_file_that_drifted(keras, written, name):
    path = written / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    before = contents(written)
    assert regenerate(written, check=True).changed == [name]
    assert contents(written) == before
    path.unlink()
    assert regenerate(written, check=True).changed == [name]
    assert not path.exists()


def test_check_sees_a_file_too_many(keras, written):
    (written / "stray.json").write_text("[]")
    assert regenerate(written, check=True).changed == ["stray.json"]
    assert (written / "stray.json").exists()


def test_check_sees_fixtures_of_another_catalogue(keras, tmp_path):
    """One row more in a file of its own: the file, and the manifest."""
    write_folder(tmp_path)
    assert regenerate(tmp_path, check=True).changed == ["stack.json", MANIFEST]


def test_check_sees_a_difference_and_keeps_no_candidates(keras, written):
    before = contents(written)
    keras.special[CASE] = off_by_a_thousandth
    done = regenerate(written, check=True)
    assert ([verdict.id for verdict in done.refused], done.changed) == ([CASE], [])
    assert contents(written) == before


def test_a_folder_that_cannot_be_written(keras, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"file/known_differences.toml: is not there"):
        regenerate(tmp_path / "file")


def test_a_run_that_proves_nothing_writes_nothing(keras, tmp_path, monkeypatch):
    from rnnparity.problem.errors import SelfCheckError

    monkeypatch.setattr(
        "rnnparity.session.check.wrong_answer", lambda problem: Answer(golden_outputs(problem))
    )
    with pytest.raises(SelfCheckError, match="passed lstm-spread-sequences-state"):
        regenerate(tmp_path)
    assert contents(tmp_path) == {"known_differences.toml": b""}
