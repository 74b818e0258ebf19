"""The weights that were used, by least squares.

Each gate in turn is solved for with all others as expected (`gate_equations`), and regressed on
what its weights are multiplied by. Where no gate alone accounts for all differences, several are
fitted at once (`fitted_gates`): that is asked last. What is found counts only if a run with it gives the actual
outputs (`accounts`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from rnnparity.explanation.findings.by_step.accounts import NOISIER, Account, ActualSequence
from rnnparity.explanation.findings.by_step.fitted_gates import fitted_gates, weights_of_unit
from rnnparity.explanation.findings.by_step.regression import STEPS_PER_WEIGHT, Regression
from rnnparity.explanation.findings.changed_weights.block_changes import joined_gates
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, WeightBlock, undetermined
from rnnparity.problem.layers import Recurrent, with_return_state
from rnnparity.problem.problem import Problem, Tensor

# A larger sequence is cut to so many values and steps; so few of these are regressed on.
VALUES, STEPS, FEW_VALUES = 10**5, 1000, 20_000
# A gate is ruled out by the units that differ most.
FEW_UNITS = 4


@dataclass(frozen=True)
class Identifiability:
    """Gates of which one may be the cause, but whose weights cannot be determined.

    `usable` are the steps that can be used, `needed` is the number that it takes; more steps, or
    rows with different inputs, would do. With enough of them the differences are too near to the
    noise. `without_inverse` are the activations because of which steps cannot be used.
    """

    gates: str
    usable: int
    needed: int
    without_inverse: tuple[str, ...] = ()

    def joined(self, other: Identifiability) -> Identifiability:
        """Return this and other gates together."""
        return Identifiability(
            self.gates + other.gates,
            min(self.usable, other.usable),
            max(self.needed, other.needed),
            tuple(dict.fromkeys((*self.without_inverse, *other.without_inverse))),
        )

    @property
    def finding(self) -> Finding:
        """What cannot be determined as a finding."""
        block = WeightBlock("", self.gates) if self.gates else None
        return undetermined(block, (self.usable, self.needed), ", ".join(self.without_inverse))


@dataclass(frozen=True)
class EffectiveWeights:
    """How the weights that were used differ, and what could not be determined where none are found.

    `unknown` are the gates of which one may be the cause. Without any (`gates` is "") no change of
    one gate gives the outputs, and the steps are those for the weights of all gates. It is None
    where nothing was tried.
    """

    findings: list[Finding]
    unknown: Identifiability | None = None


def effective_weights(problem: Problem, sequence_sigmas: Array) -> EffectiveWeights:
    """Return how the weights of a gate that were used differ, or what cannot be determined.

    The layer of the problem reads forward and returns sequences; the first of its outputs is the
    actual one, `sequence_sigmas` its noise, both (B, T, H). Where several gates account for all
    differences each has a finding that is not certain.
    """
    whole = ActualSequence(_part(problem, VALUES // _units(problem)), sequence_sigmas)
    if not whole.is_telling:
        return EffectiveWeights([])
    part = ActualSequence(_part(problem, _enough_steps(problem)), sequence_sigmas)
    accounts: list[Account] = []
    unknown: list[Identifiability] = []
    for gate in part.layer.cell.gates:
        equation = part.steps.equation(gate)
        if equation is None:
            continue
        regression = Regression(equation)
        everything = regression.fit(range(len(equation.terms)), FEW_UNITS)
        if everything.distance > NOISIER * part.threshold:
            continue
        found = _confirmed(part.accounts(regression), gate, whole)
        accounts += found
        enough = everything.steps >= regression.needed
        if enough and not found and not part.differs_where(regression.weight.T > 0):
            continue  # the weights are known to be the given ones; other steps differ
        if not found or not enough:
            counts = everything.steps, regression.needed
            unknown.append(Identifiability(gate, *counts, equation.without_inverse))
    findings = _findings(accounts, part)
    if unknown:
        return EffectiveWeights(findings, reduce(Identifiability.joined, unknown))
    return EffectiveWeights(findings, None if findings else _all_gates(whole))


def fitted_weights(problem: Problem, sequence_sigmas: Array, gates: str) -> list[Finding]:
    """Return how the weights of all gates that were used differ, or those of one of `gates`.

    The problem is that of `effective_weights`.
    """
    whole = ActualSequence(_part(problem, VALUES // _units(problem)), sequence_sigmas)

    def cut(count: int) -> ActualSequence:
        return ActualSequence(_part(problem, count), sequence_sigmas)

    return _findings(fitted_gates(whole, cut, gates), whole)


def _all_gates(whole: ActualSequence) -> Identifiability:
    """Return how many steps there are for the weights of all gates, and how many it takes."""
    return Identifiability("", int(whole.used.sum()), weights_of_unit(whole) + 1)


def _confirmed(accounts: list[Account], gate: str, whole: ActualSequence) -> list[Account]:
    """Return the accounts of a part that hold for the whole.

    Numbers that were read off the part too coarsely are read off the whole instead.
    """
    confirmed = [whole.account(account.changes, account.rank) for account in accounts]
    equation = whole.steps.equation(gate) if accounts and not any(confirmed) else None
    if equation is not None:
        return whole.accounts(Regression(equation))
    return [account for account in confirmed if account is not None]


def _findings(accounts: list[Account], sequence: ActualSequence) -> list[Finding]:
    """Return the changes of accounts as findings, those that are described if there are any."""
    accounts = [account for account in accounts if account.described] or accounts
    single = len(accounts) == 1
    return [
        replace(finding, sigma=account.sigma, certain=single and account.certain)
        for account in accounts
        for finding in _changes(account, sequence)
    ]


def _changes(account: Account, sequence: ActualSequence) -> list[Finding]:
    changes = account.changes
    if account.sums_rows(sequence.blocks):
        summed = replace(changes[0].block, row=None)
        changes = (replace(changes[0], block=summed, change=BlockChange.SUMMED),)
    return joined_gates(sequence.layer, [changed.finding for changed in changes])


def summed_rows(problem: Problem, sequence_sigmas: Array) -> list[Finding]:
    """Return that each row of a given bias is the sum of the two rows that were used, if so.

    The given rows must be equal. In all gates but the candidate's only their sum counts.
    """
    bias = next((tensor for tensor in problem.weights if tensor.name == "bias"), None)
    if bias is None or bias.data.ndim < 2 or not np.array_equal(bias.data[0], bias.data[1]):
        return []
    once = np.stack([bias.data[0], np.zeros_like(bias.data[0])])
    weights = tuple(
        replace(tensor, data=once) if tensor is bias else tensor for tensor in problem.weights
    )
    found = effective_weights(replace(problem, weights=weights), sequence_sigmas).findings
    block = WeightBlock("bias", "")
    return [replace(f, block=block) for f in found if f.change is BlockChange.SUMMED]


def _units(problem: Problem) -> int:
    assert isinstance(problem.layer, Recurrent)  # noqa: S101 - a half is one
    return problem.layer.units


def _enough_steps(problem: Problem) -> int:
    """Return how many steps of all rows are regressed on."""
    weights = problem.inputs.shape[2] + _units(problem)
    return max(FEW_VALUES // _units(problem), STEPS_PER_WEIGHT * weights)


def _part(problem: Problem, count: int) -> Problem:
    """Return about `count` steps of the first rows of a problem, without states."""
    batch, steps, _ = problem.inputs.shape
    steps = max(1, min(steps, STEPS, count))
    rows = min(batch, count // steps)
    states, outputs = problem.initial_state, problem.outputs
    assert outputs  # noqa: S101 - its actual ones
    return replace(
        problem,
        layer=with_return_state(problem.layer, False),
        inputs=_cut(problem.inputs, rows, steps),
        mask=None if problem.mask is None else problem.mask[:rows, :steps],
        initial_state=states and tuple(_cut(state, rows, _units(problem)) for state in states),
        outputs=(_cut(outputs[0], rows, steps),),
    )


def _cut(tensor: Tensor, rows: int, columns: int) -> Tensor:
    return replace(tensor, data=tensor.data[:rows, :columns])
