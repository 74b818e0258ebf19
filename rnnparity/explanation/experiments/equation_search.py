"""The search for the equations, weights and initial states that give what a subject returned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from rnnparity.explanation.experiments.system import System
from rnnparity.explanation.fitting.least_squares import Effort, Fit
from rnnparity.explanation.fitting.model import (
    AS_DECLARED,
    OUTPUT,
    Equations,
    declared_activations,
    other_quantities,
)
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Recurrent
from rnnparity.reference.activations import ACTIVATIONS

# Of fits of one unit, of weights from one step, from several where no state can be given, and of what
# is left once these fit.
PLAIN, STEP, STEPS, LAST = Effort(12, 0.3), Effort(40, 0.02), Effort(100, 0.02), Effort(12, 0.02)
# The search for weights starts at these multiples of the declared ones, then at random ones.
FACTORS, RANDOM_STARTS = (1.0, 0.3, 0.01), 3
# At most this many equations that fit one unit are tried on all.
TRIED = 4
# A parameter has changed where it is so many standard errors, and so much, off.
ERRORS, CHANGED = 10, 1e-3


@dataclass(frozen=True)
class Identified:
    """What gives the outputs of the subject within noise: the halves, their equations, the fit."""

    system: System
    equations: Equations
    fit: Fit

    @property
    def changes(self) -> int:
        """The number of activations and parameters that are not the declared ones."""
        moved = np.abs(self.fit.parameters - self.system.declared)
        changed = moved > np.maximum(ERRORS * self.fit.errors, CHANGED)
        equations = self.equations
        others = (equations.returns != "h") + equations.as_state + equations.restarts
        return int(changed.sum()) + len(equations.activations) + others


def fitted(system: System, start: Array, equations: Equations) -> Fit | None:
    """Return weights and states next to `start` that give all outputs, None if there are none."""
    fit = system.fit_states(start, equations, LAST)
    if fit.sigma <= system.threshold:
        return fit
    first = system.first_step
    if first is None:
        return _within_noise(system, system.fit(start, equations, STEPS))
    return _completed(system, equations, first.fit_weights(start, equations, STEP))


def fitted_in_one_block(system: System, start: Array, equations: Equations) -> Fit | None:
    """Return other weights in a single block of a gate that give all outputs."""
    first = system.first_step or system
    if first.fits(start, equations):  # the weights are not what differs
        return None
    for block in system.gate_blocks:
        fit = _completed(system, equations, first.fit_weights(start, equations, LAST, block))
        if fit is not None:
            return fit
    return None


def _completed(system: System, equations: Equations, weights: Fit) -> Fit | None:
    """Return weights that fit one step with the states that fit all, None if there are none."""
    if weights.sigma > system.threshold:
        return None
    if system.fits(weights.parameters, equations):
        return weights
    return _within_noise(system, system.fit(weights.parameters, equations, LAST))


def _within_noise(system: System, fit: Fit) -> Fit | None:
    return fit if fit.sigma <= system.threshold else None


def fitted_from_many(system: System, start: Array, equations: Equations) -> Fit | None:
    """Return what `fitted` finds from other weights as well; the states start from `start`."""
    rng = np.random.default_rng(0)
    weights = system.are_weights
    starts = [np.where(weights, factor * start, start) for factor in FACTORS]
    starts += [
        np.where(weights, rng.normal(0, 0.3, len(start)), start) for _ in range(RANDOM_STARTS)
    ]
    found = (fitted(system, vector, equations) for vector in starts)
    return next((fit for fit in found if fit is not None), None)


def unchanged_fits(system: System) -> list[Identified]:
    """Return the equations and the use of given states that fit with unchanged weights.

    Those with the least changes are first.
    """
    hypotheses = [
        *((AS_DECLARED, start) for start in _other_uses_of_states(system)),
        *((equations, system.declared) for equations in _equations(system)),
    ]
    found = [
        Identified(system, equations, Fit(start, np.zeros(len(start)), 0.0))
        for equations, start in hypotheses
        if system.fits(start, equations)
    ]
    return sorted(found, key=lambda found: found.changes)


def changed_fits(system: System) -> list[Identified]:
    """Return the equations that fit one unit with other weights and states.

    Those with the least changes are first.
    """
    first = system.first_step or system
    found: list[Identified] = []
    for equations in _equations(system):
        parameters = first.fit(system.declared, equations, PLAIN).parameters
        if not first.fits(parameters, equations):
            continue
        fit = system.fit(parameters, equations, LAST)
        if fit.sigma <= system.threshold:
            found.append(Identified(system, equations, fit))
            if equations == AS_DECLARED and not _weights_moved(found[-1]):
                break
    return sorted(found, key=lambda found: found.changes)


def _other_uses_of_states(system: System) -> Iterator[Array]:
    """Yield the declared parameters where given states are not used, or used for each other."""
    parts = system.split(system.declared)
    most = max(len(part.mix) for part in parts.values())
    for chosen in product((*range(most), None), repeat=most):
        changed = []
        for part in parts.values():
            count = len(part.mix)
            rows = [np.eye(count)[n] if n in range(count) else np.zeros(count) for n in chosen]
            changed.append(replace(part, mix=np.array(rows[:count])).vector)
        yield np.concatenate(changed)


def _weights_moved(found: Identified) -> bool:
    moved = np.abs(found.fit.parameters - found.system.declared)
    limit = np.maximum(ERRORS * found.fit.errors, CHANGED)
    return bool((moved > limit)[found.system.are_weights].any())


def with_states_of(plain: Identified, system: System) -> Array:
    """Return the declared weights with the initial states that fit one unit, in every unit."""
    found = plain.system.split(plain.fit.parameters)
    errors = plain.system.split(plain.fit.errors)
    vectors = []
    for prefix, own in system.split(system.declared).items():
        states = {}
        for name in ("mix", "shift", "start"):
            value, error = getattr(found[prefix], name), getattr(errors[prefix], name)
            usual = np.eye(len(value)) if name == "mix" else 0
            value = np.where(np.abs(value - usual) > ERRORS * error, value, usual)
            states[name] = np.broadcast_to(value, getattr(own, name).shape)
        vectors.append(replace(own, **states).vector)
    return np.concatenate(vectors)


def _equations(system: System) -> Iterator[Equations]:
    """Yield the declared equations, then those with one change, then with two activations."""
    layers = [system.halves[prefix][0] for prefix in system.prefixes]
    yield AS_DECLARED
    if len({(half.class_name, half.activation, half.recurrent_activation) for half in layers}) > 1:
        return
    half = layers[0]
    cell, gates = _positions(half)
    yield from dict.fromkeys(_with_other_activations(half, [cell, gates, *_singles(half)]))
    for quantity, as_state in product(other_quantities(half), (False, True)):
        yield Equations(returns=quantity, as_state=as_state)
    yield Equations(restarts=True)
    if gates:
        for first in _with_other_activations(half, [cell]):
            for second in _with_other_activations(half, [gates]):
                yield Equations(first.activations + second.activations)


def _positions(half: Recurrent) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return where the activation and the recurrent activation are applied."""
    all_of_them = declared_activations(half)
    cell = tuple(p for p in all_of_them if p in (half.cell.candidate, OUTPUT))
    return cell, tuple(p for p in all_of_them if p not in cell)


def _singles(half: Recurrent) -> list[tuple[str, ...]]:
    return [(position,) for position in declared_activations(half)]


def _with_other_activations(
    half: Recurrent, groups: Sequence[tuple[str, ...]]
) -> Iterator[Equations]:
    """Yield every other activation in all positions of a group."""
    declared = declared_activations(half)
    for group, name in product(filter(None, groups), ACTIVATIONS):
        if declared[group[0]] != name:
            yield Equations(tuple((position, name) for position in group))
