"""The recorded outputs under fixtures/: read with every doubt, written whole or not at all.

One JSON file a family, its rows sorted by id, and `manifest.json` with each file's row count and
SHA-256. A golden is the exact answer rounded to the type that a subject must return, so any machine
writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.catalogue import family
from rnnparity.problem import file_format as wire
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.files import TEMPORARY, write_whole
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute, compute_exactly

MANIFEST = "manifest.json"
KNOWN = "known_differences.toml"
FORMAT = "rnnparity-fixtures/1"


def default_folder() -> Path:
    """The fixtures that an installed wheel carries, or those of the checkout."""
    package = Path(__file__).parents[1]
    inside = package / "fixtures"
    return inside if inside.is_dir() else package.parent / "fixtures"


def golden_outputs(problem: Problem) -> tuple[Tensor, ...]:
    """The exact answer: the reference rounded to each output's own type, float64 by way of hundreds
    of digits."""
    slots = problem.output_slots()
    exact = (
        compute_exactly(problem)
        if "float64" in {slot.dtype for slot in slots}
        else compute(problem)
    )
    return tuple(
        Tensor.of(slot.name, tensor.data, slot.dtype)
        for slot, tensor in zip(slots, exact, strict=True)
    )


@dataclass(frozen=True)
class Goldens:
    """The outputs by case, the reasons why some cases have none, and the manifest's own words."""

    outputs: Mapping[str, tuple[Tensor, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------
# reading


def read_goldens(folder: Path, catalogue: Mapping[str, Problem]) -> Goldens:
    """Every golden, each checked: checksum, row count, order, and that its problem is the
    catalogue's own.

    Raises:
        FormatError: one line that names the file, what is wrong, and how to make it right.
    """
    manifest = _read_manifest(folder)
    outputs: dict[str, tuple[Tensor, ...]] = {}
    for name, entry in manifest["files"].items():
        path = folder / name
        content = wire.read_bytes(path)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise FormatError(f"{path}: its SHA-256 is not the manifest's: {_REMEDY}")
        rows = _rows(content, path, entry["rows"])
        for row in rows:
            problem = catalogue.get(row["id"])
            if problem is None or f"{family(row['id'])}.json" != name:
                raise FormatError(
                    f"{path}: {row['id']}: the catalogue has no such case in this file: {_REMEDY}"
                )
            outputs[row["id"]] = _golden_of(row, problem, path)
    _check_complete(folder, manifest, outputs, catalogue)
    return Goldens(outputs, manifest["left_out"], manifest)


_REMEDY = "restore it from version control, or run `rnnparity regenerate`"


def _read_manifest(folder: Path) -> Any:
    from rnnparity.problem.schema import ManifestFields, validate

    path = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder}: is no folder; name the one that holds {MANIFEST}")
    if not path.is_file():
        raise FormatError(f"{path}: is not there: {_REMEDY}")
    content = wire.read_bytes(path)
    manifest = wire.load_json(content, str(path))
    validate(ManifestFields, manifest, str(path))
    del manifest["sha256"]
    if content != _with_checksum(manifest).encode():
        raise FormatError(f"{path}: its own SHA-256 is not that of what it says: {_REMEDY}")
    for name in manifest["files"]:
        if Path(name).name != name or not name.endswith(".json") or name == MANIFEST:
            raise FormatError(f"{path}: {name!r} is no fixture's name: {_REMEDY}")
    return manifest


def _rows(content: bytes, path: Path, count: int) -> list[dict[str, Any]]:
    rows = wire.load_json(content, str(path))
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and type(row.get("id")) is str for row in rows
    ):
        raise FormatError(f"{path}: should be a list of problems, each with an id: {_REMEDY}")
    ids = [row["id"] for row in rows]
    if len(ids) != count:
        raise FormatError(
            f"{path}: has {len(ids)} rows, but the manifest counts {count}: {_REMEDY}"
        )
    for one, next_one in pairwise(ids):
        if one >= next_one:
            fault = "stands twice" if one == next_one else "is out of order"
            raise FormatError(f"{path}: {next_one}: {fault}: {_REMEDY}")
    return rows


def _golden_of(row: dict[str, Any], problem: Problem, path: Path) -> tuple[Tensor, ...]:
    """The outputs of a row whose every other key says what the catalogue says."""
    outputs = row.pop("outputs", None)
    changed = _first_change(row, problem)
    if changed:
        raise FormatError(
            f"{path}: {problem.id}: {changed} is not what the catalogue says: {_REMEDY}"
        )
    slots = problem.output_slots()
    names = [(slot.name, list(slot.shape), slot.dtype) for slot in slots]
    if not isinstance(outputs, list) or [_head(output) for output in outputs] != names:
        raise FormatError(
            f"{path}: {problem.id}: outputs do not have the names, shapes and types of the layer's own"
        )
    arrays = [_array(output, output["dtype"]) for output in outputs]
    for (name, _, _), array in zip(names, arrays, strict=True):
        if array is None:
            raise FormatError(
                f"{path}: {problem.id}: {name}: its data are no numbers, or too few or many"
            )
    return tuple(
        Tensor(slot.name, array)
        for slot, array in zip(slots, arrays, strict=True)
        if array is not None
    )


def _first_change(row: dict[str, Any], problem: Problem) -> str:
    """The first key that differs from the catalogue's problem, or "". Cheaper than reading a
    problem anew."""
    plain = wire.plain_fields(problem)
    arrays = {"weights", "inputs", "mask", "initial_state"}
    odd = set(row) ^ (set(plain) | arrays)
    if odd:
        return f"the key {min(odd)!r}"
    for key, value in plain.items():
        if repr(row[key]) != repr(value):  # for == 1, 1.0 and true are the same
            return key
    states = list(problem.initial_state) if problem.initial_state is not None else None
    for key, tensors in (("weights", list(problem.weights)), ("initial_state", states)):
        if not _same_tensors(row[key], tensors):
            return key
    if not _same(row["inputs"], problem.inputs.data, problem.inputs.dtype, named=""):
        return "inputs"
    if problem.mask is None:
        return "" if row["mask"] is None else "mask"
    return "" if _same(row["mask"], problem.mask, "bool", named="") else "mask"


def _same_tensors(fields: Any, tensors: list[Tensor] | None) -> bool:
    if tensors is None or not isinstance(fields, list):
        return fields is tensors
    return len(fields) == len(tensors) and all(
        _same(field, tensor.data, tensor.dtype, tensor.name)
        for field, tensor in zip(fields, tensors, strict=True)
    )


def _same(fields: Any, data: Any, dtype: str, named: str) -> bool:
    head = (named, list(data.shape), dtype)
    if not isinstance(fields, dict) or _head(fields, bool(named)) != head:
        return False
    array = _array(fields, dtype)
    return array is not None and bool((array == data).all())


def _head(fields: Any, named: bool = True) -> tuple[Any, ...] | None:
    """Name, shape and type of an array's fields, or None where the keys are others."""
    keys = {"name", "shape", "dtype", "data"} if named else {"shape", "dtype", "data"}
    if not isinstance(fields, dict) or set(fields) != keys:
        return None
    if not isinstance(fields["shape"], list) or not set(map(type, fields["shape"])) <= {int}:
        return None
    return fields.get("name", ""), fields["shape"], fields["dtype"]


def _array(fields: dict[str, Any], dtype: str) -> Any:
    """The data in the shape and type that the head claims, or None."""
    data = fields["data"]
    kinds = {bool} if dtype == "bool" else {int, float}
    if (
        not isinstance(data, list)
        or len(data) != prod(fields["shape"])
        or not set(map(type, data)) <= kinds
    ):
        return None
    try:
        array = (
            np.array(data, bool)
            if dtype == "bool"
            else Tensor.of("", np.array(data, np.float64), dtype).data
        )
    except OverflowError:
        return None
    return array.reshape(fields["shape"])


def _check_complete(
    folder: Path,
    manifest: Mapping[str, Any],
    outputs: Mapping[str, Any],
    catalogue: Mapping[str, Problem],
) -> None:
    stray = {path.name for path in folder.glob("*.json")} - set(manifest["files"]) - {MANIFEST}
    if stray:
        raise FormatError(f"{folder / min(stray)}: is not in the manifest: {_REMEDY}")
    left_out = set(manifest["left_out"])
    both = left_out & set(outputs)
    if both:
        raise FormatError(
            f"{folder / MANIFEST}: {min(both)} is left out and yet has a golden: {_REMEDY}"
        )
    missing = set(catalogue) - set(outputs) - left_out
    if missing:
        raise FormatError(
            f"{folder}: {min(missing)} has no golden ({len(missing)} have none): {_REMEDY}"
        )
    unknown = left_out - set(catalogue)
    if unknown:
        raise FormatError(
            f"{folder / MANIFEST}: {min(unknown)} is left out, but is no case: {_REMEDY}"
        )


# ------------------------------------------------------------------------------------------------------
# writing


def family_texts(rows: Iterable[Problem]) -> dict[str, str]:
    """File name -> text, rows sorted by id; the same bytes for the same rows on every machine."""
    families: dict[str, list[Problem]] = {}
    for row in rows:
        families.setdefault(f"{family(row.id)}.json", []).append(row)
    return {
        name: "[\n"
        + ",\n".join(wire.dump_pretty(row) for row in sorted(members, key=lambda row: row.id))
        + "\n]\n"
        for name, members in sorted(families.items())
    }


def manifest_text(
    texts: Mapping[str, str], rows: Iterable[Problem], about: Mapping[str, Any]
) -> str:
    """The manifest of those files; `about` holds the generator, versions, left-out cases and known
    differences."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[f"{family(row.id)}.json"] = counts.get(f"{family(row.id)}.json", 0) + 1
    files = {
        name: {"rows": counts[name], "sha256": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in texts.items()
    }
    return _with_checksum({"format": FORMAT, **about, "files": files})


def _with_checksum(manifest: Mapping[str, Any]) -> str:
    """A manifest as it stands in its file: last in it the SHA-256 of what it would be without."""
    without = json.dumps(manifest, indent=2, ensure_ascii=False)
    checksum = hashlib.sha256(without.encode()).hexdigest()
    return json.dumps({**manifest, "sha256": checksum}, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Two writers, one after the other.

    Raises:
        RequestError: the folder cannot be written.
    """
    from filelock import FileLock

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Tried by hand: asking for permission tells nothing to root and to read-only file systems.
        with tempfile.TemporaryFile(dir=folder):
            pass
        lock.acquire()
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def write_fixtures(folder: Path, texts: Mapping[str, str], manifest: str) -> list[str]:
    """Replace what has changed: each file under a temporary name, synced, renamed; the manifest
    last.

    Returns the names of the files that changed. Killed at any moment, what is there is whole, or is
    seen to be mixed.
    """
    changed = [name for name, text in texts.items() if not _has(folder / name, text)]
    for name in changed:
        write_whole(folder / name, texts[name])
    if not _has(folder / MANIFEST, manifest):
        write_whole(folder / MANIFEST, manifest)
        changed.append(MANIFEST)
    # Only once the new manifest stands is a file that it does not name superfluous.
    for path in folder.glob("*.json"):
        if path.name not in texts and path.name != MANIFEST:
            path.unlink()
            changed.append(path.name)
    for pattern in (f"*{TEMPORARY}", f"*{REJECTED}"):
        for path in folder.glob(pattern):
            path.unlink()
    return changed


REJECTED = ".rej"


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
