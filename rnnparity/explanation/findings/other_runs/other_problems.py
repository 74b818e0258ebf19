"""Other problems than the given one that are computed: padded, with shared weights, fewer layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.compared.layouts import outputs_of
from rnnparity.explanation.findings.other_runs.merged import MERGED
from rnnparity.explanation.findings.seen.candidates import Candidate
from rnnparity.explanation.findings.seen.half_problem import merged_halves
from rnnparity.explanation.findings.seen.stacks import lower_problem, with_outputs_of
from rnnparity.explanation.location import last_layer
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import (
    AfterLayer,
    BlockChange,
    Finding,
    FindingType,
    OtherInputs,
    WeightBlock,
)
from rnnparity.problem.layers import Bidirectional, Stack, halves
from rnnparity.problem.problem import Problem
from rnnparity.reference import compute

# So many steps of zeros may have been added.
MOST_ADDED = 4


def problem_candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield the other problems that may have been computed."""
    yield from _padded_candidates(problem)
    yield from _shared_weights(problem)
    finding = Finding(
        FindingType.INITIAL_STATE, change=BlockChange.TRANSPOSED, source=WeightBlock("layers", "")
    )
    yield Candidate(finding, _states_of_halves, mixes_rows=True)
    if isinstance(problem.layer, Stack):
        for index in range(len(problem.layer.layers) - 1):
            finding = Finding(FindingType.OTHER_QUANTITY, f"the output of layer {index}")
            yield Candidate(finding, partial(_output_of_layer, index))


def _padded_candidates(problem: Problem) -> Iterator[Candidate]:
    if problem.mask is not None or problem.calls is not None:
        return
    for name in (OtherInputs.ZERO_STEPS_BEFORE, OtherInputs.ZERO_STEPS_AFTER):
        for count in range(1, MOST_ADDED + 1):
            finding = Finding(FindingType.INPUTS, name, (count,))
            yield Candidate(finding, partial(_padded, name, count))


def _padded(name: OtherInputs, count: int, problem: Problem) -> list[Array]:
    """Return the outputs with steps of zeros before or after; those of these steps are left out."""
    x, steps = problem.inputs.data, problem.inputs.shape[1]
    before = name is OtherInputs.ZERO_STEPS_BEFORE
    added = np.zeros((len(x), count, x.shape[-1]), x.dtype)
    padded = np.concatenate([added, x] if before else [x, added], axis=1)
    # The outputs of a reversed layer come in the order of processing.
    last = last_layer(problem.layer)
    reverses = not isinstance(last, Bidirectional) and last.go_backwards
    kept = slice(count, None) if before is not reverses else slice(steps)
    return [y[:, kept] if y.ndim == 3 else y for y in outputs_of(problem, padded)]


def _shared_weights(problem: Problem) -> Iterator[Candidate]:
    """Yield the weights of each half in place of those of another one."""
    prefixes = [prefix for prefix, _ in halves(problem.layer)]
    shapes = {
        prefix: [tensor.shape for tensor in problem.half_weights(prefix)] for prefix in prefixes
    }
    for target in prefixes:
        for source in prefixes:
            if source != target and shapes[source] == shapes[target]:
                finding = Finding(
                    FindingType.BLOCK, half=target, change=BlockChange.REPLACED,
                    source=WeightBlock(source.rstrip("/"), ""),
                )  # fmt: skip
                yield Candidate(finding, partial(_with_weights_of, target, source))


def _with_weights_of(target: str, source: str, problem: Problem) -> list[Array]:
    arrays = {tensor.name: tensor.data for tensor in problem.weights}
    weights = tuple(
        replace(tensor, data=arrays[source + tensor.name.removeprefix(target)])
        if tensor.name.startswith(target)
        else tensor
        for tensor in problem.weights
    )
    other = replace(problem, weights=weights, outputs=None, case=None)
    return [tensor.data for tensor in compute(other)]


def _states_of_halves(problem: Problem) -> list[Array] | None:
    """Return the outputs where initial states (B, L, H) of L halves are read in the memory of (L, B, H)."""
    states = problem.initial_state
    prefixes = [prefix for prefix, _ in halves(problem.layer)]
    if states is None or len(prefixes) == 1:
        return None
    read: dict[str, Array] = {}
    for name in {tensor.name[-1] for tensor in states}:
        same = [tensor for tensor in states if tensor.name.endswith(name)]
        if len({tensor.shape for tensor in same}) > 1:
            return None
        arrays = np.stack([tensor.data for tensor in same], axis=1)
        arrays = arrays.reshape(len(same), *same[0].shape)
        read |= {tensor.name: array for tensor, array in zip(same, arrays, strict=True)}
    tensors = tuple(replace(tensor, data=read[tensor.name]) for tensor in states)
    other = replace(problem, initial_state=tensors, outputs=None, case=None)
    return [tensor.data for tensor in compute(other)]


def _output_of_layer(index: int, problem: Problem) -> list[Array] | None:
    """Return the outputs where the first is that of a layer below."""
    assert isinstance(problem.layer, Stack)  # noqa: S101 - candidates are of one
    layers = problem.layer.layers
    returning = with_outputs_of(layers[index], sequences=layers[-1].return_sequences)
    assert not isinstance(returning, Stack)  # noqa: S101 - a stack holds none
    below = lower_problem(problem, (*layers[:index], returning))
    return [compute(below)[0].data, *[tensor.data for tensor in compute(problem)[1:]]]


def lengths_candidates(evidence: Evidence, last: Bidirectional) -> Iterator[Candidate]:
    """Yield the backward output that was reversed within the length of each row only."""
    if evidence.problem.mask is None or not last.return_sequences:
        return
    finding = Finding(FindingType.AFTER_LAYER, AfterLayer.REVERSED_WITHIN_LENGTHS, half="backward/")
    yield Candidate(finding, partial(_reversed_within_lengths, evidence), mixes_rows=True)


def _reversed_within_lengths(evidence: Evidence, problem: Problem) -> list[Array] | None:
    """Return the outputs in which padded steps of the backward output stay where they were computed."""
    last, mask = last_layer(problem.layer), problem.mask
    inside = merged_halves(evidence)
    if not inside or mask is None or not isinstance(last, Bidirectional):
        return None
    forward, backward = (half.view.outputs[0].expected for half in inside)
    reversed_ = backward.copy()
    for row, count in enumerate(mask.sum(axis=1)):
        reversed_[row, :count] = backward[row, :count][::-1]
    if last.merge_mode is not None and last.merge_mode in MERGED:
        merged = [MERGED[last.merge_mode](forward, reversed_)]
    else:
        merged = [forward, reversed_]
        if last.merge_mode == "concat":
            merged = [np.concatenate(merged, axis=-1)]
    return [*merged, *evidence.expected_arrays[len(merged) :]]
