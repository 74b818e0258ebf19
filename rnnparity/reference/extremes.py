"""The extremes of every state, kept while a run goes on instead of a trace of all its steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.reference.engine import StepRecord
from rnnparity.reference.noisy_array import NoisyArray

# Steps are reduced together once they have this many numbers: a call of NumPy costs as much as the
# arithmetic on a few hundred.
HELD_VALUES = 2**14


@dataclass(frozen=True)
class StateExtremes:
    """The largest numbers of a state at each processed step, (T,) each.

    `relative_sigma` is relative to 1 or, where that is larger, to the value.
    """

    magnitude: Array
    relative_sigma: Array


class ExtremesRecorder:
    """Records every step of a run with noise; `extremes` has each half's states ("forward/c")."""

    def __init__(self) -> None:
        self._held: dict[str, list[NoisyArray]] = {}
        self._reduced: dict[str, list[StateExtremes]] = {}

    def record(self, step: StepRecord[NoisyArray]) -> None:
        for letter, state in step.states.items():
            name = step.half + letter
            held = self._held.setdefault(name, [])
            held.append(state)
            if len(held) * state.value.size >= HELD_VALUES:
                self._reduce(name)

    def extremes(self) -> dict[str, StateExtremes]:
        """Return the extremes of all steps so far."""
        for name, held in self._held.items():
            if held:
                self._reduce(name)
        return {
            name: StateExtremes(
                np.concatenate([part.magnitude for part in parts]),
                np.concatenate([part.relative_sigma for part in parts]),
            )
            for name, parts in self._reduced.items()
        }

    def _reduce(self, name: str) -> None:
        held = self._held[name]
        magnitudes = np.abs([state.value for state in held])
        sigmas = np.sqrt([state.noise for state in held])
        with np.errstate(invalid="ignore"):  # an infinite value and an infinite sigma
            sigmas /= np.maximum(magnitudes, 1)
        reduced = StateExtremes(magnitudes.max(axis=(1, 2)), sigmas.max(axis=(1, 2)))
        self._reduced.setdefault(name, []).append(reduced)
        held.clear()
