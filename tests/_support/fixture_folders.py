"""A small folder of fixtures for the tests: thirteen cases of the catalogue in nine files, some of
every kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import golden_outputs
from rnnparity.golden.manifest import MANIFEST, manifest_text
from rnnparity.golden.writing import family_texts
from rnnparity.problem.problem import Problem, Tensor

IDS = (
    "bi_simple_rnn-spread-none-sequences-state-mask_left",
    "dtype-bfloat16-simple_rnn-concat-mask",
    "dtype-float16-gru-forward",
    "dtype-float64-lstm-forward",
    "edge-D1-simple_rnn-forward",
    "edge-T1-simple_rnn-forward-initial",
    "gru-spread-last",
    "gru_before-constant-last",
    "lstm-spread-last-mask_interior-initial",
    "lstm-spread-sequences-state",
    "sources-000-bilstm-state",
    "stack-two_rnn_last",
    "stateful-gru-concat-sequences-mask",
)
LEFT_OUT = "stack-two_rnn_last"
ABOUT: dict[str, Any] = {
    "generator": "rnnparity 0",
    "versions": {"keras": "3.0.0", "numpy": "2.0.0", "tensorflow": "2.16.0"},
    "left_out": {LEFT_OUT: "for the sake of the test"},
    "known": {"some-difference": ["gru-spread-last"]},
}


class SmallCatalogue(dict[str, Problem]):
    """Some cases, of which an expression can select."""

    def tags(self) -> dict[str, tuple[str, ...]]:
        return catalogue().tags(self)


@cache
def small_catalogue() -> SmallCatalogue:
    """The cases that the folder is to be held against."""
    return SmallCatalogue({case: catalogue()[case] for case in IDS})


@cache
def small_rows() -> tuple[Problem, ...]:
    """The cases with their goldens, but for the one that is left out."""
    return tuple(
        problem.with_outputs(golden_outputs(problem))
        for case, problem in small_catalogue().items()
        if case != LEFT_OUT
    )


def texts_of(rows: tuple[Problem, ...], **about: Any) -> tuple[dict[str, str], str]:
    """The files by name, and the manifest."""
    texts = family_texts(rows)
    return texts, manifest_text(texts, rows, {**ABOUT, **about})


def write_folder(folder: Path) -> Path:
    """The small fixtures, written without the means of the library."""
    texts, manifest = texts_of(small_rows())
    for name, text in {**texts, MANIFEST: manifest}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder


def change_file(folder: Path, name: str, change: Callable[[Any], Any], count: bool = True) -> None:
    """Change the content of a file and make all checksums right again, and with `count` the number of
    its rows.

    `change` is given the parsed file and changes it in place, or returns what is to stand instead.
    """
    rows = json.loads((folder / name).read_text(encoding="utf-8"))
    replaced = change(rows)
    rows = rows if replaced is None else replaced
    text = rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False)
    (folder / name).write_text(text, encoding="utf-8")

    def enter(manifest: Any) -> None:
        manifest["files"][name]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        if count and isinstance(rows, list):
            manifest["files"][name]["rows"] = len(rows)

    change_manifest(folder, enter)


def change_manifest(folder: Path, change: Callable[[Any], None], checksum: bool = True) -> None:
    """Change the manifest, and with `checksum` make its own checksum right again."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    if checksum:
        manifest.pop("sha256", None)
        manifest["sha256"] = hashlib.sha256(_indented(manifest).encode()).hexdigest()
    path.write_text(_indented(manifest) + "\n", encoding="utf-8")


def _indented(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=2, ensure_ascii=False)


BITS: dict[str, Any] = {"float16": np.int16, "bfloat16": np.int16, "float32": np.int32}


def one_step(tensor: Tensor, away: bool, place: int = 0) -> Tensor:
    """The tensor with one value moved to a neighbour in its own type, away from zero or towards it.

    In a 64-bit tensor it moves by 1e-9 of its size: the reference, itself in float64, is not surer
    of what is right.
    """
    data = tensor.data.copy()
    if tensor.dtype == "float64":
        data.flat[place] *= 1 + 1e-9 if away else 1 - 1e-9
    else:
        step = 1 if away or data.flat[place] == 0 else -1
        data.view(BITS[tensor.dtype]).flat[place] += step
        data.flat[place] *= 1 if away or tensor.data.flat[place] != 0 else -1
    return replace(tensor, data=data)
