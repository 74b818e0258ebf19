"""Subjects: the implementations under test. A framework is imported in its own file here and
nowhere else.

A subject shares nothing with the reference but the problem. To add one, write a class with
`versions` and `answer` and name it in `REGISTERED`, or in an entry point of the group
`rnnparity.subjects`, or give any importable function from a Problem to its outputs as
`package.module:callable`.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from rnnparity.problem.answer import Answer as Answer
from rnnparity.problem.answer import Subject as Subject
from rnnparity.problem.answer import Unsupported as Unsupported
from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem, Tensor


# Name -> module:factory and its argument. `cases` is what the subject takes when nothing is chosen
# with -k.
@dataclass(frozen=True)
class Registration:
    """Where a subject is made, what for, and which cases it takes when none are chosen ("" or a
    tag)."""

    target: str
    argument: str
    says: str
    cases: str = ""


# Paths that need an NVIDIA GPU; where there is none they are left out.
ON_A_GPU = {
    "cuda": "on an NVIDIA GPU (cuDNN), TF32 off",
    "tf32": "on an NVIDIA GPU (cuDNN), TF32 on",
}

REGISTERED: dict[str, Registration] = {
    "reference": Registration(
        "rnnparity.session.reference_subject:make", "", "NumPy float64 against the goldens"
    ),
    "keras": Registration("rnnparity.subjects.keras:make", "eager", "tf.keras, eager"),
    **{
        f"keras:{path}": Registration("rnnparity.subjects.keras:make", path, says, "pairs")
        for path, says in {
            "graph": "tf.keras inside tf.function",
            "xla": "tf.keras inside tf.function(jit_compile=True)",
            "predict": "tf.keras through Model.predict",
            "unroll": "tf.keras with unroll=True",
            "implementation1": "tf.keras with implementation=1 (LSTM, GRU)",
            "reloaded": "tf.keras saved to .keras and loaded",
        }.items()
    },
    **{
        f"{name}{'' if path == 'eager' else ':' + path}": Registration(
            "rnnparity.subjects.keras:make",
            f"{name.removeprefix('keras-')} {path}",
            f"Keras on {backend}, {says}",
            "pairs" if path in ("unroll", "jit", "compile") else "",
        )
        for name, (backend, paths) in {
            "keras-jax": (
                "JAX",
                {
                    "eager": "eager",
                    "unroll": "with unroll=True",
                    "jit": "under jax.jit",
                    **ON_A_GPU,
                },
            ),
            "keras-torch": (
                "PyTorch",
                {"eager": "eager", "unroll": "with unroll=True", **ON_A_GPU},
            ),
            "keras-numpy": ("NumPy", {"eager": "eager", "unroll": "with unroll=True"}),
            "keras-openvino": ("OpenVINO", {"eager": "eager", "unroll": "with unroll=True"}),
        }.items()
        for path, says in paths.items()
    },
    "tf-keras": Registration(
        "rnnparity.subjects.tf_keras:make", "eager", "Keras 2 (tf-keras), eager"
    ),
    "tf-keras:unroll": Registration(
        "rnnparity.subjects.tf_keras:make", "unroll", "Keras 2, unroll=True", "pairs"
    ),
    "torch": Registration(
        "rnnparity.subjects.torch:make", "cpu", "PyTorch's nn.RNN, nn.LSTM, nn.GRU"
    ),
    **{
        f"torch:{path}": Registration("rnnparity.subjects.torch:make", path, f"the same, {says}")
        for path, says in ON_A_GPU.items()
    },
    "onnxruntime": Registration(
        "rnnparity.subjects.onnx:make", "onnxruntime", "ONNX Runtime, nodes built by hand"
    ),
    "onnx-reference": Registration(
        "rnnparity.subjects.onnx:make", "reference", "ONNX's ReferenceEvaluator, the same"
    ),
    **{
        f"{engine}:{exporter}": Registration(
            "rnnparity.subjects.exported:make",
            f"{engine} {exporter}",
            f"the same engine, models that {says} exports",
            "pairs",
        )
        for engine in ("onnxruntime", "onnx-reference")
        for exporter, says in {"keras": "tf.keras", "torch": "PyTorch"}.items()
    },
    "litert": Registration(
        "rnnparity.subjects.litert:make", "", "LiteRT (TFLite), converted from tf.keras", "pairs"
    ),
}


def registered_names() -> list[str]:
    """Every subject that has a name, those of entry points last."""
    return [*REGISTERED, *(entry.name for entry in entry_points(group="rnnparity.subjects"))]


def registration(name: str) -> Registration:
    """Where the subject of that name is made; registered names come first.

    Raises:
        RequestError: nothing has that name.
    """
    if name in REGISTERED:
        return REGISTERED[name]
    for entry in entry_points(group="rnnparity.subjects"):
        if entry.name == name:
            return Registration(entry.value, "", f"from {entry.module}")
    if name.startswith("cmd:"):
        return Registration(
            "rnnparity.subjects.command:make", name.removeprefix("cmd:"), "a program of yours"
        )
    module, colon, attribute = name.partition(":")
    # `keras:grpah` is a slip of the pen, not a module of somebody's.
    if (
        colon
        and module not in REGISTERED
        and all(part.isidentifier() for part in [*module.split("."), attribute])
    ):
        return Registration("rnnparity.subjects:function_subject", name, "a function of yours")
    if module.endswith(".py"):
        raise RequestError(
            f"subject {name!r}: name the module, not its file: {module.removesuffix('.py')}:{attribute}"
        )
    package = module.partition(".")[0]
    if package and not colon and (Path(package).is_dir() or Path(f"{package}.py").is_file()):
        raise RequestError(
            f"subject {name!r} is unknown; a function of a module of yours is named module:function"
        )
    known = ", ".join(registered_names())
    near = get_close_matches(name.lower(), REGISTERED, n=1, cutoff=0.8)
    if near:
        raise RequestError(f"subject {name!r} is unknown; did you mean {near[0]}?")
    raise RequestError(
        f"subject {name!r} is unknown; known are {known}, package.module:callable, or cmd:PROGRAM"
    )


def make_subject(name: str) -> Subject:
    """Import the subject's framework and make it ready. Called in a worker process.

    Raises:
        RequestError: the framework is missing or too old, or the function cannot be imported.
    """
    found = registration(name)
    factory = _imported(found.target, name)
    own = name in REGISTERED or found.target.startswith(
        "rnnparity."
    )  # an entry point's factory takes nothing
    if own:
        subject: Subject = factory(found.argument)
        return subject
    given = factory()
    if not callable(getattr(given, "versions", None)) or not callable(
        getattr(given, "answer", None)
    ):
        raise RequestError(
            f"subject {name!r}: its factory gives {type(given).__name__}; versions() and answer() are needed"
        )
    return ForeignSubject(given)


def _imported(target: str, name: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    try:
        found = import_module(module)
        near = get_close_matches(attribute, dir(found), n=1)
        if near and not hasattr(found, attribute):
            raise RequestError(
                f"subject {name!r}: {module} has no {attribute!r}; did you mean {near[0]}?"
            )
        return getattr(found, attribute)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise RequestError(f"subject {name!r}: {error}{place_in(error)}") from error


def place_in(error: BaseException) -> str:
    """Where something of somebody's own has failed: their file's name and line, or nothing if it
    was not theirs."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(
            (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "<")
        ):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def function_subject(target: str) -> Subject:
    """A subject from `package.module:callable`, the current folder's modules included; see
    `FunctionSubject`."""
    if "" not in sys.path:  # as `python -m` has it, and the installed script has not
        sys.path.insert(0, "")
    function = _imported(target, target)
    if not callable(function):
        raise RequestError(f"subject {target!r}: is {type(function).__name__}, no function")
    return FunctionSubject(function)


def name_of(subject: str | Callable[..., Any]) -> str:
    """A subject's name; a function's is the one that finds it again, `package.module:callable`."""
    if isinstance(subject, str):
        return subject
    module, name = getattr(subject, "__module__", ""), getattr(subject, "__qualname__", "")
    return f"{module}:{name}" if module and name else repr(subject)


class FunctionSubject:
    """Any function from a Problem to its outputs: a sequence of arrays in Keras' order, a mapping
    by name, or one."""

    def __init__(self, function: Callable[[Problem], Any]) -> None:
        self.function = function

    def versions(self) -> dict[str, str]:
        return {}

    def answer(self, problem: Problem) -> Answer:
        given = self.function(problem)
        if given is None:
            raise TypeError("it returned None, no outputs")
        if isinstance(given, Mapping):
            return Answer(tuple(as_tensor(str(name), value) for name, value in given.items()))
        arrays: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
        names = [slot.name for slot in problem.output_slots()]
        if len(arrays) != len(names) and arrays is given:
            _check_shape(given, names)
        # More outputs than there should be keep a name of their own, so that the count can be
        # complained of.
        names += [f"extra_{place}" for place in range(len(names), len(arrays))]
        return Answer(
            tuple(as_tensor(name, value) for name, value in zip(names, arrays, strict=False))
        )


def _check_shape(given: Sequence[Any], names: Sequence[str]) -> None:
    """Why a sequence has another count than there are outputs, where it was not meant for one.

    Raises:
        TypeError: it is nested, or one output as numbers.
    """
    parts = [part for value in given if isinstance(value, list | tuple) for part in value]
    if any(hasattr(part, "shape") for part in parts):
        raise TypeError(f"its outputs are nested; give them flat: {', '.join(names)}")
    if given and not any(hasattr(value, "shape") for value in given):
        count = f"{len(given)} instead of {len(names)}"
        raise TypeError(
            f"a {type(given).__name__} is a sequence of outputs, here {count}: give each one as an array"
        )


class ForeignSubject:
    """A third party's subject: what it answers may be plain arrays."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def versions(self) -> dict[str, str]:
        return {str(name): str(version) for name, version in dict(self.subject.versions()).items()}

    def answer(self, problem: Problem) -> Answer:
        given = self.subject.answer(problem)
        return (
            given if isinstance(given, Answer) else FunctionSubject(lambda _: given).answer(problem)
        )


def as_tensor(name: str, value: Any) -> Tensor:
    """A named array of any array-like; its own dtype is kept, bfloat16 of other libraries included.

    Raises:
        TypeError: it holds no real numbers.
    """
    array = np.asarray(value)
    dtype = array.dtype.name
    if array.dtype.kind not in "fiub" and dtype not in FLOAT_TYPES:
        what = {"U": "text", "S": "bytes", "O": "objects", "c": "complex numbers"}.get(
            array.dtype.kind, dtype
        )
        raise TypeError(f"{name} is an array of {what}, no real numbers")
    return Tensor(name, array)
