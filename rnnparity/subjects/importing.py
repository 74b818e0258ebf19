"""Finding a user's function by its name, `package.module:callable`, in the current folder too."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rnnparity.problem.answer import Subject
from rnnparity.problem.text import did_you_mean
from rnnparity.subjects.declarations import SubjectError
from rnnparity.subjects.functions import Function, FunctionSubject


def function_subject(target: str) -> Subject:
    """Return the subject of a function `package.module:callable`, the current folder included.

    Raises:
        SubjectError: the function cannot be imported, or is none.
    """
    _find_in_current_folder()
    return FunctionSubject(imported(target, target))


def is_module(name: str) -> bool:
    """Return whether a module or package of that name can be found, without importing it."""
    _find_in_current_folder()
    return name in sys.modules or find_spec(name) is not None


def _find_in_current_folder() -> None:
    # `python -m` puts the current folder on the path, the installed script does not.
    if "" not in sys.path:
        sys.path.insert(0, "")


def imported(target: str, subject: str) -> Callable[..., object]:
    """Return the function that `module:function` names, for the subject of that name.

    Raises:
        SubjectError: the module cannot be imported, or has no such function.
    """
    name, _, attribute = target.partition(":")
    try:
        module = import_module(name)
    except (ImportError, AttributeError) as error:
        raise SubjectError(subject, f"{error}{user_location(error)}") from error
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, dir(module))
        raise SubjectError(subject, f"{name} has no {attribute!r}{hint}")
    function = getattr(module, attribute)
    if not callable(function):
        raise SubjectError(subject, f"got {type(function).__name__}, expected a function")
    return function  # type: ignore[no-any-return]


def name_of(subject: str | Function) -> str:
    """Return a subject's name; that of a function imports it again, `package.module:callable`."""
    if isinstance(subject, str):
        return subject
    module = getattr(subject, "__module__", "")
    name = getattr(subject, "__qualname__", "")
    return f"{module}:{name}" if module and name else repr(subject)


def is_importable(subject: str | Function) -> bool:
    """Return whether a new process in the current folder finds a subject by its name."""
    if isinstance(subject, str):
        return True
    module, name = getattr(subject, "__module__", ""), getattr(subject, "__qualname__", "")
    found = getattr(sys.modules.get(module), name, None)
    return (
        module != "__main__" and found is subject and _new_process_finds(module.partition(".")[0])
    )


@cache
def _new_process_finds(package: str) -> bool:
    """Return whether Python finds a package in its own path or the current folder.

    The path of this process may have more: pytest adds the folders of the tests.
    """
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    done = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", code, package], capture_output=True, check=False
    )
    return done.returncode == 0


def user_location(error: BaseException) -> str:
    """Return " (file.py, line 3)" of the user's code where an error arose, "" if there is none."""
    libraries = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "<")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(libraries):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""
