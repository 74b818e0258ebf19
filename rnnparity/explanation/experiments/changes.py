"""What was identified as findings: which block, state or activation is not the declared one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.estimate import Estimate
from rnnparity.explanation.experiments.equation_search import ERRORS, Identified
from rnnparity.explanation.experiments.states import state_findings
from rnnparity.explanation.findings.changed_weights.block_changes import (
    Blocks,
    ChangedBlock,
    blocks_of,
    changes_of,
    joined_gates,
)
from rnnparity.explanation.fitting.model import OUTPUT, declared_activations
from rnnparity.explanation.fitting.parameters import Parameters
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import (
    BlockChange,
    Finding,
    FindingType,
    WeightBlock,
    undetermined,
)
from rnnparity.problem.layers import Recurrent


def findings_of(identified: Identified) -> Iterator[Finding]:
    """Yield every activation, quantity, block and state that is not the declared one."""
    system = identified.system
    fitted = system.split(identified.fit.parameters)
    errors = system.split(identified.fit.errors)
    sigma = identified.fit.sigma
    for prefix in system.prefixes:
        half, _, _ = system.halves[prefix]
        about = Finding(FindingType.ACTIVATION, half=prefix, sigma=sigma)
        yield from _of_equations(about, half, identified)
        yield from _of_weights(about, half, identified, fitted[prefix], errors[prefix])
        yield from state_findings(about, half, fitted[prefix], errors[prefix])


def _of_equations(about: Finding, half: Recurrent, identified: Identified) -> Iterator[Finding]:
    equations = identified.equations
    declared = declared_activations(half)
    for gate, name in equations.activations:
        if declared[gate] != name:
            block = None if gate == OUTPUT else WeightBlock("kernel", gate)
            yield replace(about, name=name, block=block)
    if equations.restarts:
        yield replace(about, type=FindingType.RESTARTS_EVERY_STEP)
    if equations.returns != "h":
        yield replace(about, type=FindingType.OTHER_QUANTITY, name=equations.returns)


def _of_weights(
    about: Finding, half: Recurrent, identified: Identified, fitted: Parameters, errors: Parameters
) -> Iterator[Finding]:
    """Yield a finding for every block that is not the given one, equal ones of all gates joined."""
    given = _given_blocks(about.half, half, identified)
    u = FLOAT_TYPES[half.compute_dtype].u
    found: list[Finding] = []
    for name in ("kernel", "recurrent_kernel", "bias"):
        for gate, used, noise in _by_gate(half, getattr(fitted, name), getattr(errors, name)):
            block, estimate = WeightBlock(name, gate), _estimate(used, noise, u)
            if name == "bias" and half.bias_rows == 2 and gate == half.cell.candidate:
                second = _estimate(fitted.second_bias, errors.second_bias, u)
                found += _changed(replace(block, row=0), estimate, given)
                found += _changed(replace(block, row=1), second, given)
            else:  # of two rows only the sum has an effect
                found += _changed(block, estimate, given)
    for finding in joined_gates(half, _with_exchanges(found)):
        yield replace(finding, half=about.half, sigma=about.sigma)


def _estimate(used: Array, noise: Array, u: float) -> Estimate:
    """Return a block (C, H) of which each number may be off by its noise and rounding."""
    error = ERRORS * noise + 4 * u * (np.abs(used) + 0.1)
    return Estimate(np.atleast_2d(used), np.atleast_2d(error))


def _given_blocks(prefix: str, half: Recurrent, identified: Identified) -> Blocks:
    """Return the blocks of a half; a bias that the layer does not have is zero."""
    tensors = identified.system.probes[0].problem.half_weights(prefix)
    weights = {tensor.name: tensor.data for tensor in tensors}
    weights.setdefault("bias", np.zeros((half.bias_rows, weights["kernel"].shape[1])))
    return blocks_of(half, weights)


def _by_gate(half: Recurrent, values: Array, errors: Array) -> Iterator[tuple[str, Array, Array]]:
    count = len(half.cell.gates)
    parts = (np.split(array, count, axis=-1) for array in (values, errors))
    return zip(half.cell.gates, *parts, strict=True)


def _changed(block: WeightBlock, used: Estimate, given: Blocks) -> list[Finding]:
    """Return the finding about a block, none where it is the given one.

    Where a number has no effect on the answers, it is not known: nothing more is claimed than that
    the others differ, or that it cannot be determined.
    """
    is_known = np.isfinite(used.error).all()
    if used.agrees(given[block]):
        return [] if is_known else [undetermined(block)]
    other = ChangedBlock(block, BlockChange.OTHER, used.numbers)
    changes = changes_of(block, given, used) if is_known else []
    return [next(iter(changes), other).finding]


def _with_exchanges(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, one for two blocks that replace each other."""
    sources = {f.block: f.source for f in findings if f.change is BlockChange.REPLACED}
    result: list[Finding] = []
    done: set[WeightBlock | None] = set()
    for finding in findings:
        if finding.block in sources and sources.get(finding.source) == finding.block:
            if finding.source not in done:
                result.append(replace(finding, change=BlockChange.EXCHANGED))
            done.add(finding.block)
        else:
            result.append(finding)
    return result
