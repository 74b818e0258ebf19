"""The bundle of an explained divergence: its problem and a script that shows the difference."""

from __future__ import annotations

from pathlib import Path

from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.errors import RequestError
from rnnparity.problem.files import write_folder
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.report.bundles.bundle import bundle_files, shown_difference
from rnnparity.report.bundles.gradients import backward_bundle_files
from rnnparity.report.text.differences import describe
from rnnparity.report.text.explanation import headline


def explained_files(diagnosis: Diagnosis, subject: str) -> dict[str, str | bytes]:
    """Return the files of a bundle by name, none where no script can be written."""
    if diagnosis.explanation.verdict is not Verdict.DIVERGES:
        return {}
    try:
        return _files(diagnosis, subject)
    except RequestError:
        return {}


def write_explained(folder: Path, diagnosis: Diagnosis, subject: str) -> list[Path]:
    """Write the bundle into a folder and return its files.

    Raises:
        RequestError: as `bundle.write_bundle`.
    """
    files = _files(diagnosis, subject)
    write_folder(folder, files)
    return [folder / name for name in files]


def _files(diagnosis: Diagnosis, subject: str) -> dict[str, str | bytes]:
    """Return the files of the bundle of outputs, of gradients or of a training step."""
    problem = diagnosis.problem
    if problem.answer_type is AnswerType.OUTPUTS:
        return bundle_files(problem, *_arguments(diagnosis, subject))
    return backward_bundle_files(problem, headline(diagnosis.explanation), subject)


def _arguments(diagnosis: Diagnosis, subject: str) -> tuple[str, str, DifferenceType]:
    """Return the headline, the subject, and the type of difference that a script shows."""
    explanation = diagnosis.explanation
    differences = explanation.differences
    shown = shown_difference(difference.type for difference in differences)
    sentence = headline(explanation)
    if shown is DifferenceType.FACT and not explanation.known:
        sentence = describe(differences[0], explanation.threshold)[0]
    return sentence, subject, shown
