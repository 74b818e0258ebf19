"""Regenerating the goldens, which needs two keys.

The reference and tf.keras must agree on every case, or their difference must be listed. Golden
gradients are in a folder of the fixtures, and regenerated in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import gradient_cases
from rnnparity.catalogue.selection import select
from rnnparity.golden.goldens import GRADIENTS, KNOWN, golden_outputs, read_goldens
from rnnparity.golden.known_differences import KnownDifference, of_outputs, read_known
from rnnparity.golden.manifest import MANIFEST, SCHEMA, manifest_text
from rnnparity.golden.writing import (
    REJECTED,
    drift,
    family_texts,
    has_text,
    locked,
    require_filelock,
    write_fixtures,
)
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.files import write_files
from rnnparity.problem.json_schema import schema_text
from rnnparity.problem.json_text import load_json, read_bytes
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import CaseResult
from rnnparity.problem.schema import ManifestFields
from rnnparity.problem.validation import validate
from rnnparity.problem.verdicts import FAILING, Verdict
from rnnparity.session.judging import self_check
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.progress import Progress, report_progress
from rnnparity.session.session import Session, open_session
from rnnparity.verdict.judge import equal_outputs, expect_answer, with_known

SECOND_KEY = "keras"


class ManifestFacts(TypedDict):
    """What the manifest records of a run besides the files."""

    generator: str
    versions: dict[str, str]
    left_out: dict[str, str]
    known: dict[str, list[str]]


@dataclass(frozen=True)
class Regeneration:
    """The files that changed (with --check: that would change), and the results that prevent it."""

    changed: list[str]
    refused: list[CaseResult]
    rows: int
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class _Candidate:
    """The fixtures that a run has computed: rows, file texts by name, facts of the manifest."""

    rows: Sequence[Problem]
    texts: Mapping[str, str]
    facts: ManifestFacts


def regenerate(
    folder: Path,
    *,
    k: str = "",
    check: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    gradients: bool = False,
) -> Regeneration:
    """Compute every golden, compare each with tf.keras, and write the files that differ.

    With one difference that is not listed no fixture changes: the candidates are kept as `.rej`.
    `k` selects the cases that tf.keras is asked; no golden of another case may change. With `check`
    nothing is written and tf.keras is not asked: only the files are compared. With `gradients` the
    goldens are those of `gradient_cases`, in a folder of their own.

    Raises:
        RequestError: tf.keras is missing, the folder cannot be written, or goldens of cases that
            were not selected would change.
    """
    if not (folder / KNOWN).exists():
        raise RequestError(
            f"{folder / KNOWN}: not found; an empty file states that no difference is known"
        )
    entries = read_known(folder / KNOWN)
    entries = entries if gradients else of_outputs(entries)
    cases: Mapping[str, Problem] = gradient_cases() if gradients else catalogue()
    folder = folder / GRADIENTS if gradients else folder
    schema = {} if gradients else {SCHEMA: schema_text()}
    if check:
        candidate = _candidate(folder, cases, [], {}, progress)
        drifted = drift(folder, {**candidate.texts, **schema}, _manifest(folder, candidate))
        return Regeneration(drifted, [], len(candidate.rows), candidate.facts["left_out"])
    require_filelock()
    asked = [cases[id_] for id_ in select(catalogue().tags(), k) if id_ in cases]
    with open_session(SECOND_KEY, jobs=jobs) as session:
        versions = {**session.versions, "numpy": np.__version__}
        results = _second_key(session, asked, entries, progress)
    candidate = _candidate(folder, cases, results, versions, progress)
    rows, left_out = len(candidate.rows), candidate.facts["left_out"]
    # A case that tf.keras does not run has only one key.
    refused = [result for result in results if result.verdict in FAILING | {Verdict.UNSUPPORTED}]
    if k:
        _check_others(folder, cases, candidate, {problem.id for problem in asked})
    with locked(folder):
        if refused:
            return Regeneration(_reject(folder, candidate), refused, rows, left_out)
        texts = {**candidate.texts, **schema}
        changed = write_fixtures(folder, texts, _manifest(folder, candidate))
    return Regeneration(changed, [], rows, left_out)


def _check_others(
    folder: Path, cases: Mapping[str, Problem], candidate: _Candidate, selected: Collection[str]
) -> None:
    """Check that no golden changes but those of the selected cases.

    Raises:
        RequestError: one does.
    """
    before = read_goldens(folder, cases)
    for row in candidate.rows:
        new = [tensor for tensor in row.gradients or row.outputs or () if tensor is not None]
        same = row.id in before.outputs and equal_outputs(new, before.outputs[row.id])
        if row.id not in selected and not same:
            raise RequestError(
                f"{row.id}: its golden would change, too; run `rnnparity regenerate` without -k"
            )


def _second_key(
    session: Session,
    problems: Sequence[Problem],
    entries: Sequence[KnownDifference],
    progress: Progress | None,
) -> list[CaseResult]:
    """Return the results of tf.keras."""
    results = []
    with one_blas_thread():
        self_check()
        for done, outcome in enumerate(session.ask_all(problems), 1):
            result = session.judge(outcome)
            results.append(with_known(result, entries, session.name, session.versions))
            report_progress(progress, session.name, done, len(problems), results[-1])
    return results


def _candidate(
    folder: Path,
    problems: Mapping[str, Problem],
    results: Sequence[CaseResult],
    versions: Mapping[str, str],
    progress: Progress | None,
) -> _Candidate:
    """Return the fixtures of problems, with the results of the cases that tf.keras was asked."""
    rows: list[Problem] = []
    left_out: dict[str, str] = {}
    with one_blas_thread():
        for done, (id_, problem) in enumerate(sorted(problems.items()), 1):
            reason = expect_answer(problem).inconclusive
            if reason:
                left_out[id_] = reason
            else:
                rows.append(problem.with_answer(golden_outputs(problem)))
            report_progress(progress, "goldens", done, len(problems))
    facts: ManifestFacts = {
        "generator": f"rnnparity {version('rnnparity')}",
        "versions": dict(sorted(versions.items())),
        "left_out": left_out,
        "known": _known(folder, results),
    }
    return _Candidate(rows, family_texts(rows), facts)


def _known(folder: Path, results: Sequence[CaseResult]) -> dict[str, list[str]]:
    """Return the cases of each known difference; what was not asked stays as it was written."""
    asked = {result.id for result in results}
    written = _written(folder)
    known: dict[str, list[str]] = {}
    for name, cases in (written.known if written else {}).items():
        known[name] = [case for case in cases if case in catalogue() and case not in asked]
    for result in results:
        for name in result.known:
            known.setdefault(name, []).append(result.id)
    return {name: sorted(cases) for name, cases in sorted(known.items()) if cases}


def _reject(folder: Path, candidate: _Candidate) -> list[str]:
    """Write the candidates that differ as `.rej` beside the fixtures, and return their names."""
    texts = {
        f"{name}{REJECTED}": text
        for name, text in candidate.texts.items()
        if not has_text(folder / name, text)
    }
    write_files({folder / name: text for name, text in texts.items()})
    return list(texts)


def _manifest(folder: Path, candidate: _Candidate) -> str:
    """Return the manifest with the versions that last changed something.

    Regenerating on another machine leaves no diff.
    """
    written = _written(folder)
    if written is not None:
        facts: ManifestFacts = {
            **candidate.facts,
            "generator": written.generator,
            "versions": written.versions,
        }
        unchanged = manifest_text(candidate.texts, candidate.rows, facts)
        if has_text(folder / MANIFEST, unchanged) or not candidate.facts["versions"]:
            return unchanged
    return manifest_text(candidate.texts, candidate.rows, candidate.facts)


def _written(folder: Path) -> ManifestFields | None:
    """Return the manifest in the folder, if it can be read."""
    path = folder / MANIFEST
    try:
        return validate(ManifestFields, load_json(read_bytes(path), str(path)), str(path))
    except FormatError:
        return None  # it is about to be replaced
