"""The bundle of an explained divergence: its problem and a script that shows the difference."""

from __future__ import annotations

from pathlib import Path

from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import DifferenceType, Verdict
from rnnparity.report.bundles.bundle import bundle_files, shown_difference, write_bundle
from rnnparity.report.text.differences import describe
from rnnparity.report.text.explanation import headline


def explained_files(diagnosis: Diagnosis, subject: str) -> dict[str, str | bytes]:
    """Return the files of a bundle by name, none where no script can be written."""
    of_outputs = diagnosis.problem.gradients is None
    if diagnosis.explanation.verdict is not Verdict.DIVERGES or not of_outputs:
        return {}
    try:
        return bundle_files(diagnosis.problem, *_arguments(diagnosis, subject))
    except RequestError:
        return {}


def write_explained(folder: Path, diagnosis: Diagnosis, subject: str) -> list[Path]:
    """Write the bundle into a folder and return its files.

    Raises:
        RequestError: as `bundle.write_bundle`; or gradients are wrong, for which there is no script.
    """
    if diagnosis.problem.gradients is not None:
        raise RequestError("bundle: got wrong gradients, expected wrong outputs")
    return write_bundle(folder, diagnosis.problem, *_arguments(diagnosis, subject))


def _arguments(diagnosis: Diagnosis, subject: str) -> tuple[str, str, DifferenceType]:
    """Return the headline, the subject, and the type of difference that a script shows."""
    explanation = diagnosis.explanation
    differences = explanation.differences
    shown = shown_difference(difference.type for difference in differences)
    sentence = headline(explanation)
    if shown is DifferenceType.FACT and not explanation.known:
        sentence = describe(differences[0], explanation.threshold)[0]
    return sentence, subject, shown
