"""A user's own function or object as a subject; its outputs may be plain arrays of any library."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from rnnparity.problem.answer import Answer, Subject, Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.problem import Gradients, Problem, Tensor
from rnnparity.problem.text import did_you_mean
from rnnparity.subjects.declarations import SubjectError

# What a problem's function may return: a sequence of arrays in Keras' order, a mapping of arrays by
# name, or one array. An array is whatever NumPy can convert.
Function = Callable[[Problem], object]

DTYPE_WORDS = {"U": "text", "S": "bytes", "O": "objects", "c": "complex numbers"}
# The kinds of NumPy's types that hold real numbers: floats, integers, unsigned integers, bools.
REAL_KINDS = "fiub"


class PlainSubject(Protocol):
    """A third party's subject, whose answer may be what a function may return."""

    def versions(self) -> Mapping[str, object]:
        """Return name and version of what computes."""

    def answer(self, problem: Problem) -> object:
        """Run one problem."""


class FunctionSubject:
    """A subject from a function of a Problem.

    The function returns a sequence of arrays in Keras' order, a mapping of arrays by name, or one
    array; it raises `Unsupported` for a problem that it cannot compute. It gets problems with
    dropout masks if it has a true attribute `takes_dropout_masks`. `packages` are installed ones
    whose versions are those of what computes.
    """

    def __init__(self, function: Function, packages: Sequence[str] = ()) -> None:
        self.function = function
        self.packages = packages
        self.takes_dropout_masks = bool(getattr(function, "takes_dropout_masks", False))

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in self.packages}

    def answer(self, problem: Problem) -> Answer:
        return Answer(named_outputs(problem, self.function(problem)))

    def gradients(self, problem: Problem) -> Answer:
        return _gradients_of(self.function, problem)

    def train(self, problem: Problem) -> Answer:
        """Return the weights after a training step from the function's attribute `train`."""
        train = getattr(self.function, "train", None)
        if train is None:
            raise Unsupported("it has no attribute train")
        return Answer(named_outputs(problem, train(problem)))


class ForeignSubject:
    """A third party's subject, whose answer may be an Answer or plain arrays."""

    def __init__(self, subject: PlainSubject) -> None:
        self.subject = subject
        self.takes_dropout_masks = bool(getattr(subject, "takes_dropout_masks", False))

    def versions(self) -> dict[str, str]:
        versions = self.subject.versions()
        return {str(name): str(version) for name, version in versions.items()}

    def answer(self, problem: Problem) -> Answer:
        answer = self.subject.answer(problem)
        if isinstance(answer, Answer):
            return answer
        return Answer(named_outputs(problem, answer))

    def gradients(self, problem: Problem) -> Answer:
        return _gradients_of(self.subject, problem)


def _gradients_of(owner: object, problem: Problem) -> Answer:
    """Return what the attribute `gradients` of a function or an object, itself a function, gives.

    Raises:
        Unsupported: there is none.
    """
    function = getattr(owner, "gradients", None)
    if function is None:
        raise Unsupported("it has no attribute gradients")
    answer = function(problem)
    return (
        answer
        if isinstance(answer, Answer)
        else Answer((), gradients=named_gradients(problem, answer))
    )


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


def named_outputs(problem: Problem, outputs: object) -> tuple[Tensor, ...]:
    """Return what a function returned as tensors; without names, they get those of the problem.

    Raises:
        TypeError: there are no outputs, they are nested, or they hold no real numbers.
    """
    if outputs is None:
        raise TypeError("returned None, expected outputs")
    if isinstance(outputs, Mapping):
        return tuple(as_tensor(str(name), value) for name, value in outputs.items())
    slots = problem.output_slots() if problem.training_step is None else problem.weight_slots()
    names = [slot.name for slot in slots]
    arrays: Sequence[object] = [outputs]
    if isinstance(outputs, list | tuple):
        arrays = outputs
        if len(arrays) != len(names):
            _check_flat(arrays, names)
    named = zip(numbered_names(names, len(arrays)), arrays, strict=True)
    return tuple(as_tensor(name, value) for name, value in named)


def named_gradients(problem: Problem, gradients: object) -> Gradients:
    """Return what a function returned as gradients: a sequence in the order of their slots, or by
    name; None stands for no gradient.

    Raises:
        TypeError: gradients are missing, or there are others.
    """
    names = [slot.name for slot in problem.gradient_slots()]
    if isinstance(gradients, Mapping):
        if set(gradients) != set(names):
            actual = ", ".join(map(str, gradients)) or "none"
            raise TypeError(f"gradients: got {actual}, expected {', '.join(names)}")
        gradients = [gradients[name] for name in names]
    if not isinstance(gradients, list | tuple) or len(gradients) != len(names):
        got = len(gradients) if isinstance(gradients, list | tuple) else "no sequence"
        raise TypeError(f"gradients: got {got}, expected {len(names)}: {', '.join(names)}")
    pairs = zip(names, gradients, strict=True)
    return tuple(None if value is None else as_tensor(name, value) for name, value in pairs)


def numbered_names(names: Sequence[str], count: int) -> list[str]:
    """Return `count` names; surplus outputs are named too, so that their count can be reported."""
    surplus = [f"extra_{index}" for index in range(len(names), count)]
    return [*names[:count], *surplus]


def _check_flat(arrays: Sequence[object], names: Sequence[str]) -> None:
    """Explain a wrong number of outputs that was not meant as such.

    Raises:
        TypeError: the outputs are nested, or the sequence is one output as plain numbers.
    """
    nested = [part for value in arrays if isinstance(value, list | tuple) for part in value]
    if any(hasattr(part, "shape") for part in nested):
        raise TypeError(f"nested outputs, expected a flat sequence: {', '.join(names)}")
    if arrays and not any(hasattr(value, "shape") for value in arrays):
        what = type(arrays).__name__
        raise TypeError(
            f"a {what} is a sequence of outputs: got {len(arrays)}, expected {len(names)}; "
            "return each output as an array"
        )


def as_tensor(name: str, value: object) -> Tensor:
    """Return anything array-like as a named tensor; its type is kept.

    Raises:
        TypeError: it does not hold real numbers.
    """
    array = np.asarray(value)
    if array.dtype.kind not in REAL_KINDS and array.dtype.name not in FLOAT_TYPES:
        what = DTYPE_WORDS.get(array.dtype.kind, array.dtype.name)
        raise TypeError(f"{name}: got an array of {what}, expected real numbers")
    return Tensor(name, array)
