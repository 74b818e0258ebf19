"""Probes: chosen problems with what the subject returned for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from rnnparity.explanation.experiments.probe_problems import (
    build_probe,
    plain_probe,
    widened,
)
from rnnparity.explanation.noise import coarser_type, numbers_in_type
from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.dtypes import Array
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves, with_options
from rnnparity.problem.problem import Problem
from rnnparity.reference.tolerance import expect

Ask = Callable[[Problem], Answer]

# Above this many features or units a small layer is asked about instead, of this size.
LARGE, SMALL_UNITS, SMALL_FEATURES = 8, 6, 5
# An output past this is left out: the weights have grown it, and its noise is large.
LARGEST = 1e3


@dataclass(frozen=True)
class Probe:
    """A problem with what the subject returned; outputs of concatenated halves are apart.

    `sigmas` is the noise of each value, `differs` whether an output is not the expected one.
    """

    problem: Problem
    actual: tuple[Array, ...]
    sigmas: tuple[Array, ...]
    differs: tuple[bool, ...]

    @property
    def inputs(self) -> Array:
        """The inputs (N, T, D)."""
        return self.problem.inputs.data.astype(np.float64)

    @property
    def given_states(self) -> dict[str, list[Array]] | None:
        """The given states (N, H) of each half, None without."""
        if self.problem.initial_state is None:
            return None
        states = iter(tensor.data.astype(np.float64) for tensor in self.problem.initial_state)
        inside = halves(self.problem.layer)
        return {prefix: [next(states) for _ in half.states] for prefix, half in inside}


class Laboratory:
    """Asks a subject, and counts the calls."""

    def __init__(self, problem: Problem, ask: Ask) -> None:
        self.problem = problem
        self.calls = 0
        self._ask = ask
        self._layer = with_options(problem.layer, stateful=False)
        self._features = problem.inputs.shape[2]

    def in_type_of(self, probes: Sequence[Probe]) -> Laboratory | None:
        """Return the laboratory of a layer in the coarser type of all answers, None if it has its own.

        The subject is still asked about the layer as it is.
        """
        policies = {half.dtype for _, half in halves(self.problem.layer)}
        if len(policies) > 1:
            return None
        (policy,) = policies
        values = np.concatenate([array.ravel() for probe in probes for array in probe.actual])
        coarser = coarser_type(values, policy)
        if not coarser:
            return None
        problem = numbers_in_type(self.problem, coarser)
        laboratory = Laboratory(problem, lambda asked: self._ask(numbers_in_type(asked, policy)))
        laboratory.calls = self.calls
        return laboratory

    def probes(self) -> list[Probe]:
        """Return the probes with different weights that the subject answers.

        A large layer is asked about as a small one, if the subject allows.
        """
        own_size = self._layer, self._features
        if self.too_large:
            self._layer = with_options(self._layer, units=SMALL_UNITS)
            self._features = min(self._features, SMALL_FEATURES)
            probes = self._answered(self._problems())
            if probes:
                return probes
            self._layer, self._features = own_size
        return self._answered(self._problems())

    @property
    def too_large(self) -> bool:
        """Whether there are too many weights to identify."""
        inside = [half for _, half in halves(self._layer)]
        return max(self._features, *(half.units for half in inside)) > LARGE

    @cached_property
    def ignores_weights(self) -> bool:
        """Whether the subject returns the same with other weights: it has its own."""
        *_, problem = self._problems()  # without states, which it may refuse
        negated = tuple(replace(tensor, data=-tensor.data) for tensor in problem.weights)
        answers = [self._outputs(problem), self._outputs(replace(problem, weights=negated))]
        if None in answers:
            return False
        return all(map(np.array_equal, *(answer for answer in answers if answer)))

    def probes_with_own_weights(self) -> list[Probe]:
        """Return the probes with the problem's weights that the subject answers."""
        self._layer = with_options(self.problem.layer, stateful=False)
        self._features = self.problem.inputs.shape[2]
        problems = self._problems()
        return self._answered(replace(p, weights=self.problem.weights) for p in problems)

    def _problems(self) -> Iterator[Problem]:
        for states, steps in self._variations():
            yield build_probe(self.problem, self._layer, self._features, steps, states)

    def plain_probes(self, units: int | None) -> list[Probe]:
        """Return probes of one unit with equal weights.

        The subject is asked a layer of its own size, of which all units are equal; with `units` one
        of so many units and features.
        """
        narrow = with_options(self._layer, units=1)
        wide, features = self._layer, self._features
        if units is not None:
            wide, features = with_options(wide, units=units), units
        answered = []
        for states, steps in self._variations():
            probe = plain_probe(self.problem, narrow, (wide, features), steps, states)
            answered.append((probe, widened(probe, wide, features)))
        return self._answered((probe for probe, _ in answered), [asked for _, asked in answered])

    def _variations(self) -> Iterator[tuple[bool, int]]:
        """Yield whether states are given, and T."""
        return product((True, False), (1, 2))

    def _answered(
        self, problems: Iterator[Problem], asked: Sequence[Problem] | None = None
    ) -> list[Probe]:
        listed = list(problems)
        pairs = zip(listed, asked or listed, strict=True)
        probes = [self._probe(problem, question) for problem, question in pairs]
        return [probe for probe in probes if probe is not None]

    def _probe(self, problem: Problem, question: Problem) -> Probe | None:
        """Ask a question; the first unit of each half answers the problem.

        None where the subject refuses it, or returns other shapes or numbers that are not finite.
        """
        outputs = self._outputs(question)
        if outputs is None:
            return None
        count = len(outputs)
        answers = _apart(question.layer, outputs)
        expected = expect(problem)
        correct = _apart(problem.layer, [tensor.data for tensor in expected.outputs[:count]])
        noise = _apart(problem.layer, list(expected.sigmas[:count]))
        actual = tuple(
            answer[..., : array.shape[-1]] for answer, array in zip(answers, correct, strict=True)
        )
        if not all(np.isfinite(array).any() for array in actual):
            return None
        threshold = expected.dtype.threshold
        sigmas = tuple(_noise(*pair, expected.dtype.u) for pair in zip(actual, noise, strict=True))
        differs = tuple(
            not bool((np.abs(a - c) <= threshold * s).all())
            for a, c, s in zip(
                actual, correct, sigmas if expected.unpredictable else noise, strict=True
            )
        )
        return Probe(problem, actual, sigmas, differs)

    def _outputs(self, question: Problem) -> list[Array] | None:
        """Return the outputs without states, None if refused or of other shapes."""
        self.calls += 1
        count = 2 if _has_two_outputs(question.layer) else 1
        try:
            outputs = self._ask(question).outputs[:count]
        except (RequestError, Unsupported):
            return None
        slots = question.output_slots()[:count]
        if [tensor.shape for tensor in outputs] != [slot.shape for slot in slots]:
            return None
        return [tensor.data.astype(np.float64) for tensor in outputs]


def _noise(actual: Array, sigmas: Array, u: float) -> Array:
    """Return a sigma for each value: at least the rounding of it, and of a typical value.

    The expected noise is that of the expected values, which the actual ones may be far from.
    """
    finite = np.isfinite(actual) & (np.abs(actual) < LARGEST)
    typical = np.sqrt(np.mean(np.where(finite, actual, 0) ** 2))
    least = u * np.maximum(np.abs(actual), max(typical, 1e-3))
    noise = np.where(np.isfinite(sigmas), np.maximum(sigmas, least), 10 * least)
    return np.where(finite, noise, np.inf)


def _last(layer: Layer) -> Recurrent | Bidirectional:
    return layer.layers[-1] if isinstance(layer, Stack) else layer


def _has_two_outputs(layer: Layer) -> bool:
    last = _last(layer)
    return isinstance(last, Bidirectional) and last.merge_mode is None


def _apart(layer: Layer, outputs: list[Array]) -> tuple[Array, ...]:
    """Split the output of concatenated halves."""
    last = _last(layer)
    if isinstance(last, Bidirectional) and last.merge_mode == "concat":
        return tuple(np.split(outputs[0], [last.forward.units], axis=-1))
    return tuple(outputs)
