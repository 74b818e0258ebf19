"""What was identified as findings: which block, state or activation is not the declared one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.experiments.measured import Measured
from rnnparity.explanation.experiments.model import OUTPUT, declared_activations
from rnnparity.explanation.experiments.parameters import Parameters
from rnnparity.explanation.experiments.search import ERRORS, Identified
from rnnparity.explanation.experiments.states import state_findings
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent

Blocks = Mapping[WeightBlock, Array]


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
            block = None if gate == OUTPUT else WeightBlock(f"{about.half}kernel", gate)
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
        values, error = getattr(fitted, name), getattr(errors, name)
        for gate, used, noise in _by_gate(half, values, error):
            measured = Measured(used, ERRORS * noise + 4 * u * (np.abs(used) + 0.1))
            block = WeightBlock(about.half + name, gate)
            if name == "bias" and half.bias_rows == 2 and gate == "h":
                second = Measured(fitted.second_bias, ERRORS * errors.second_bias + u)
                found += _changed(replace(block, row=0), measured, given)
                found += _changed(replace(block, row=1), second, given)
            elif name == "bias" and half.bias_rows == 2:
                found += _changed_sum(block, measured, given)
            else:
                found += _changed(block, measured, given)
    for finding in _joined(half, _with_exchanges(found)):
        yield replace(finding, half=about.half, sigma=about.sigma)


def _given_blocks(prefix: str, half: Recurrent, identified: Identified) -> Blocks:
    """Return the block of each gate in each array of a half; bias rows apart."""
    weights = identified.system.probes[0].problem.weights
    blocks: dict[WeightBlock, Array] = {}
    for tensor in weights:
        before, _, name = tensor.name.rpartition("/")
        if (f"{before}/" if before else "") != prefix:
            continue
        values = tensor.data.astype(np.float64)
        for gate, used, _ in _by_gate(half, values, values):
            if name == "bias" and half.bias_rows == 2:
                for row in range(2):
                    blocks[WeightBlock(tensor.name, gate, row)] = used[row]
            else:
                blocks[WeightBlock(tensor.name, gate)] = used
    if not half.use_bias:
        for gate in half.cell.gates:
            for row in range(half.bias_rows):
                key = WeightBlock(f"{prefix}bias", gate, row if half.bias_rows == 2 else None)
                blocks[key] = np.zeros(half.units)
    return blocks


def _by_gate(half: Recurrent, values: Array, errors: Array) -> Iterator[tuple[str, Array, Array]]:
    count = len(half.cell.gates)
    parts = (np.split(array, count, axis=-1) for array in (values, errors))
    return zip(half.cell.gates, *parts, strict=True)


def _changed(block: WeightBlock, measured: Measured, given: Blocks) -> list[Finding]:
    """Return the finding about a block, none where it is the given one."""
    if measured.equals(given[block]):
        return []
    empty = Finding(FindingType.EFFECTIVE_WEIGHTS, block=block)
    named = next(_names(empty, measured, given[block], given), None)
    return [named or replace(empty, change=BlockChange.OTHER)]


def _changed_sum(block: WeightBlock, measured: Measured, given: Blocks) -> list[Finding]:
    """Return the finding about two rows of a bias of which only the sum has an effect."""
    rows = [replace(block, row=row) for row in range(2)]
    sums = {
        replace(key, row=None): values + given[replace(key, row=1)]
        for key, values in given.items()
        if key.row == 0
    }
    found = _changed(block, measured, sums)
    for row, other in (rows, reversed(rows)):
        if found and found[0].change is BlockChange.OTHER:
            found = _changed(row, measured.minus(given[other]), given)
    return found


def _names(empty: Finding, measured: Measured, given: Array, blocks: Blocks) -> Iterator[Finding]:
    """Yield the simple changes of a block that give what was measured, the likeliest first."""
    for change, values in _simple_changes(given):
        if measured.equals(values):
            yield replace(empty, change=change)
    for source, values in blocks.items():
        if source != empty.block and values.shape == given.shape and measured.equals(values):
            yield replace(empty, change=BlockChange.REPLACED, source=source)
    order = _order_of_rows(measured, given) if given.ndim == 2 else None
    if order is not None:
        yield replace(empty, change=BlockChange.PERMUTED, numbers=order)
    factor = float((measured.values * given).sum() / max((given**2).sum(), 1e-30))
    if measured.equals(factor * given):
        yield replace(empty, change=BlockChange.SCALED, value=factor)
    shift = float(np.mean(measured.values - given))
    if measured.equals(given + shift):
        yield replace(empty, change=BlockChange.SHIFTED, value=shift)
    for source, values in blocks.items():
        if values.shape == given.shape and measured.equals(given + values):
            yield replace(empty, change=BlockChange.ADDED, source=source)


def _simple_changes(given: Array) -> Iterator[tuple[BlockChange, Array]]:
    yield BlockChange.MISSING, np.zeros_like(given)
    yield BlockChange.DOUBLED, 2 * given
    yield BlockChange.NEGATED, -given
    if given.ndim == 2 and given.shape[0] == given.shape[1]:
        yield BlockChange.TRANSPOSED, given.T
    yield BlockChange.REVERSED, given[::-1]
    if given.ndim == 2:
        yield BlockChange.REVERSED, given[:, ::-1]


def _order_of_rows(measured: Measured, given: Array) -> tuple[int, ...] | None:
    """Return which given row each row is, None where one is none of them."""
    order = []
    for values, allowed in zip(measured.values, measured.allowed, strict=True):
        row = Measured(values, allowed)
        equal = [n for n in range(len(given)) if row.equals(given[n])]
        if not equal:
            return None
        order.append(equal[0])
    return tuple(order)


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


def _joined(half: Recurrent, findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, one for all gates of an array where they have the same change."""
    groups: dict[Finding, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_of_all_gates(finding), []).append(finding)
    is_whole = {whole: len(group) == len(half.cell.gates) > 1 for whole, group in groups.items()}
    return [
        finding
        for whole, group in groups.items()
        for finding in ([whole] if is_whole[whole] else group)
    ]


def _of_all_gates(finding: Finding) -> Finding:
    """Return what a finding would be about all gates."""
    block, source = finding.block, finding.source
    value = None if finding.value is None else round(finding.value, 4)
    if block is None or (source is not None and source.gate != block.gate):
        return finding
    return replace(
        finding,
        block=replace(block, gate=""),
        source=source and replace(source, gate=""),
        value=value,
    )
