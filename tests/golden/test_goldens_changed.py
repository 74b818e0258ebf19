"""Fixtures that say something else are refused, though every checksum and count was made right
again.

One thing cannot be refused on reading: another output. It is a golden like any, and stands alone
against the reference.
"""

import json
import random
import shutil
from collections import Counter

import pytest
from _support.changes_of_meaning import CHANGES, CHANGES_OF_THE_MANIFEST
from _support.fixture_folders import (
    change_file,
    change_manifest,
    one_step,
    small_catalogue,
    small_rows,
    write_folder,
)

from rnnparity.golden.goldens import read_goldens
from rnnparity.golden.manifest import MANIFEST
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import FormatError
from rnnparity.problem.verdicts import Verdict, Witness
from rnnparity.reference import compute
from rnnparity.verdict.judge import reference_result


def plain_folder(folder):
    """The small fixtures as `change_file` writes them, so that a change of nothing leaves every
    byte."""
    write_folder(folder)
    for path in folder.glob("*.json"):
        if path.name != MANIFEST:
            change_file(folder, path.name, lambda _: None)
    return folder


def assert_refused(folder, name=""):
    try:
        goldens = read_goldens(folder, small_catalogue())
    except FormatError as error:
        line = str(error)
    else:
        assert goldens.missing, f"{name}: {folder} was read"  # a missing golden is reported
        return
    assert line.startswith(str(folder))
    assert line.isprintable()


def contents(folder):
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def test_an_unchanged_copy_is_read(tmp_path):
    folder = plain_folder(tmp_path)
    assert set(read_goldens(folder, small_catalogue()).outputs) == {row.id for row in small_rows()}


def change_something(folder, rng):
    """One change, tried until something is different; its name."""
    before = contents(folder)
    while True:
        if rng.random() < 0.2:
            change = rng.choice(CHANGES_OF_THE_MANIFEST)
            change_manifest(folder, lambda manifest, change=change: change(manifest, rng))
        else:
            change = rng.choice(CHANGES)
            name = rng.choice([name for name in before if name != MANIFEST])
            change_file(folder, name, lambda rows, change=change: change(rows, rng))
        if contents(folder) != before:
            return change.__name__


def change_outputs(folder, rng):
    """One output moves to a neighbouring number of its own type; the case that it belongs to."""
    row = rng.choice(small_rows())
    index = rng.randrange(len(row.outputs))
    place = rng.randrange(row.outputs[index].data.size)
    moved = one_step(row.outputs[index], rng.random() < 0.5, place).data.flat[place]

    def change(rows):
        for fields in rows:
            if fields["id"] == row.id:
                fields["outputs"][index]["data"][place] = float(moved)

    name = next(
        name
        for name, text in contents(folder).items()
        if f'"id": "{row.id}"' in text and name != MANIFEST
    )
    change_file(folder, name, change)
    return row.id


def assert_stands_alone(folder, case):
    goldens = read_goldens(folder, small_catalogue())
    for row in small_rows():
        problem = small_catalogue()[row.id]
        answer = Answer(compute(problem))
        verdict = reference_result(problem, answer, goldens.outputs[row.id])
        drifted = (Verdict.DIVERGES, Witness.GOLDEN)
        expected = drifted if row.id == case else (Verdict.AGREES, None)
        assert (verdict.verdict, verdict.outlier) == expected


def change_meaning(tmp_path, seed, number):
    """That many changes, one in ten of an output; how often each was made."""
    whole = tmp_path / "whole"
    whole.mkdir()
    plain_folder(whole)
    rng = random.Random(seed)
    made = Counter()
    for _ in range(number):
        folder = shutil.copytree(whole, tmp_path / "changed")
        if rng.random() < 0.1:
            made["outputs"] += 1
            assert_stands_alone(folder, change_outputs(folder, rng))
        else:
            name = change_something(folder, rng)
            made[name] += 1
            assert_refused(folder, name)
        shutil.rmtree(folder)
    return made


def test_a_hundred_changes_of_meaning_are_detected(tmp_path):
    assert change_meaning(tmp_path, 1, 100).total() == 100


@pytest.mark.slow
def test_a_thousand_changes_of_meaning_are_detected(tmp_path):
    made = change_meaning(tmp_path, 2, 1000)
    assert made.total() == 1000
    assert set(made) == {change.__name__ for change in (*CHANGES, *CHANGES_OF_THE_MANIFEST)} | {
        "outputs"
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_a_row_is_detected(tmp_path, change, seed):
    """In the first file, of those in another order each time, in which there is something to
    change."""
    rng = random.Random(seed)
    folder = plain_folder(tmp_path)
    before = contents(folder)
    for name in rng.sample(sorted(before.keys() - {MANIFEST}), len(before) - 1):
        change_file(folder, name, lambda rows: change(rows, rng))
        if (folder / name).read_text() != before[name]:
            break
    else:
        pytest.fail("nothing was changed")
    assert_refused(folder)


def add_one(rows, case, key):
    """Change a number that is given; of a mask, its first step."""
    field = next(row for row in rows if row["id"] == case)[key]
    data = (field[0] if isinstance(field, list) else field)["data"]
    data[0] = not data[0] if key == "mask" else data[0] + 1


@pytest.mark.parametrize("key", ["weights", "inputs", "mask", "initial_state"])
def test_the_changed_key_is_named(tmp_path, key):
    case = "lstm-spread-last-mask_interior-initial"
    folder = plain_folder(tmp_path)
    name = next(name for name, text in contents(folder).items() if f'"id": "{case}"' in text)
    change_file(folder, name, lambda rows: add_one(rows, case, key))
    with pytest.raises(FormatError, match=f"{case}: {key} differs"):
        read_goldens(folder, small_catalogue())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES_OF_THE_MANIFEST, ids=lambda change: change.__name__)
def test_every_change_of_the_manifest_is_detected(tmp_path, change, seed):
    folder = write_folder(tmp_path)
    change_manifest(folder, lambda manifest: change(manifest, random.Random(seed)))
    assert_refused(folder)


def test_a_renamed_file_is_refused(tmp_path):
    folder = write_folder(tmp_path)
    (folder / "edge.json").rename(folder / "hedge.json")
    change_manifest(
        folder,
        lambda manifest: manifest["files"].update(
            {"hedge.json": manifest["files"].pop("edge.json")}
        ),
    )
    assert_refused(folder)


def test_two_files_merged_into_one_are_refused(tmp_path):
    folder = write_folder(tmp_path)
    moved = json.loads((folder / "gru-spread.json").read_text())
    (folder / "gru-spread.json").unlink()
    change_manifest(folder, lambda manifest: manifest["files"].pop("gru-spread.json"))
    change_file(folder, "edge.json", lambda rows: [*rows, *moved])
    assert_refused(folder)
