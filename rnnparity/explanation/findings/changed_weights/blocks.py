"""Blocks of the weights: one gate of one array that is missing, changed, or another one's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.changed_weights.array_blocks import Block, arrays_of, blocks_of
from rnnparity.explanation.findings.changed_weights.whole_arrays import Edit, whole_array_edits
from rnnparity.explanation.findings.seen.candidates import evidence_of
from rnnparity.explanation.findings.seen.claim import FREEDOM_OF_NUMBER, weigh
from rnnparity.explanation.findings.seen.newton import fit_numbers
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.layers import Recurrent
from rnnparity.problem.problem import Problem
from rnnparity.reference import variants
from rnnparity.reference.memory import BATCH_VALUES

# Usual noise, as a part of the threshold.
NEAR = 0.5
# Factors that have a name, and how exactly one is fitted.
FACTORS = {0.0: BlockChange.MISSING, 2.0: BlockChange.DOUBLED, -1.0: BlockChange.NEGATED}
ROUNDING = 1e-6


@dataclass(frozen=True)
class Base:
    """A problem in which blocks are changed, and what is seen of it.

    `halves` are the prefixes and layers whose blocks may differ, `view` what is seen. `half` is the
    prefix that findings get in addition to that of the weights, `steps` those that are looked at,
    `first_rows` how many rows every change is tried on.
    """

    problem: Problem
    view: View
    halves: Sequence[tuple[str, Recurrent]]
    half: str = ""
    steps: tuple[int, ...] = ()
    first_rows: int = 4

    @property
    def weights(self) -> dict[str, Array]:
        """The weights in float64 by name."""
        return {tensor.name: tensor.data.astype(np.float64) for tensor in self.problem.weights}

    def part(self, count: int) -> Base:
        """Return the base with only the rows that are furthest off."""
        if len(self.problem.inputs.data) <= count:
            return self
        rows = self.view.worst_rows(count)
        return replace(self, problem=rows_of(self.problem, rows), view=self.view.rows(rows))

    def run(self, edits: Sequence[Mapping[str, Array]]) -> Iterator[list[Array]]:
        """Yield the outputs for several edits of the weights at once, each with a leading axis."""
        weights = self.weights
        values = sum(array.size for array in weights.values())
        batch, steps, _ = self.problem.inputs.shape
        values += 6 * batch * steps * sum(layer.units for _, layer in self.halves)
        size = max(1, BATCH_VALUES // values)
        for start in range(0, len(edits), size):
            part = edits[start : start + size]
            names = dict.fromkeys(name for edit in part for name in edit)
            stacked = {
                name: np.stack([edit.get(name, weights[name]) for edit in part]) for name in names
            }
            with np.errstate(all="ignore"):
                yield variants(self.problem, stacked)


def block_findings(base: Base) -> list[Finding]:
    """Return the changes of one block that account for everything that differs.

    They are tried on few rows, and those that fit there on all rows.
    """
    part = base.part(base.first_rows)
    edits = [edit for prefix, layer in base.halves for edit in _edits(part.weights, prefix, layer)]
    found = _that_hold(part, edits, len(edits))
    fitted = False
    if not _any_near(found, part.view.threshold):
        with_numbers = _fitted(part)
        others = _that_hold(part, with_numbers, len(with_numbers) * FREEDOM_OF_NUMBER)
        fitted = not found or _any_near(others, part.view.threshold)
        if fitted:
            edits, found = with_numbers, others
    if found and part is not base:
        chosen = [edits[index] for index, _ in found]
        found = _that_hold(base, chosen, len(edits))
    findings = [
        replace(finding, half=base.half or finding.half, numbers=base.steps or finding.numbers)
        for _, finding in found
    ]
    if fitted and len({_arrays(finding) for finding in findings}) > 1:
        # What fits several gates was read off too few values.
        findings = [replace(finding, certain=False) for finding in findings]
    return sorted(findings, key=lambda finding: finding.sigma or 0.0)


def _any_near(found: Sequence[tuple[int, Finding]], threshold: float) -> bool:
    """Return whether a finding leaves no more than usual noise: a factor of 2.003 is nearly 2."""
    return any((finding.sigma or 0.0) <= NEAR * threshold for _, finding in found)


def _arrays(finding: Finding) -> tuple[str, str, str]:
    """Return the half, the array and the gate of a finding: rows of a bias may have the same effect."""
    block = finding.block or WeightBlock("", "")
    return finding.half, block.weights, block.gate


def _that_hold(base: Base, edits: Sequence[Edit], hypotheses: float) -> list[tuple[int, Finding]]:
    """Return the edits that account for the outputs, by index, and their findings with evidence."""
    found: list[tuple[int, Finding]] = []
    start = 0
    for outputs in base.run([weights for _, weights in edits]):
        findings = [finding for finding, _ in edits[start : start + len(outputs[0])]]
        for index, finding in _claims(base.view, findings, outputs, hypotheses):
            found.append((start + index, finding))
        start += len(findings)
    return found


def _claims(
    view: View, findings: Sequence[Finding], outputs: Sequence[Array], hypotheses: float
) -> Iterator[tuple[int, Finding]]:
    """Yield the findings whose outputs are the actual ones, on every output, by index."""
    for index in np.flatnonzero(view.distances(outputs) <= 1).tolist():
        claim = view.claim(findings[index], [predicted[index] for predicted in outputs])
        if hypotheses >= FREEDOM_OF_NUMBER:  # where little differs, some number always does
            claim = evidence_of(view, claim)
        for finding in weigh([claim], view.threshold, hypotheses):
            yield index, finding


def _edits(weights: Mapping[str, Array], prefix: str, layer: Recurrent) -> Iterator[Edit]:
    """Yield every change of one block, with the arrays that differ, and those of whole arrays."""
    blocks = blocks_of(weights, prefix, layer)
    yield from whole_array_edits(weights, prefix, layer)
    for number, block in enumerate(blocks):
        array = weights[block.array]
        for change, values in _changes(block.values):
            yield _finding(block, change), {block.array: block.edited(array, values)}
        for other in blocks:
            if other is block or other.values.shape != block.values.shape:
                continue
            for change, values in (
                (BlockChange.REPLACED, other.values),
                (BlockChange.ADDED, block.values + other.values),
            ):
                edited = {block.array: block.edited(array, values)}
                yield _finding(block, change, other), edited
        for other in blocks[number + 1 :]:
            if other.values.shape == block.values.shape:
                first = {block.array: block.edited(array, other.values)}
                rest = first.get(other.array, weights[other.array])
                edited = first | {other.array: other.edited(rest, block.values)}
                yield _finding(block, BlockChange.EXCHANGED, other), edited


def _changes(values: Array) -> Iterator[tuple[BlockChange, Array]]:
    yield BlockChange.MISSING, np.zeros_like(values)
    yield BlockChange.DOUBLED, 2 * values
    yield BlockChange.NEGATED, -values
    if values.ndim == 2 and len(values) > 1:
        yield BlockChange.REVERSED, values[::-1]
        if len(values) == values.shape[1]:
            yield BlockChange.TRANSPOSED, values.T


def _finding(block: Block, change: BlockChange, source: Block | None = None) -> Finding:
    return Finding(
        FindingType.BLOCK,
        half=block.half,
        block=block.name,
        change=change,
        source=None if source is None else source.name,
    )


def _fitted(base: Base) -> list[Edit]:
    """Return each block, or array, scaled or shifted by the number that brings the outputs nearest."""
    weights = base.weights
    blocks = [
        block
        for prefix, half in base.halves
        for block in (
            *blocks_of(weights, prefix, half),
            *arrays_of(weights, prefix, half, base.half + prefix),
        )
    ]
    choices = [
        (change, block) for change in (BlockChange.SCALED, BlockChange.SHIFTED) for block in blocks
    ]

    def edited(choice: tuple[BlockChange, Block], number: float) -> dict[str, Array]:
        change, block = choice
        scaled = change is BlockChange.SCALED
        values = block.values * number if scaled else block.values + number
        return {block.array: block.edited(weights[block.array], values)}

    def run(numbers: Array) -> list[Array]:
        pairs = zip(choices, numbers.tolist(), strict=True)
        parts = list(base.run([edited(choice, number) for choice, number in pairs]))
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    start = np.array([float(change is BlockChange.SCALED) for change, _ in choices])
    numbers, _ = fit_numbers(run, start, base.view, base.problem.threshold_type)
    return [
        (_with_number(_finding(choice[1], choice[0]), number), edited(choice, number))
        for choice, number in zip(choices, numbers.tolist(), strict=True)
    ]


def _with_number(finding: Finding, number: float) -> Finding:
    """Return the finding with a number that was fitted; simply missing, doubled or negated if it is."""
    if finding.change is BlockChange.SCALED:
        for factor, change in FACTORS.items():
            if abs(number - factor) <= ROUNDING:
                return replace(finding, change=change)
    return replace(finding, value=number)
