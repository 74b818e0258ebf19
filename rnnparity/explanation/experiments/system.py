"""Probes with the model of the layer that answered them: its parameters are fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from rnnparity.explanation.experiments.probes import Probe
from rnnparity.explanation.fitting import parameters
from rnnparity.explanation.fitting.least_squares import (
    Blocks,
    Data,
    Effort,
    Fit,
    distances,
    fit,
)
from rnnparity.explanation.fitting.model import AS_DECLARED, Equations, Half, run_layer
from rnnparity.explanation.fitting.parameters import Parameters
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Recurrent, Stack, halves


@dataclass(frozen=True)
class System:
    """Probes of one layer, and the halves of it whose parameters are fitted.

    `output` is the only output that counts; all other halves compute as they are declared.
    """

    probes: tuple[Probe, ...]
    prefixes: tuple[str, ...]
    output: int

    @property
    def threshold(self) -> float:
        """The largest distance that counts as noise, in sigma."""
        return FLOAT_TYPES[self.probes[0].problem.threshold_type].threshold

    @cached_property
    def halves(self) -> dict[str, tuple[Recurrent, int, Array]]:
        """Every half by its prefix, with D and its declared parameters (P,)."""
        problem = self.probes[0].problem
        weights = iter(problem.weights)
        found = {}
        for prefix, half in halves(problem.layer):
            arrays = [next(weights).data for _ in range(2 + half.use_bias)]
            found[prefix] = (half, arrays[0].shape[0], parameters.declared(half, arrays))
        return found

    @cached_property
    def declared(self) -> Array:
        """The declared parameters of all halves that are fitted, joined."""
        return np.concatenate([self.halves[prefix][2] for prefix in self.prefixes])

    def split(self, vector: Array) -> dict[str, Parameters]:
        """Return the parts of joined parameters (..., P), by half."""
        parts, start = {}, 0
        for prefix in self.prefixes:
            half, features, own = self.halves[prefix]
            end = start + len(own)
            parts[prefix] = parameters.split(half, features, vector[..., start:end])
            start = end
        return parts

    @cached_property
    def are_weights(self) -> Array:
        """Whether each parameter is a weight, not part of the initial states."""
        return np.concatenate(
            [parameters.are_weights(*self.halves[prefix][:2]) for prefix in self.prefixes]
        )

    @cached_property
    def data(self) -> Data:
        """All actual values; what is not finite does not count."""
        noise = np.concatenate([probe.sigmas[self.output].ravel() for probe in self.probes])
        actual = np.concatenate([probe.actual[self.output].ravel() for probe in self.probes])
        return Data(np.where(np.isfinite(noise), actual, 0), noise)

    def model(self, vectors: Array, equations: Equations) -> Array:
        """Return what the layer gives (V, M) with parameters (V, P)."""
        fitted = self.split(vectors)
        outputs = []
        for probe in self.probes:
            parts = {
                prefix: self._half(prefix, fitted.get(prefix), equations, probe)
                for prefix in self.halves
            }
            output = run_layer(probe.problem.layer, parts, probe.inputs)[self.output]
            shape = probe.actual[self.output].shape
            outputs.append(
                np.broadcast_to(output, (len(vectors), *shape)).reshape(len(vectors), -1)
            )
        return np.concatenate(outputs, axis=1)

    def _half(
        self, prefix: str, fitted: Parameters | None, equations: Equations, probe: Probe
    ) -> Half:
        half, features, own = self.halves[prefix]
        used = fitted or parameters.split(half, features, own)
        given = probe.given_states
        start = used.states(None if given is None else given[prefix])
        return Half(half, equations if fitted else AS_DECLARED, used.weights, start)

    def fits(self, vector: Array, equations: Equations) -> bool:
        """Return whether all actual values are within noise of the model, probe by probe."""
        return all(
            alone._distance(vector, equations) <= self.threshold
            for alone in (replace(self, probes=(probe,)) for probe in self.probes)
        )

    def _distance(self, vector: Array, equations: Equations) -> float:
        model = partial(self.model, equations=equations)
        return float(distances(model, vector, self.data).max())

    def fit(self, start: Array, equations: Equations, effort: Effort) -> Fit:
        """Return the parameters next to `start`, those of the initial states included."""
        everything = np.arange(len(start))
        return self._fit(start, equations, self._one_block(everything), effort)

    def fit_states(self, start: Array, equations: Equations, effort: Effort) -> Fit:
        """Return the initial states next to those of `start`; the weights stay."""
        states = np.flatnonzero(~self.are_weights)
        return self._fit(start, equations, self._one_block(states), effort)

    def fit_weights(
        self, start: Array, equations: Equations, effort: Effort, free: Array | None = None
    ) -> Fit:
        """Return the weights next to those of `start`; the parameters of the states stay.

        `free` (P,) are the only weights that may change, as many of each unit.
        """
        chosen = self.are_weights if free is None else free
        blocks = self._blocks_of_units(chosen)
        if blocks is None:
            blocks = self._one_block(np.flatnonzero(chosen))
        return self._fit(start, equations, blocks, effort)

    @property
    def gate_blocks(self) -> list[Array]:
        """Which parameters (P,) are the block of a gate in an array, for every block."""
        before, masks = 0, []
        for prefix in self.prefixes:
            half, features, own = self.halves[prefix]
            for indices in parameters.by_gate(half, features):
                mask = np.zeros(len(self.declared), bool)
                mask[before + indices] = True
                masks.append(mask)
            before += len(own)
        return masks

    def _fit(self, start: Array, equations: Equations, blocks: Blocks, effort: Effort) -> Fit:
        return fit(partial(self.model, equations=equations), start, self.data, blocks, effort)

    @property
    def first_step(self) -> System | None:
        """The single steps from given states: each unit depends on few weights there."""
        probes = [
            probe
            for probe in self.probes
            if probe.given_states is not None and probe.problem.inputs.shape[1] == 1
        ]
        return replace(self, probes=tuple(probes)) if probes else None

    @property
    def has_independent_units(self) -> bool:
        """Whether each weight has an effect on a single unit in the first step."""
        first = self.first_step
        return first is not None and first._blocks_of_units(self.are_weights) is not None

    def _one_block(self, indices: Array) -> Blocks:
        return Blocks(indices[None], np.arange(len(self.data.actual))[None])

    def _blocks_of_units(self, free: Array) -> Blocks | None:
        """Return the weights of each unit, None where a weight has an effect on several units."""
        half, features, _ = self.halves[self.prefixes[0]]
        is_one_step = all(probe.problem.inputs.shape[1] == 1 for probe in self.probes)
        mixes_units = half.class_name == "GRU" and not half.reset_after
        layer = self.probes[0].problem.layer
        last = layer.layers[-1] if isinstance(layer, Stack) else layer
        is_last = self.prefixes[0] in [prefix for prefix, _ in halves(layer)][-len(halves(last)) :]
        if not is_one_step or mixes_units or not is_last or len(self.prefixes) > 1:
            return None
        values = np.arange(len(self.data.actual)).reshape(-1, half.units).T
        indices = parameters.by_unit(half, features)
        return Blocks(indices[:, free[indices[0]]], values)
