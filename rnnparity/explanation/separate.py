"""Inputs made to tell hypotheses apart, and a subject that is asked again with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.explain import Explanation
from rnnparity.faults import Mutant, run_one, with_flag
from rnnparity.problem.dtypes import Array
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.reference.tolerance import Expected, expect

# A subject is asked so many times more, at most.
PROBES = 3

Answers = Callable[[Problem], Sequence[Tensor] | None]


def separating(problem: Problem, left: Sequence[Mutant]) -> Problem | None:
    """A problem on which as many of the hypotheses as can be give different outputs, as near to
    this one as can be.

    The layer and its weights stay; only where nothing else helps the weights are others too.
    """
    best, most = None, 1
    for other in _variations(problem):
        expected = expect(other)
        groups = 0 if expected.inconclusive else _groups(other, expected, left)
        if groups > most:
            best, most = other, groups
        if most == len(left):
            break
    return best


def with_separator(told: Explanation) -> Explanation:
    """The explanation with an input that would tell apart what fits alike, where there is one."""
    if told.fault is None or not told.also_fits:
        return told
    return replace(told, apart=separating(told.problem, [told.fault, *told.also_fits]))


def probed(told: Explanation, answers: Answers) -> Explanation:
    """Ask the subject with inputs that separate what fits, until one hypothesis is left."""
    while told.fault is not None and told.apart is not None and told.probes < PROBES:
        given = answers(told.apart)
        left = (told.fault, *told.also_fits)
        expected = expect(told.apart)
        kept = (
            []
            if given is None
            else [mutant for mutant in left if _fits(told.apart, expected, mutant, given)]
        )
        told = replace(told, probes=told.probes + 1)
        if not kept or len(kept) == len(left):
            break
        told = replace(
            told,
            cause=kept[0].cause,
            fault=kept[0],
            also_fits=tuple(kept[1:]),
            apart=None,
            certain=True,
        )
        told = with_separator(told)
    return told


def _variations(problem: Problem) -> Iterator[Problem]:
    """Other numbers for inputs, states, mask, then every output, then the weights: small multiples
    of 1/64."""
    rng = np.random.default_rng(0)
    batch, steps, features = problem.inputs.shape
    steps = max(steps, 4) if problem.calls is None else steps

    def numbers(tensor: Tensor, shape: Sequence[int], size: float = 1.0) -> Tensor:
        values = np.rint(64 * size * rng.standard_normal(shape)) / 64
        return Tensor.of(tensor.name, values, tensor.dtype)

    rows = max(batch, 2)
    states = state_slots(problem.layer, rows)
    started = tuple(
        numbers(Tensor.of(s.name, np.zeros(1), problem.inputs.dtype), (rows, s.shape[1] or 0))
        for s in states
    )
    new_states = started if problem.initial_state is not None else None
    mask = _gaps(rng, rows, steps)
    plain = replace(
        problem, inputs=numbers(problem.inputs, (rows, steps, features)), outputs=None, case=None,
        initial_state=new_states, mask=None if problem.mask is None else mask, id=f"{problem.id}-apart",
    )  # fmt: skip
    yield plain
    if problem.calls is None:
        yield replace(plain, initial_state=started)
        yield replace(plain, mask=mask)
        layer = with_flag(with_flag(plain.layer, "return_sequences", True), "return_state", True)
        plain = replace(plain, layer=layer)
        yield plain
        yield replace(plain, initial_state=started, mask=mask)
    weights = tuple(
        numbers(t, t.shape, 1 / np.sqrt(max(t.shape[0], 4)) if t.data.ndim > 1 else 0.5)
        for t in plain.weights
    )
    plain = replace(plain, weights=weights)
    yield plain
    if problem.calls is None:
        yield replace(plain, initial_state=started, mask=mask)


def _gaps(rng: np.random.Generator, rows: int, steps: int) -> Array:
    """Masks with gaps anywhere, and something used in each row."""
    mask: Array = rng.random((rows, steps)) < 0.6
    mask[:, steps // 2] = True
    return mask


def _groups(problem: Problem, expected: Expected, left: Sequence[Mutant]) -> int:
    """How many different outputs the hypotheses give, further apart than noise."""
    kinds: list[Sequence[Tensor]] = []
    for mutant in left:
        made = run_one(problem, mutant.placed)
        if made is not None and all(
            _far(problem, expected, made.outputs, other) for other in kinds
        ):
            kinds.append(made.outputs)
    return len(kinds)


def _far(
    problem: Problem, expected: Expected, one: Sequence[Tensor], other: Sequence[Tensor]
) -> bool:
    """Whether two outputs are clearly apart."""
    evidence = Evidence(problem, tuple(one), expected)
    if [tensor.shape for tensor in one] == [tensor.shape for tensor in expected.outputs]:
        return evidence.worst(other) > 3 * evidence.own.threshold
    shapes = [[tensor.shape for tensor in some] for some in (one, other)]
    pairs = zip(one, other, strict=False)
    return shapes[0] != shapes[1] or not all(
        np.allclose(a.data, b.data, rtol=1e-3) for a, b in pairs
    )


def _fits(problem: Problem, expected: Expected, mutant: Mutant, given: Sequence[Tensor]) -> bool:
    """Whether what was given is what a hypothesis gives."""
    made = run_one(problem, mutant.placed)
    if made is None or [tensor.shape for tensor in made.outputs] != [
        tensor.shape for tensor in given
    ]:
        return False
    if [tensor.shape for tensor in given] != [tensor.shape for tensor in expected.outputs]:
        pairs = zip(given, made.outputs, strict=True)
        return all(np.allclose(a.data, b.data, rtol=1e-3, atol=1e-5) for a, b in pairs)
    evidence = Evidence(problem, tuple(given), expected)
    return evidence.worst(made.outputs) <= evidence.own.threshold
