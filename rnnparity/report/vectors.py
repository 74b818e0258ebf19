"""The test vectors as a product: cases with outputs, gradients and tolerances, for other languages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np

from rnnparity import __version__
from rnnparity.catalogue import digest
from rnnparity.catalogue.cotangents import gradient_cases
from rnnparity.golden.manifest import SCHEMA
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import check_new_folder, write_folder
from rnnparity.problem.format_writing import FORMAT_2, dump_line
from rnnparity.problem.json_schema import schema_text
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.report.pages.page import render_template
from rnnparity.session.fixtures import read_fixtures
from rnnparity.session.progress import Progress, report_progress
from rnnparity.session.selection import Selection
from rnnparity.verdict.compare import half_units
from rnnparity.verdict.judge import expect_answer

FORMAT = "rnnparity-vectors/1"
# Of the vectors, not of rnnparity: templates/vectors/CHANGELOG.md has a section for it.
VERSION = "1.0"
OUTPUTS, GRADIENTS, MANIFEST = "outputs.jsonl", "gradients.jsonl", "manifest.json"
# Files that are the same in every export.
STATIC = ("CHANGELOG.md", "rnnparity.hpp", "example.cpp", "rnnparity.mjs", "example.mjs")
# What a layer computes, for reading: it imports rnnparity.
SPECIFICATION = "spec.py"


@dataclass(frozen=True)
class Export:
    """What was written: the number of problems with outputs, with gradients, and of those left out."""

    outputs: int
    gradients: int
    left_out: int


def export_vectors(folder: Path, *, k: str = "", progress: Progress | None = None) -> Export:
    """Write the core set of cases, or those that `k` selects, into a folder.

    Raises:
        RequestError: `k` selects no case that has a golden, or the folder cannot be written.
        FormatError: the fixtures are incomplete or edited.
    """
    check_new_folder(folder)
    # Few engines have dropout or train, and those that ignore these keys have other outputs.
    selected = [
        case
        for case in Selection(k).cases()
        if case.dropout_masks is None and case.training_step is None
    ]
    with_gradients = [gradient_cases()[case.id] for case in selected if case.id in gradient_cases()]
    lines = {
        OUTPUTS: _lines(selected, gradients=False, progress=progress),
        GRADIENTS: _lines(with_gradients, gradients=True, progress=progress),
    }
    if not lines[OUTPUTS]:
        raise RequestError("the selected cases have no goldens: rounding would hide a fault")
    export = Export(len(lines[OUTPUTS]), len(lines[GRADIENTS]), len(selected) - len(lines[OUTPUTS]))
    texts = {name: "".join(f"{line}\n" for line in each) for name, each in lines.items()}
    texts[SCHEMA] = schema_text()
    texts["README.md"] = _readme(export)
    templates = files("rnnparity.report") / "templates" / "vectors"
    texts |= {name: (templates / name).read_text(encoding="utf-8") for name in STATIC}
    specification = files("rnnparity.reference") / SPECIFICATION
    texts[SPECIFICATION] = specification.read_text(encoding="utf-8")
    write_folder(folder, {**texts, MANIFEST: _manifest(texts, lines)})
    return export


def _lines(problems: Sequence[Problem], *, gradients: bool, progress: Progress | None) -> list[str]:
    """Return a line for each problem that has a golden."""
    fixtures = read_fixtures(only=[problem.id for problem in problems], gradients=gradients)
    lines = []
    for done, problem in enumerate(problems, 1):
        golden = fixtures.goldens.outputs.get(problem.id)
        if golden is not None:
            lines.append(_line(problem, golden))
        report_progress(progress, "gradients" if gradients else "outputs", done, len(problems))
    return lines


def _line(problem: Problem, golden: Sequence[Tensor]) -> str:
    """Return a problem with its outputs or gradients on one line, a tolerance beside each value."""
    fields = json.loads(dump_line(replace(problem, case=None).with_answer(golden)))
    fields["format"] = FORMAT_2
    key = "gradients" if problem.answer_type is AnswerType.GRADIENTS else "outputs"
    for tensor, tolerance in zip(fields[key], tolerances(problem, golden), strict=True):
        tensor["tolerance"] = tolerance
    return json.dumps(fields)


def tolerances(problem: Problem, golden: Sequence[Tensor]) -> Iterator[list[float]]:
    """Yield the largest allowed difference from each value of each golden, row-major.

    It is what `verdict.compare.distances` allows: the threshold times sigma, and never less than
    the rounding of the expected value to its own dtype.
    """
    expected = expect_answer(problem)
    for tensor, sigma in zip(golden, expected.sigmas, strict=True):
        float_type = FLOAT_TYPES[tensor.dtype]
        half_unit = half_units(tensor.data.astype(np.float64), float_type)
        allowed = np.maximum(expected.dtype.threshold * sigma, half_unit)
        yield _three_digits(allowed + half_unit)


def _three_digits(values: Array) -> list[float]:
    """Return positive numbers rounded up to three significant digits."""
    exponents = np.floor(np.log10(values)) - 2
    return [
        float(f"{value:.3g}") for value in (np.ceil(values / 10**exponents) * 10**exponents).ravel()
    ]


def _readme(export: Export) -> str:
    from rnnparity.problem.schema import ProblemFields

    fields = ProblemFields.model_json_schema()["properties"]
    thresholds = sorted({float_type.threshold for float_type in FLOAT_TYPES.values()})
    words = {
        "version": VERSION,
        "rnnparity": __version__,
        "outputs": _number_of_problems(export.outputs),
        "gradients": _number_of_problems(export.gradients),
        "left_out": export.left_out,
        "keys": [(key, fields[key]["description"]) for key in fields if key != "case"],
        "thresholds": " or ".join(f"{threshold:g}" for threshold in thresholds),
    }
    return render_template("vectors/README.md.j2", words)


def _number_of_problems(count: int) -> str:
    return f"{count} problem{'' if count == 1 else 's'}"


def _manifest(texts: Mapping[str, str], lines: Mapping[str, Sequence[str]]) -> str:
    entries = {
        name: {
            **({"lines": len(lines[name])} if name in lines else {}),
            "sha256": sha256(text.encode()).hexdigest(),
        }
        for name, text in sorted(texts.items())
    }
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "rnnparity": __version__,
        "catalogue": digest(),
        "files": entries,
    }
    return json.dumps(manifest, indent=1) + "\n"
