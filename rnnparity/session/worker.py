"""A worker process: it loads one subject once, and answers problems."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from rnnparity.problem.answer import Subject
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.session.outcome import Outcome, ask_in_this_process, error_line
from rnnparity.session.processes import prepare_process
from rnnparity.subjects import SubjectError, make_subject


@dataclass
class _State:
    """The subject of this process, once it is loaded, or the reason why it cannot be loaded."""

    name: str = ""
    subject: Subject | None = None
    failure: RequestError | None = None
    folder: str = ""


_STATE = _State()


def prepare_worker(subject: str, folder: str = "") -> None:
    """Set up a worker process for a subject; modules in `folder` come first."""
    _STATE.name, _STATE.folder = subject, folder
    if folder:
        sys.path.insert(0, folder)
    prepare_process()


def load() -> tuple[dict[str, str], RequestError | None]:
    """Load the subject, unless it is loaded, and return its versions or why it has none."""
    if _STATE.subject is None and _STATE.failure is None:
        try:
            _STATE.subject = make_subject(_STATE.name)
            _check_folder()
        except RequestError as error:
            _STATE.failure = error
        except (Exception, SystemExit) as error:  # whatever an imported module may raise
            _STATE.failure = SubjectError(_STATE.name, f"cannot be loaded: {error_line(error)}")
    versions = _STATE.subject.versions() if _STATE.subject else {}
    return versions, _STATE.failure


def _check_folder() -> None:
    """Check that the subject uses the modules of the folder, if there is one.

    Raises:
        SubjectError: it does not.
    """
    if not _STATE.folder:
        return
    # Attributes are not asked for: a lazy module would be loaded, or raise.
    modules = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    files = [vars(module).get("__file__") or "" for module in modules]
    if not any(Path(_STATE.folder) in Path(file).parents for file in files):
        _STATE.subject = None
        raise SubjectError(_STATE.name, f"uses no module in {_STATE.folder}")


def answer(problem: Problem) -> Outcome:
    """Return the outcome of a problem, with the memory of this process."""
    load()
    if _STATE.subject is None:
        return Outcome(problem, error=str(_STATE.failure))
    outcome = ask_in_this_process(_STATE.subject, problem)
    # An exception of a framework would import the framework where it is unpickled.
    return replace(outcome, exception=None, memory=_resident_bytes())


def _resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
