"""`manifest.json`: where the fixtures come from, with a checksum of every file and of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

from rnnparity.catalogue import family
from rnnparity.problem.errors import FormatError
from rnnparity.problem.json_text import load_json, read_bytes
from rnnparity.problem.keras_config import JsonObject
from rnnparity.problem.problem import Problem

MANIFEST = "manifest.json"
SCHEMA = "schema.json"
FORMAT = "rnnparity-fixtures/1"
REMEDY = "restore the file from version control or run `rnnparity regenerate`"

# The facts that the manifest records besides the files: a TypedDict or any mapping.
Facts: TypeAlias = Mapping[str, object]


def read_manifest(folder: Path) -> JsonObject:
    """Return the checked manifest of a folder, without its own checksum.

    Raises:
        FormatError: it is missing or malformed, or a checksum or a name in it is wrong.
    """
    from rnnparity.problem.schema import ManifestFields
    from rnnparity.problem.validation import validate

    path = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder}: not a folder; name the folder that holds {MANIFEST}")
    if not path.is_file():
        raise FormatError(f"{path}: not found; {REMEDY}")
    content = read_bytes(path)
    value = load_json(content, str(path))
    validate(ManifestFields, value, str(path))
    manifest = cast("JsonObject", value)
    del manifest["sha256"]
    if content != _with_checksum(manifest).encode():
        raise FormatError(f"{path}: checksum mismatch; {REMEDY}")
    for name in manifest["files"]:
        if Path(name).name != name or not name.endswith(".json") or name in (MANIFEST, SCHEMA):
            raise FormatError(f"{path}: {name!r} is not the name of a fixture; {REMEDY}")
    return manifest


def manifest_text(texts: Mapping[str, str], rows: Iterable[Problem], facts: Facts) -> str:
    """Return the manifest of the files in `texts`; `facts` are the keys besides the files."""
    counts = dict.fromkeys(texts, 0)
    for row in rows:
        counts[f"{family(row.id)}.json"] += 1
    files = {
        name: {"rows": counts[name], "sha256": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in texts.items()
    }
    return _with_checksum({"format": FORMAT, **facts, "files": files})


def _with_checksum(manifest: Mapping[str, object]) -> str:
    """Return a manifest's text; its last key is the SHA-256 of the text without that key."""
    without = json.dumps(manifest, indent=2, ensure_ascii=False)
    checksum = hashlib.sha256(without.encode()).hexdigest()
    return json.dumps({**manifest, "sha256": checksum}, indent=2, ensure_ascii=False) + "\n"
