"""Regenerating the goldens, which needs two keys.

The reference and tf.keras must agree on every case, or their difference must be listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.golden.goldens import KNOWN, golden_outputs
from rnnparity.golden.known_differences import KnownDifference, read_known
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
from rnnparity.problem.file_format import load_json, read_bytes
from rnnparity.problem.files import write_files
from rnnparity.problem.json_schema import schema_text
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import FAILING, CaseResult, Verdict
from rnnparity.problem.schema import ManifestFields, validate
from rnnparity.reference.tolerance import Expected, expect
from rnnparity.session.judging import self_check
from rnnparity.session.processes import one_blas_thread
from rnnparity.session.session import Session, open_session
from rnnparity.session.subject_run import Progress, report_progress
from rnnparity.verdict.judge import with_known

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
    folder: Path, *, check: bool = False, jobs: int = 2, progress: Progress | None = None
) -> Regeneration:
    """Compute every golden, compare each with tf.keras, and write the files that differ.

    With one difference that is not listed no fixture changes: the candidates are kept as `.rej`.
    With `check` nothing is written.

    Raises:
        RequestError: tf.keras is missing, or the folder cannot be written.
    """
    if not (folder / KNOWN).exists():
        raise RequestError(
            f"{folder / KNOWN}: not found; an empty file states that no difference is known"
        )
    if not check:
        require_filelock()
    candidate, refused = _compute(read_known(folder / KNOWN), jobs, progress)
    rows, left_out = len(candidate.rows), candidate.facts["left_out"]
    if check:
        drifted = drift(folder, _all_texts(candidate), _manifest(folder, candidate))
        return Regeneration(drifted, refused, rows, left_out)
    with locked(folder):
        if refused:
            return Regeneration(_reject(folder, candidate), refused, rows, left_out)
        changed = write_fixtures(folder, _all_texts(candidate), _manifest(folder, candidate))
    return Regeneration(changed, [], rows, left_out)


def _all_texts(candidate: _Candidate) -> dict[str, str]:
    return {**candidate.texts, SCHEMA: schema_text()}


def _compute(
    entries: Sequence[KnownDifference], jobs: int, progress: Progress | None
) -> tuple[_Candidate, list[CaseResult]]:
    """Return the fixtures, and the results of tf.keras that are no second key."""
    problems = list(catalogue().values())
    with one_blas_thread(), open_session(SECOND_KEY, jobs=jobs) as session:
        self_check()
        expected = {problem.id: expect(problem) for problem in problems}
        conclusive = [problem for problem in problems if not expected[problem.id].inconclusive]
        rows = [problem.with_outputs(golden_outputs(problem)) for problem in conclusive]
        versions = {**session.versions, "numpy": np.__version__}
        results = _second_key(session, problems, expected, entries, progress)
    facts = _facts(results, expected, versions)
    # A case that tf.keras does not run has only one key.
    refused = [result for result in results if result.verdict in FAILING | {Verdict.UNSUPPORTED}]
    return _Candidate(rows, family_texts(rows), facts), refused


def _second_key(
    session: Session,
    problems: Sequence[Problem],
    expected: Mapping[str, Expected],
    entries: Sequence[KnownDifference],
    progress: Progress | None,
) -> list[CaseResult]:
    results = []
    for done, outcome in enumerate(session.ask_all(problems), 1):
        result = session.judge(outcome, None, expected)
        results.append(with_known(result, entries, session.name, session.versions))
        report_progress(progress, session.name, done, len(problems))
    return results


def _facts(
    results: Sequence[CaseResult], expected: Mapping[str, Expected], versions: Mapping[str, str]
) -> ManifestFacts:
    known: dict[str, list[str]] = {}
    for result in results:
        for name in result.known:
            known.setdefault(name, []).append(result.id)
    reasons = {case: reference.inconclusive for case, reference in sorted(expected.items())}
    return {
        "generator": f"rnnparity {version('rnnparity')}",
        "versions": dict(sorted(versions.items())),
        "left_out": {case: reason for case, reason in reasons.items() if reason},
        "known": {name: sorted(cases) for name, cases in sorted(known.items())},
    }


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
    written = _written_facts(folder)
    if written is not None:
        generator, versions = written
        facts: ManifestFacts = {**candidate.facts, "generator": generator, "versions": versions}
        unchanged = manifest_text(candidate.texts, candidate.rows, facts)
        if has_text(folder / MANIFEST, unchanged):
            return unchanged
    return manifest_text(candidate.texts, candidate.rows, candidate.facts)


def _written_facts(folder: Path) -> tuple[str, dict[str, str]] | None:
    """Return generator and versions of the manifest in the folder, if it can be read."""
    path = folder / MANIFEST
    try:
        manifest = validate(ManifestFields, load_json(read_bytes(path), str(path)), str(path))
    except FormatError:
        return None  # it is about to be replaced
    return manifest.generator, manifest.versions
