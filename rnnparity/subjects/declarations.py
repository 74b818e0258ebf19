"""What a module of subjects declares, and the errors of subjects that cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem

# Paths that need an NVIDIA GPU. TF32 is its matrix product with 10 bits after the point.
GPU_PATHS = {
    "cuda": "on an NVIDIA GPU (cuDNN), TF32 off",
    "tf32": "on an NVIDIA GPU (cuDNN), TF32 on",
}


@dataclass(frozen=True)
class LayerScript:
    """The script of a bundle that runs one call of a layer in a framework.

    `name` is the framework's name in the output, `template` that in rnnparity/report/templates, `file`
    the script's. `expresses` returns whether the script can run a problem.
    """

    name: str
    template: str
    file: str = "reproduce.py"
    expresses: Callable[[Problem], bool] = lambda _: True


def is_plain_lstm(problem: Problem) -> bool:
    """Return whether a problem is an LSTM that runs forward, with biases, only on its inputs."""
    layer = problem.layer
    plain = problem.mask is None and problem.initial_state is None
    if not isinstance(layer, Recurrent) or layer.class_name != "LSTM" or layer.go_backwards:
        return False
    return plain and layer.use_bias and layer.dtype == "float32"


@dataclass(frozen=True)
class Registration:
    """A subject as its module declares it in the constant `SUBJECTS`, a tuple of these.

    `factory` returns the subject; it is called in a worker process and imports the framework.
    `packages` are the modules that must be importable, and `extra` is the extra of this project that
    installs them ("" where they are the user's). `precision` is the one that the engine declares,
    written as for --precision, where it is coarser than the layer's type. `script` is that of its
    bundles, where it is its own. Lists are sorted by `rank`, then by the module's name.
    """

    name: str
    factory: Callable[[], object]
    description: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    rank: int = 100
    needs_gpu: bool = False
    precision: str = ""
    script: LayerScript | None = None


class SubjectError(RequestError):
    """The subject `subject` cannot be made; `reason` is the message without the subject's name."""

    def __init__(self, subject: str, reason: str) -> None:
        self.subject = subject
        self.reason = reason
        super().__init__(f"subject {subject!r}: {reason}")

    def __reduce__(self) -> tuple[type[SubjectError], tuple[str, ...]]:
        # Workers send errors to their parent; an exception is copied by its message otherwise.
        return type(self), (self.subject, self.reason)


class MissingFrameworkError(SubjectError):
    """A package or a device that the subject needs is missing."""


class UnknownSubjectError(SubjectError):
    """No subject has this name; `nearest` is the registered name that is most like it, or ""."""

    def __init__(self, subject: str, reason: str, nearest: str = "") -> None:
        super().__init__(subject, reason)
        self.nearest = nearest

    def __reduce__(self) -> tuple[type[SubjectError], tuple[str, ...]]:
        return type(self), (self.subject, self.reason, self.nearest)
