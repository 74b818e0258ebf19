"""The weights that were used, by least squares, where those of one gate account for all differences.

Each gate in turn is solved for with all others as expected (`gate_equations`), and regressed on
what its weights are multiplied by. What is found counts only if a run with it gives the actual
outputs (`accounts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rnnparity.explanation.findings.accounts import NOISIER, Account, ActualSequence
from rnnparity.explanation.findings.regression import Regression
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem, Tensor

# A larger sequence is cut to so many values, and at most so many steps.
VALUES, STEPS = 10**5, 1000
# A gate is ruled out by the units that differ most.
FEW_UNITS = 4


@dataclass(frozen=True)
class Identifiability:
    """A gate that may be the cause, but whose weights cannot be told.

    `usable` are the steps that can be used, `needed` is the number that it takes; more steps, or
    rows with different inputs, would do.
    """

    half: str
    gate: str
    usable: int
    needed: int


def effective_weights(
    problem: Problem, sequence_sigmas: Array
) -> tuple[list[Finding], list[Identifiability]]:
    """Return how the weights of a gate that were used differ, and the gates that cannot be told.

    The layer of the problem reads forward and returns sequences; the first of its outputs is the
    actual one, `sequence_sigmas` its noise, both (B, T, H). Where several gates account for all
    differences each has a finding that is not certain.
    """
    evidence = ActualSequence(_part(problem), sequence_sigmas)
    if evidence.agrees:
        return [], []
    accounts: list[Account] = []
    unknown = []
    for equation in evidence.steps.equations():
        regression = Regression(equation, FEW_UNITS)
        everything = regression.fit(range(len(equation.terms)))
        if everything.distance > NOISIER * evidence.threshold:
            continue
        if everything.steps < regression.needed:
            counts = (everything.steps, regression.needed)
            unknown.append(Identifiability("", equation.gate, *counts))
        accounts += evidence.accounts(equation)
    described = [account for account in accounts if account.described]
    accounts = described or accounts
    return [f for account in accounts for f in _findings(account, len(accounts) == 1)], unknown


def _findings(account: Account, single: bool) -> Iterator[Finding]:
    """Yield the changes of an account as findings; `single`: there is no other account."""
    for changed in account.changes:
        yield Finding(
            FindingType.EFFECTIVE_WEIGHTS,
            numbers=changed.order,
            value=changed.value,
            block=changed.block,
            change=changed.change,
            source=changed.source,
            sigma=account.sigma,
            certain=single and account.certain,
        )


def _part(problem: Problem) -> Problem:
    """Return the first rows and steps of a problem, as many as there is time for, no states."""
    batch, steps, _ = problem.inputs.shape
    layer = problem.layer
    assert isinstance(layer, Recurrent)  # noqa: S101 - a half is one
    assert problem.outputs  # noqa: S101 - its actual ones
    steps = max(1, min(steps, STEPS, VALUES // layer.units))
    rows = max(1, min(batch, VALUES // (steps * layer.units)))
    states = problem.initial_state
    return replace(
        problem,
        layer=replace(layer, return_state=False),
        inputs=_cut(problem.inputs, rows, steps),
        mask=None if problem.mask is None else problem.mask[:rows, :steps],
        initial_state=states and tuple(_cut(state, rows, layer.units) for state in states),
        outputs=(_cut(problem.outputs[0], rows, steps),),
    )


def _cut(tensor: Tensor, rows: int, columns: int) -> Tensor:
    return replace(tensor, data=tensor.data[:rows, :columns])
