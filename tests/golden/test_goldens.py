"""A folder of fixtures is read whole or not at all, and a golden that is not the exact answer is
seen."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _support.fixture_folders import (
    ABOUT,
    IDS,
    LEFT_OUT,
    change_file,
    change_manifest,
    one_step,
    small_catalogue,
    small_rows,
    texts_of,
    write_folder,
)

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import Goldens, default_folder, golden_outputs, read_goldens
from rnnparity.golden.manifest import MANIFEST
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import FormatError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict, Witness
from rnnparity.reference import compute, compute_exactly
from rnnparity.reference.tolerance import expect
from rnnparity.session.judging import Outcome, judge_reference
from rnnparity.verdict.judge import golden_drift, reference_result

REMEDY = "restore the file from version control or run `rnnparity regenerate`"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def refusal(folder, cases=None):
    """The one line with which a folder is refused, without the folder's own path."""
    with pytest.raises(FormatError) as caught:
        read_goldens(folder, small_catalogue() if cases is None else cases)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "DIR")


def test_a_whole_folder_is_read(folder):
    goldens = read_goldens(folder, small_catalogue())
    assert set(goldens.outputs) == set(IDS) - {LEFT_OUT}
    assert goldens.left_out == {LEFT_OUT: "for the sake of the test"}
    assert {key: goldens.manifest[key] for key in ABOUT} == ABOUT
    for row in small_rows():
        for golden, output in zip(goldens.outputs[row.id], row.outputs, strict=True):
            assert (golden.name, golden.dtype) == (output.name, output.dtype)
            np.testing.assert_array_equal(golden.data, output.data, strict=True)


def test_every_case_has_a_golden_or_is_left_out():
    goldens = read_goldens(default_folder(), catalogue())
    assert set(goldens.outputs) | set(goldens.left_out) == set(catalogue())


def test_the_same_rows_give_the_same_bytes_whatever_their_order():
    assert texts_of(small_rows()) == texts_of(small_rows()[::-1])


def test_a_missing_manifest_is_refused(folder):
    (folder / MANIFEST).unlink()
    assert refusal(folder) == f"DIR/manifest.json: not found; {REMEDY}"


def test_a_missing_file_is_refused(folder):
    (folder / "edge.json").unlink()
    assert refusal(folder) == "DIR/edge.json: cannot be read: No such file or directory"


def test_a_directory_instead_of_a_fixture_is_refused(folder):
    (folder / "edge.json").unlink()
    (folder / "edge.json").mkdir()
    assert refusal(folder) == "DIR/edge.json: cannot be read: Is a directory"


def test_an_empty_folder_is_refused(tmp_path):
    assert refusal(tmp_path) == f"DIR/manifest.json: not found; {REMEDY}"


def test_a_stray_file_is_refused(folder):
    (folder / "old.json").write_text("[]")
    assert refusal(folder) == "DIR/old.json: not in the manifest; remove it"


def test_an_edited_file_is_refused(folder):
    path = folder / "edge.json"
    path.write_text(path.read_text().replace("0.1", "0.2", 1))
    assert refusal(folder) == f"DIR/edge.json: checksum mismatch; {REMEDY}"


def test_a_case_without_a_golden_is_reported(folder):
    change_file(folder, "edge.json", lambda rows: rows[:1])
    missing = read_goldens(folder, small_catalogue()).missing
    assert missing == ("edge-T1-simple_rnn-forward-initial",)


def test_only_the_named_cases_are_read(folder):
    goldens = read_goldens(folder, small_catalogue(), ["gru-spread-last"])
    assert set(goldens.outputs) == {"gru-spread-last"}
    assert goldens.missing == ()
    (folder / "edge.json").write_text("damaged")
    assert read_goldens(folder, small_catalogue(), ["gru-spread-last"]).outputs
    with pytest.raises(FormatError, match="checksum mismatch"):
        read_goldens(folder, small_catalogue())


def test_a_golden_without_a_case_is_refused(folder):
    cases = {
        case: problem for case, problem in small_catalogue().items() if case != "gru-spread-last"
    }
    expected = (
        f"DIR/gru-spread.json: the catalogue has no case gru-spread-last in this file; {REMEDY}"
    )
    assert refusal(folder, cases) == expected


def test_a_wrong_number_of_rows_is_refused(folder):
    change_file(folder, "edge.json", lambda rows: rows[:1], count=False)
    assert refusal(folder) == f"DIR/edge.json: got 1 rows, expected 2; {REMEDY}"


def test_unsorted_and_duplicate_rows_are_refused(folder):
    change_file(folder, "edge.json", lambda rows: rows[::-1])
    assert refusal(folder) == f"DIR/edge.json: edge-D1-simple_rnn-forward: out of order; {REMEDY}"
    change_file(folder, "edge.json", lambda rows: [rows[0], rows[0]])
    assert (
        refusal(folder)
        == f"DIR/edge.json: edge-T1-simple_rnn-forward-initial: duplicate id; {REMEDY}"
    )


def test_a_case_with_a_golden_cannot_be_left_out(folder):
    change_manifest(
        folder, lambda manifest: manifest["left_out"].update({"gru-spread-last": "why not"})
    )
    assert (
        refusal(folder)
        == f"DIR/manifest.json: gru-spread-last has a golden, but is left out; {REMEDY}"
    )


def test_an_unknown_case_cannot_be_left_out(folder):
    change_manifest(folder, lambda manifest: manifest["left_out"].update({"gone": "why not"}))
    assert refusal(folder) == f"DIR/manifest.json: gone is left out, but is not a case; {REMEDY}"


@pytest.mark.parametrize(
    "name", ["../edge.json", "edge.txt", "manifest.json", "/etc/edge.json", "a/b.json"]
)
def test_a_file_name_outside_of_the_folder_is_refused(folder, name):
    change_manifest(
        folder,
        lambda manifest: manifest["files"].update({name: manifest["files"].pop("edge.json")}),
    )
    assert refusal(folder) == f"DIR/manifest.json: {name!r} is not the name of a fixture; {REMEDY}"


def test_an_impossible_file_name_is_refused(folder):
    change_manifest(
        folder,
        lambda manifest: manifest["files"].update({"a\0b.json": manifest["files"]["edge.json"]}),
    )
    assert refusal(folder) == r"DIR/a\x00b.json: cannot be read: embedded null byte"


@pytest.mark.parametrize("key", ["generator", "versions", "left_out", "known", "files"])
def test_an_edited_manifest_is_refused(folder, key):
    def edit(manifest):
        part = manifest[key]
        manifest[key] = f"{part}." if isinstance(part, str) else dict(list(part.items())[1:])

    change_manifest(folder, edit, checksum=False)
    assert refusal(folder) == f"DIR/manifest.json: checksum mismatch; {REMEDY}"


@pytest.mark.parametrize(
    "form", [{"indent": 1}, {"indent": 2, "sort_keys": True}, {"indent": 2, "ensure_ascii": False}]
)
def test_a_reformatted_manifest_is_refused(folder, form):
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()), **form))
    assert refusal(folder) == f"DIR/manifest.json: checksum mismatch; {REMEDY}"


# -------------------------------------------------------------------------------------------------------
# drift


@pytest.mark.parametrize("away", [True, False], ids=["from_zero", "to_zero"])
@pytest.mark.parametrize("row", small_rows(), ids=lambda row: row.id)
def test_a_golden_that_is_off_by_one_step_has_drifted(row, away):
    expected = expect(row)
    assert golden_drift(row.outputs, expected) is None
    for place, output in enumerate(row.outputs):
        moved = one_step(output, away)
        assert (moved.data != output.data).any()
        drift = golden_drift([*row.outputs[:place], moved, *row.outputs[place + 1 :]], expected)
        assert drift is not None
        assert (drift.output, drift.type, drift.differing) == (output.name, "values", 1)
        assert drift.index == (0,) * output.data.ndim
        assert drift.of is Witness.GOLDEN


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_golden_that_is_not_finite_has_drifted(value):
    row = small_rows()[0]
    data = row.outputs[0].data.copy()
    data.flat[3] = value
    drift = golden_drift([replace(row.outputs[0], data=data), *row.outputs[1:]], expect(row))
    assert (drift.type, drift.differing) == ("finiteness", 1)


def test_a_drifted_golden_diverges_from_the_reference():
    row = next(row for row in small_rows() if row.id == "lstm-spread-sequences-state")
    answer = Answer(compute(row))
    assert reference_result(row, answer, row.outputs).verdict is Verdict.AGREES
    verdict = reference_result(row, answer, [one_step(row.outputs[0], True), *row.outputs[1:]])
    assert (verdict.verdict, verdict.outlier) == (Verdict.DIVERGES, Witness.GOLDEN)
    assert (verdict.differences[0].output, verdict.differences[0].index) == ("output", (0, 0, 0))


def test_a_left_out_case_is_inconclusive():
    row = small_rows()[0]
    goldens = Goldens({}, {row.id: "the noise would hide a fault"})
    result = judge_reference(Outcome(row, Answer(compute(row))), goldens)
    assert (result.verdict, result.reason) == (
        Verdict.INCONCLUSIVE,
        "the noise would hide a fault",
    )


def test_goldens_are_the_rounded_reference():
    for row in small_rows():
        for golden, exact, slot in zip(
            golden_outputs(row), compute(row), row.output_slots(), strict=True
        ):
            assert (golden.name, golden.shape, golden.dtype) == (slot.name, slot.shape, slot.dtype)
            if slot.dtype == "float64":
                np.testing.assert_allclose(golden.data, exact.data, rtol=0, atol=1e-15)
            else:
                np.testing.assert_array_equal(
                    golden.data, Tensor.of("", exact.data, slot.dtype).data, strict=True
                )


def test_goldens_of_float64_are_exact_to_the_last_bit():
    problem = catalogue()["dtype-float64-gru-concat"]
    goldens = [tensor.data for tensor in golden_outputs(problem)]
    exact = [tensor.data.astype(np.float64) for tensor in compute_exactly(problem)]
    assert all(map(np.array_equal, goldens, exact))
    # The reference itself rounds at every step.
    assert not all(map(np.array_equal, goldens, [tensor.data for tensor in compute(problem)]))


def test_the_folder_of_an_installed_wheel_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "rnnparity.golden.goldens.__file__", str(tmp_path / "rnnparity" / "golden" / "goldens.py")
    )
    assert default_folder() == Path(tmp_path / "fixtures")
    (tmp_path / "rnnparity" / "fixtures").mkdir(parents=True)
    assert default_folder() == tmp_path / "rnnparity" / "fixtures"
