"""The outcome of a problem that a subject was asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rnnparity.problem.answer import (
    Answer,
    DifferentiableSubject,
    Subject,
    TrainableSubject,
    Unsupported,
)
from rnnparity.problem.answer_types import AnswerType
from rnnparity.problem.problem import Problem
from rnnparity.subjects import user_location

# An error line is cut to this many characters.
LONGEST_LINE = 300
# "{{function_node __wrapped__..._device_/job:...}} " and " [Op:Name] name: ..."
_OF_TENSORFLOW = re.compile(r"\{\{\w+ [^}]*\}\} ?| \[Op:\w+\].*")


@dataclass(frozen=True)
class Outcome:
    """An answer, or why there is none. `memory` is that of the worker process, in bytes.

    `exception` is what a subject in this process raised, with its traceback; a worker sends none.
    """

    problem: Problem
    answer: Answer | None = None
    unsupported: str = ""
    error: str = ""
    exception: BaseException | None = None
    memory: int = 0


def ask_in_this_process(subject: Subject, problem: Problem) -> Outcome:
    """Return the outcome of a problem. A subject that raises or exits does not end the run.

    A problem with cotangents asks for gradients, one with a training step for the weights after it,
    any other for outputs.
    """
    try:
        return Outcome(problem, _answer(subject, problem))
    except Unsupported as reason:
        return Outcome(problem, unsupported=str(reason) or "no reason was given")
    except (Exception, SystemExit) as error:
        line = error_line(error) + user_location(error)
        return Outcome(problem, error=line, exception=error)


def _answer(subject: Subject, problem: Problem) -> Answer:
    # One that does not know of them would leave them out.
    if problem.dropout_masks is not None and not getattr(subject, "takes_dropout_masks", False):
        raise Unsupported("it takes no dropout masks")
    if problem.answer_type is AnswerType.TRAINED_WEIGHTS:
        if not isinstance(subject, TrainableSubject):
            raise Unsupported("it does no training steps")
        return subject.train(problem)
    if problem.answer_type is AnswerType.OUTPUTS:
        return subject.answer(problem)
    if not isinstance(subject, DifferentiableSubject):
        raise Unsupported("it offers no gradients")
    answer = subject.gradients(problem)
    if answer.gradients is None:
        raise Unsupported("it returned no gradients")
    return answer


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is that the system, or TensorFlow, has refused memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def error_line(error: BaseException) -> str:
    """Return the type of an exception and the first line that describes it.

    Keras' messages have many lines, with colors, and those of TensorFlow the names of its kernels.
    """
    text = _OF_TENSORFLOW.sub("", str(error).replace("\x1b[1m", "").replace("\x1b[0m", ""))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    descriptions = [line for line in lines if not line.startswith("Exception encountered")]
    first = next(iter(descriptions or lines), "")
    return f"{type(error).__name__}: {first}"[:LONGEST_LINE]
