"""Find subjects by name: the modules of this package, entry points, functions and programs.

A module of this package declares its subjects in a constant `SUBJECTS`. Importing it must load no
framework; subpackages hold what does, and are not scanned.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

from rnnparity.problem.answer import Subject
from rnnparity.problem.text import did_you_mean
from rnnparity.subjects import command
from rnnparity.subjects.declarations import (
    MissingFrameworkError,
    Registration,
    SubjectError,
    UnknownSubjectError,
)
from rnnparity.subjects.functions import ForeignSubject
from rnnparity.subjects.importing import function_subject, imported, is_module

GROUP = "rnnparity.subjects"
# The reference stands above this package, whose subjects share nothing with it.
REFERENCE = "rnnparity.session.reference_subject:make"


@cache
def built_in() -> Mapping[str, Registration]:
    """Return the subjects of this package by name, in the order of lists.

    Raises:
        SubjectError: two modules declare the same name.
    """
    declared = [
        Registration(
            "reference",
            partial(_call, REFERENCE, "reference"),
            "NumPy float64 against the goldens",
            rank=0,
        )
    ]
    package = import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            found = import_module(f"{__package__}.{module.name}")
            declared += getattr(found, "SUBJECTS", ())
    declared.sort(key=lambda registration: registration.rank)
    by_name: dict[str, Registration] = {}
    for registration in declared:
        if registration.name in by_name:
            raise SubjectError(registration.name, "registered twice; rename one of them")
        by_name[registration.name] = registration
    return by_name


def registered_names() -> list[str]:
    """Return the names of all registered subjects, those of entry points last."""
    return [*built_in(), *(entry.name for entry in entry_points(group=GROUP))]


def registration(name: str) -> Registration:
    """Return how the subject `name` is made; names of this package precede those of entry points.

    Raises:
        UnknownSubjectError: no subject has this name.
    """
    if name in built_in():
        return built_in()[name]
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            factory = partial(_foreign, entry.value, name)
            return Registration(name, factory, f"from {entry.module}")
    if name.startswith(command.PREFIX):
        words = name.removeprefix(command.PREFIX)
        return Registration(name, partial(command.make, words), "a program of yours")
    if _is_function(name):
        package = name.partition(":")[0].partition(".")[0]
        return Registration(
            name, partial(function_subject, name), "a function of yours", packages=(package,)
        )
    raise _unknown(name)


def check_installed(name: str) -> Registration:
    """Return how the subject `name` is made, where the packages that it needs can be found.

    Nothing is imported: a worker that finds them missing has loaded for seconds.

    Raises:
        UnknownSubjectError: no subject has this name.
        MissingFrameworkError: a package is missing.
        SubjectError: the module of a function is missing.
    """
    found = registration(name)
    for package in found.packages:
        if not found.extra and not is_module(package):
            hint = did_you_mean(
                package, (near.name for near in pkgutil.iter_modules([str(Path.cwd())]))
            )
            raise SubjectError(
                name, f"No module named {package!r}, in the current folder or installed{hint}"
            )
        if found.extra and find_spec(package) is None:
            install = f"run pip install 'rnnparity[{found.extra}]'"
            raise MissingFrameworkError(name, f"package {package} is missing; {install}")
    return found


def make_subject(name: str) -> Subject:
    """Import the framework of a subject and return the subject, ready to answer.

    Raises:
        UnknownSubjectError: no subject has this name.
        MissingFrameworkError: a package or a device is missing.
        SubjectError: a package is too old, or the function cannot be imported.
    """
    found = check_installed(name)
    install = f"run pip install 'rnnparity[{found.extra}]'"
    try:
        subject = found.factory()
    except ImportError as error:
        if not found.extra:
            raise
        packages = ", ".join(found.packages)
        raise MissingFrameworkError(
            name, f"cannot import {packages} ({error}); {install}"
        ) from None
    if not _is_subject(subject):
        what = type(subject).__name__
        raise SubjectError(
            name, f"factory returned {what}, expected an object with versions() and answer()"
        )
    return subject


def _is_subject(subject: object) -> TypeGuard[Subject]:
    return all(callable(getattr(subject, method, None)) for method in ("versions", "answer"))


def _call(target: str, name: str) -> object:
    """Call the function `module:function` without arguments."""
    return imported(target, name)()


def _foreign(target: str, name: str) -> object:
    """Call the factory of an entry point; its subject may answer with plain arrays."""
    subject = _call(target, name)
    return ForeignSubject(subject) if _is_subject(subject) else subject


def _is_function(name: str) -> bool:
    """Whether a name is a function's. `keras:grpah` is a misspelt path, not a user's module."""
    module, _, function = name.partition(":")
    if module in built_in() or module.endswith(".py"):
        return False
    return all(part.isidentifier() for part in [*module.split("."), function])


def _unknown(name: str) -> UnknownSubjectError:
    module, colon, function = name.partition(":")
    if module.endswith(".py"):
        path = module.removesuffix(".py").removeprefix("./")
        target = f"{path.replace('/', '.')}:{function or 'FUNCTION'}"
        return UnknownSubjectError(name, f"expected a module, not its file: {target}", target)
    package = module.partition(".")[0]
    is_module = Path(package).is_dir() or Path(f"{package}.py").is_file()
    if package and not colon and is_module:
        return UnknownSubjectError(
            name, "unknown name; write module:function for a function of your module"
        )
    near = get_close_matches(name.lower(), built_in(), n=1, cutoff=0.8)
    if near:
        return UnknownSubjectError(name, f"unknown name; did you mean {near[0]}?", near[0])
    return UnknownSubjectError(
        name,
        "unknown name; expected one that `rnnparity list --subjects` prints, "
        "package.module:callable, or cmd:PROGRAM",
    )
