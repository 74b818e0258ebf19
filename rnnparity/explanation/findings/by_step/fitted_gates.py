"""Weights of several gates at once that account for all differences, by nonlinear least squares.

Every step is run from the actual h before it, as `gate_equations` does; the c of an LSTM is what the
weights compute. One array is fitted in all gates, then all arrays. Axis letters: B batch, T time, H
units, K independent blocks, N steps that are not masked, P parameters, V variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnparity.explanation.estimate import Estimate
from rnnparity.explanation.findings.by_step.accounts import NOISIER, Account, ActualSequence
from rnnparity.explanation.findings.changed_weights.block_changes import ChangedBlock, changes_of
from rnnparity.explanation.fitting import parameters
from rnnparity.explanation.fitting.least_squares import Blocks, Data, Effort, fit
from rnnparity.explanation.fitting.model import AS_DECLARED, STEPS, Half, declared_activations
from rnnparity.explanation.fitting.parameters import Parameters
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import BlockChange, WeightBlock

# What is fitted in all gates: one array, or all of them.
ARRAYS = (("bias",), ("recurrent_kernel",), ("kernel",), ("kernel", "recurrent_kernel", "bias"))
# So many steps for each weight of a unit are fitted to, and at least so many values.
STEPS_PER_WEIGHT, VALUES = 4, 2000
EFFORT = Effort(iterations=20, progress=0.3)
# Parameters times values that are fitted at most, a few tenths of a second, and parameters in all.
MOST_WORK, MOST_PARAMETERS = 4e5, 50_000

Cut = Callable[[int], ActualSequence]


@dataclass(frozen=True)
class ForcedSteps:
    """The steps of a layer from the actual h before each, with any weights."""

    sequence: ActualSequence

    @cached_property
    def declared(self) -> Array:
        """The given weights as parameters (P,)."""
        round_ = FLOAT_TYPES[self.sequence.layer.compute_dtype].round
        arrays = [round_(tensor.data) for tensor in self.sequence.problem.weights]
        return parameters.declared(self.sequence.layer, arrays)

    def split(self, vectors: Array) -> Parameters:
        """Return the parts of parameters (..., P)."""
        return parameters.split(self.sequence.layer, self.sequence.steps.x.shape[-1], vectors)

    @property
    def data(self) -> Data:
        """The actual values (N*H,) and their noise."""
        used = self.sequence.used
        return Data(self.sequence.actual[used].ravel(), self.sequence.sigmas[used].ravel())

    def model(self, vectors: Array) -> Array:
        """Return what the steps give (V, N*H) with parameters (V, P)."""
        layer, steps = self.sequence.layer, self.sequence.steps
        half = Half(layer, AS_DECLARED, self.split(vectors).weights, ())
        step, names = STEPS[layer.class_name], declared_activations(layer)
        if len(layer.states) == 1:
            x, h = steps.x[steps.used], steps.h_before[steps.used]
            return step(half, names, x, [h])["h"].reshape(len(vectors), -1)
        c, outputs = steps.initial_states[1], []
        for t in range(steps.used.shape[1]):
            after = step(half, names, steps.x[:, t], [steps.h_before[:, t], c])
            c = np.where(steps.used[:, t, None], after["c"], c)
            outputs.append(after["h"])
        return np.stack(outputs, axis=2)[:, steps.used].reshape(len(vectors), -1)

    def weights(self, names: Sequence[str], gates: str) -> Array:
        """Return the indices (H, n) of the weights of each unit in some arrays and gates."""
        layer, indices = self.sequence.layer, self.split(np.arange(len(self.declared)))
        chosen = [layer.cell.gates.index(gate) for gate in gates]
        parts = [np.zeros((layer.units, 0), int)]
        for name in names if layer.use_bias else set(names) - {"bias"}:
            array = np.atleast_2d(getattr(indices, name))
            units = array.reshape(len(array), -1, layer.units)[:, chosen]
            parts.append(units.transpose(2, 0, 1).reshape(layer.units, -1))
        if "bias" in names and layer.cell.candidate in gates and indices.second_bias.size:
            parts.append(indices.second_bias[:, None])
        return np.concatenate(parts, axis=1)

    def blocks(self, weights: Array) -> Blocks:
        """Return the independent blocks: the units, or all of them where the reset gate mixes them."""
        values = np.arange(int(self.sequence.used.sum()) * len(weights)).reshape(-1, len(weights)).T
        if self.sequence.layer.class_name == "GRU" and not self.sequence.layer.reset_after:
            return Blocks(weights.reshape(1, -1), values.reshape(1, -1))
        return Blocks(weights, values)

    def used_blocks(self, numbers: Array, errors: Array) -> Iterator[tuple[WeightBlock, Estimate]]:
        """Yield what was used for each block, from parameters (P,) and their errors."""
        layer, limit = self.sequence.layer, self.sequence.threshold
        fitted, error = self.split(numbers), self.split(errors)
        for name in [tensor.name for tensor in self.sequence.problem.weights]:
            parts = (
                np.split(np.atleast_2d(getattr(part, name)), len(layer.cell.gates), axis=-1)
                for part in (fitted, error)
            )
            for gate, used, noise in zip(layer.cell.gates, *parts, strict=True):
                rows = name == "bias" and layer.bias_rows == 2 and gate == layer.cell.candidate
                yield WeightBlock(name, gate, 0 if rows else None), Estimate(used, noise, limit)
                if rows:
                    second = Estimate(fitted.second_bias[None], error.second_bias[None], limit)
                    yield WeightBlock(name, gate, 1), second


def fitted_gates(whole: ActualSequence, cut: Cut, gates: str) -> list[Account]:
    """Return the arrays of all gates, or of one of `gates`, that account for all differences.

    Those with the fewest weights come first; more are not tried where these do. Several accounts
    are equally consistent. `cut` returns about so many steps of the whole sequence.
    """
    layer, every = whole.layer, "".join(whole.layer.cell.gates)
    steps = ForcedSteps(whole)
    if not layer.cell.gated or len(steps.declared) > MOST_PARAMETERS:
        return []
    groups = (
        [(names, gate) for gate in gates for names in ARRAYS[:-1]],
        [(names, every) for names in ARRAYS[:-1]],
        [(ARRAYS[-1], every)],
    )
    for group in groups:
        accounts = (_account(steps.weights(names, chosen), cut) for names, chosen in group)
        found = (whole.account(each.changes, each.rank) for each in accounts if each)
        if confirmed := [account for account in found if account]:
            return confirmed
    return []


def weights_of_unit(sequence: ActualSequence) -> int:
    """Return how many weights a unit has in all arrays."""
    every = "".join(sequence.layer.cell.gates)
    return int(ForcedSteps(sequence).weights(ARRAYS[-1], every).shape[1])


def _account(weights: Array, cut: Cut) -> Account | None:
    """Return how some weights (H, n) are changed where that gives the actual outputs of some steps."""
    units, count = weights.shape
    most = max(VALUES // units, STEPS_PER_WEIGHT * count)
    if count * most * units > MOST_WORK:
        return None
    sequence = cut(most)
    steps = ForcedSteps(sequence)
    blocks = steps.blocks(weights)
    if not 0 < blocks.parameters.shape[1] < blocks.values.shape[1]:
        return None
    fitted = fit(steps.model, steps.declared, steps.data, blocks, EFFORT)
    if fitted.sigma > NOISIER * sequence.threshold:
        return None
    changes = []
    for block, used in steps.used_blocks(fitted.parameters, fitted.errors):
        if not used.agrees(sequence.blocks[block]):
            other = ChangedBlock(block, BlockChange.OTHER, used.numbers)
            changes.append(next(iter(changes_of(block, sequence.blocks, used)), other))
    return sequence.account(changes, weights.size) if changes else None
