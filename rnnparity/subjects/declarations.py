"""What a module of subjects declares, and the errors of subjects that cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rnnparity.problem.errors import RequestError

# Paths that need an NVIDIA GPU. TF32 is its matrix product with 10 bits after the point.
GPU_PATHS = {
    "cuda": "on an NVIDIA GPU (cuDNN), TF32 off",
    "tf32": "on an NVIDIA GPU (cuDNN), TF32 on",
}


@dataclass(frozen=True)
class Registration:
    """A subject as its module declares it in the constant `SUBJECTS`, a tuple of these.

    `factory` returns the subject; it is called in a worker process and imports the framework.
    `packages` are the modules that must be importable, and `extra` is the extra of this project that
    installs them ("" where they are the user's). `precision` is the one that the engine declares,
    written as for --precision, where it is coarser than the layer's type. Lists are sorted by
    `rank`, then by the module's name.
    """

    name: str
    factory: Callable[[], object]
    description: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    rank: int = 100
    needs_gpu: bool = False
    precision: str = ""


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
