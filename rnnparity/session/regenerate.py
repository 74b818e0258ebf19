"""Writing the goldens needs two keys: the reference and tf.keras must agree, or their difference
must be listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import (
    KNOWN,
    MANIFEST,
    REJECTED,
    family_texts,
    golden_outputs,
    locked,
    manifest_text,
    write_fixtures,
)
from rnnparity.golden.known_differences import KnownDifference, read_known
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.file_format import load_json, read_bytes
from rnnparity.problem.files import write_whole
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import FAILING, CaseResult, Verdict
from rnnparity.problem.schema import ManifestFields, validate
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.check import Progress, one_blas_thread, result_of, self_check
from rnnparity.session.workers import Workers
from rnnparity.verdict.judge import with_known


@dataclass(frozen=True)
class Regeneration:
    """What a run did: files changed (or, with --check, that would), and the verdicts that stood in
    the way."""

    changed: list[str]
    refused: list[CaseResult]
    rows: int
    left_out: Mapping[str, str]


def regenerate(
    folder: Path, *, check: bool = False, jobs: int = 2, progress: Progress | None = None
) -> Regeneration:
    """Compute every golden anew, hear tf.keras on each, and write the files that differ; with
    `check`, write nothing.

    One difference that is not listed, and no fixture changes: the candidates are kept beside as
    `.rej`.

    Raises:
        RequestError: tf.keras is missing, or the folder cannot be written.
    """
    problems = list(catalogue().values())
    if not (folder / KNOWN).exists():
        raise RequestError(
            f"{folder / KNOWN}: is not there; an empty file says that no difference is known"
        )
    entries = read_known(folder / KNOWN)
    with one_blas_thread(), Workers("keras", jobs) as workers:
        self_check()
        expected = {problem.id: expect(problem) for problem in problems}
        rows = [
            p.with_outputs(golden_outputs(p)) for p in problems if not expected[p.id].inconclusive
        ]
        versions = {**workers.versions(), "numpy": np.__version__}
        verdicts = _second_key(workers, problems, expected, versions, entries, progress)
    # A case that tf.keras did not run has but one key.
    refused = [
        verdict for verdict in verdicts if verdict.verdict in FAILING | {Verdict.UNSUPPORTED}
    ]
    texts = family_texts(rows)
    about = _about(verdicts, expected, versions)
    if check:
        return Regeneration(
            _drift(folder, texts, rows, about), refused, len(rows), about["left_out"]
        )
    with locked(folder):
        if refused:
            changed = {name: text for name, text in texts.items() if not _same(folder / name, text)}
            for name, text in changed.items():
                write_whole(folder / f"{name}{REJECTED}", text)
            return Regeneration(
                [f"{name}{REJECTED}" for name in changed], refused, len(rows), about["left_out"]
            )
        manifest = _manifest(folder, texts, rows, about)
        changed_names = write_fixtures(folder, texts, manifest)
    return Regeneration(changed_names, [], len(rows), about["left_out"])


def _second_key(
    workers: Workers,
    problems: Sequence[Problem],
    expected: Mapping[str, Expected],
    versions: Mapping[str, str],
    entries: Sequence[KnownDifference],
    progress: Progress | None,
) -> list[CaseResult]:
    verdicts = []
    for outcome in workers.run(problems):
        verdict = result_of(outcome, expected[outcome.problem.id], None)
        verdicts.append(with_known(verdict, entries, "keras", versions))
        if progress is not None:
            progress("keras", len(verdicts), len(problems))
    return verdicts


def _about(
    verdicts: Sequence[CaseResult], expected: Mapping[str, Expected], versions: Mapping[str, str]
) -> dict[str, Any]:
    known: dict[str, list[str]] = {}
    for verdict in verdicts:
        for name in verdict.known:
            known.setdefault(name, []).append(verdict.id)
    return {
        "generator": f"rnnparity {version('rnnparity')}",
        "versions": dict(sorted(versions.items())),
        "left_out": {
            case: e.inconclusive for case, e in sorted(expected.items()) if e.inconclusive
        },
        "known": {name: sorted(ids) for name, ids in sorted(known.items())},
    }


def _manifest(
    folder: Path, texts: Mapping[str, str], rows: Sequence[Problem], about: Mapping[str, Any]
) -> str:
    """The manifest; its versions are those that last changed something, so that no machine leaves a
    diff."""
    written = _written(folder)
    if written:
        kept = {"generator": written["generator"], "versions": written["versions"]}
        unchanged = manifest_text(texts, rows, {**about, **kept})
        if _same(folder / MANIFEST, unchanged):
            return unchanged
    return manifest_text(texts, rows, about)


def _drift(
    folder: Path, texts: Mapping[str, str], rows: Sequence[Problem], about: Mapping[str, Any]
) -> list[str]:
    drifted = [name for name, text in texts.items() if not _same(folder / name, text)]
    drifted += [
        path.name
        for path in folder.glob("*.json")
        if path.name not in texts and path.name != MANIFEST
    ]
    return drifted + (
        [] if _same(folder / MANIFEST, _manifest(folder, texts, rows, about)) else [MANIFEST]
    )


def _written(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    try:
        return validate(
            ManifestFields, load_json(read_bytes(path), str(path)), str(path)
        ).model_dump()
    except FormatError:
        return None  # whatever stands there is about to be replaced


def _same(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
