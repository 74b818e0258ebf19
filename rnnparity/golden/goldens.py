"""The recorded outputs under fixtures/: every doubt about a file is an error.

One JSON file a family, its rows sorted by id, and `manifest.json` with each file's row count and
SHA-256. A golden is the exact answer rounded to the dtype that a subject must return, so any
machine writes the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rnnparity.catalogue import family
from rnnparity.golden.manifest import MANIFEST, REMEDY, SCHEMA, read_manifest
from rnnparity.golden.rows import golden_of, read_rows
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.errors import FormatError
from rnnparity.problem.json_text import read_bytes
from rnnparity.problem.keras_config import JsonObject
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute, compute_exactly
from rnnparity.reference.gradients import compute_gradients, compute_gradients_exactly
from rnnparity.reference.gradients.training import (
    compute_training_step,
    compute_training_step_exactly,
)

KNOWN = "known_differences.toml"
# The folder with golden gradients, inside that of the golden outputs.
GRADIENTS = "gradients"


def default_folder() -> Path:
    """Return the fixtures of the installed wheel, or those of the checkout."""
    package = Path(__file__).parents[1]
    inside = package / "fixtures"
    return inside if inside.is_dir() else package.parent / "fixtures"


def golden_outputs(problem: Problem) -> tuple[Tensor, ...]:
    """Return the exact answer: the reference rounded to the dtype of each output.

    Outputs in float64 are computed with hundreds of digits. A problem with cotangents has gradients
    instead, one with a training step the weights after it.
    """
    slots = problem.answer_slots()
    wide = "float64" in {slot.dtype for slot in slots}
    if problem.answer_type is AnswerType.TRAINED_WEIGHTS:
        exact = compute_training_step_exactly(problem) if wide else compute_training_step(problem)
    elif problem.answer_type is AnswerType.GRADIENTS:
        exact = compute_gradients_exactly(problem) if wide else compute_gradients(problem)
    else:
        exact = compute_exactly(problem) if wide else compute(problem)
    return tuple(
        Tensor.of(slot.name, tensor.data, slot.dtype)
        for slot, tensor in zip(slots, exact, strict=True)
    )


@dataclass(frozen=True)
class Goldens:
    """The outputs (or gradients) by case, why some cases have none, and the manifest.

    `missing` are the cases of the catalogue that the fixtures do not have yet.
    """

    outputs: Mapping[str, tuple[Tensor, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    manifest: JsonObject = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def read_goldens(
    folder: Path, catalogue: Mapping[str, Problem], only: Collection[str] | None = None
) -> Goldens:
    """Return the goldens of the catalogue, or of the cases `only`.

    The checksum, row count and order of their files are checked, and the problem of each.

    Raises:
        FormatError: one line that names the file, what is wrong, and what to do.
    """
    manifest = read_manifest(folder)
    wanted = set(catalogue if only is None else only)
    files = {f"{family(case)}.json" for case in wanted}
    outputs: dict[str, tuple[Tensor, ...]] = {}
    for name, entry in manifest["files"].items():
        if name in files or only is None:
            outputs |= _read_family(folder / name, entry, catalogue, wanted)
    _check_files(folder, manifest["files"])
    _check_left_out(folder, set(manifest["left_out"]), set(outputs), set(catalogue))
    missing = sorted(wanted - outputs.keys() - manifest["left_out"].keys())
    return Goldens(outputs, manifest["left_out"], manifest, tuple(missing))


def _read_family(
    path: Path,
    entry: JsonObject,
    catalogue: Mapping[str, Problem],
    wanted: Collection[str],
) -> dict[str, tuple[Tensor, ...]]:
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise FormatError(f"{path}: checksum mismatch; {REMEDY}")
    outputs = {}
    for row in read_rows(content, path, entry["rows"]):
        case = row["id"]
        if case not in catalogue or f"{family(case)}.json" != path.name:
            message = f"the catalogue has no case {case} in this file"
            raise FormatError(f"{path}: {message}; {REMEDY}")
        if case in wanted:
            outputs[case] = golden_of(row, catalogue[case], path)
    return outputs


def _check_files(folder: Path, listed: Collection[str]) -> None:
    stray = {path.name for path in folder.glob("*.json")} - {*listed, MANIFEST, SCHEMA}
    if stray:
        raise FormatError(f"{folder / min(stray)}: not in the manifest; remove it")


def _check_left_out(
    folder: Path, left_out: set[str], golden: set[str], catalogue: set[str]
) -> None:
    path = folder / MANIFEST
    both = left_out & golden
    if both:
        raise FormatError(f"{path}: {min(both)} has a golden, but is left out; {REMEDY}")
    unknown = left_out - catalogue
    if unknown:
        raise FormatError(f"{path}: {min(unknown)} is left out, but is not a case; {REMEDY}")
