"""The Keras layer of a problem, from which a converter can start."""

from __future__ import annotations

from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Problem
from rnnparity.subjects.keras_backend import CurrentBackend, KerasModel
from rnnparity.subjects.keras_subject import KerasSubject


def to_keras(problem: Problem) -> KerasModel:
    """Return the built Keras layer of a problem, a Sequential for a stack, with its weights.

    It has been called once, on the problem's inputs, so that a converter can trace it; the states of
    a stateful layer are zeros. Keras runs on the backend that is set, TensorFlow by default.

    Raises:
        RequestError: Keras is missing, or the problem has dropout masks, which no layer holds.

    >>> from rnnparity import Problem
    >>> from rnnparity.catalogue import catalogue
    >>> problem = catalogue()["lstm-spread-last"]
    >>> layer = to_keras(problem)
    >>> type(layer).__name__, [array.shape for array in layer.get_weights()]
    ('LSTM', [(6, 20), (5, 20), (20,)])
    >>> Problem.from_keras(layer, problem.inputs.data)
    Problem('from_keras', LSTM(5), B=2 T=4 D=6)
    """
    if problem.dropout_masks is not None:
        raise RequestError("to_keras: a layer cannot hold dropout_masks; remove them")
    try:
        subject = KerasSubject(CurrentBackend("eager"))
    except ImportError as error:
        raise RequestError(
            f"to_keras: cannot import Keras ({error}); run pip install 'rnnparity[keras]'"
        ) from None
    subject.answer(problem)
    return subject.model_of(problem)
