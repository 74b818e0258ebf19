"""The mistakes of a hand-written backward pass, and what an explanation should call each of them.

The names are those of `rnnparity list --faults "backward pass"`, written down here: neither the ports nor
the judge import the list of faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from rnnparity.problem.layers import Recurrent, Stack, halves
from rnnparity.problem.problem import Problem

# Of all gradients together, not of one half.
WHOLE = "whole"
NONE = ""
# The smallest and largest limit of clipped values.
LIMITS = (0.01, 0.3)


@dataclass(frozen=True)
class Mistake:
    """A mistake in the half with a prefix (or in the whole); `number` and `array` are its parameters.

    `cause` and `variant` are its name in an explanation; `variant` is the start of it.
    """

    kind: str
    cause: str
    variant: str
    half: str = NONE
    number: float = 0
    array: str = ""

    def of(self, prefix: str) -> Mistake:
        """Return itself in its own half, no mistake in another."""
        return self if self.half == prefix else RIGHT


RIGHT = Mistake(NONE, NONE, NONE)


def draw_mistake(problem: Problem, rng: np.random.Generator) -> Mistake:
    """Draw a kind of mistake that the layer may have, then one of that kind."""
    mistakes = mistakes_of(problem)
    kinds = sorted({mistake.kind for mistake in mistakes})
    kind = kinds[rng.integers(len(kinds))]
    chosen = [mistake for mistake in mistakes if mistake.kind == kind]
    mistake = chosen[rng.integers(len(chosen))]
    limit = float(np.float32(rng.uniform(*LIMITS)))
    return replace(mistake, number=limit) if mistake.kind == "clipped" else mistake


def mistakes_of(problem: Problem) -> list[Mistake]:
    """Return every mistake that the layer may have."""
    mistakes = [*_of_whole(problem)]
    for prefix, half in halves(problem.layer):
        mistakes += [replace(each, half=prefix) for each in _of_half(problem, prefix, half)]
    return mistakes


def _of_whole(problem: Problem) -> Iterator[Mistake]:
    yield Mistake("clipped", "gradient-clipped", "values", WHOLE, LIMITS[0])
    yield Mistake("norms", "gradient-clipped", "norms", WHOLE)
    yield Mistake("averaged", "gradient-averaged", "weights, over the rows", WHOLE)
    yield Mistake("negated", "gradient-negated", "all", WHOLE)
    if problem.layer.return_state:
        yield Mistake("no state cotangents", "cotangent-dropped", "states", WHOLE)
    if problem.layer.return_sequences:
        last = "all steps but the last"
        yield Mistake("last cotangent only", "cotangent-dropped", last, WHOLE)


def _of_half(problem: Problem, prefix: str, half: Recurrent) -> Iterator[Mistake]:
    yield from _in_time(problem, half)
    yield from _in_step(half)
    yield from _in_arrays(half)
    if problem.initial_state is not None:
        yield Mistake("no initial states", "gradient-missing", "initial states")
        if half.class_name == "LSTM":
            yield Mistake("states swapped", "gradient-states-swapped", "LSTM")
    if half.go_backwards and _reads_inputs(problem, prefix):
        yield Mistake("dx not reversed", "gradient-not-reversed", "inputs")


def _reads_inputs(problem: Problem, prefix: str) -> bool:
    """Return whether the gradient of what the half reads is that of the problem's inputs."""
    return not isinstance(problem.layer, Stack) or prefix.startswith("0/")


def _in_time(problem: Problem, half: Recurrent) -> Iterator[Mistake]:
    steps = problem.inputs.shape[1]
    yield Mistake("detached", "gradient-truncated", "every step", number=1)
    for count in range(2, min(steps, 7)):
        variant = f"every {count} steps"
        yield Mistake("truncated", "gradient-truncated", variant, number=count)
    if half.class_name == "LSTM":
        for index, kept in enumerate(("c", "h")):
            variant = f"LSTM, through {kept} only"
            yield Mistake("one state only", "gradient-truncated", variant, number=index)
    if problem.mask is not None:
        for kind, variant in (
            ("mask leaks", "as if used"),
            ("mask blocks", "stops"),
            ("mask ignored on the way back", "past used steps"),
        ):
            yield Mistake(kind, "masked-gradient", variant)
        if not (half.zero_output_for_mask and half.return_sequences):
            yield Mistake("repeated output lost", "masked-gradient", "repeated output")


def _in_step(half: Recurrent) -> Iterator[Mistake]:
    yield Mistake("no slope", "derivative-missing", "activation", array="act")
    yield Mistake("slope of the result", "derivative-at-output", "activation", array="act")
    if half.class_name == "SimpleRNN":
        return
    yield Mistake("no slope", "derivative-missing", "recurrent activation", array="ract")
    variant = "recurrent activation"
    yield Mistake("slope of the result", "derivative-at-output", variant, array="ract")
    for gate in "ifo" if half.class_name == "LSTM" else "zr":
        variant = f"{half.class_name}, gate {gate}"
        yield Mistake("no gate", "gradient-through-gate-missing", variant, array=gate)
    if half.class_name == "LSTM":
        for where in ("candidate", "output"):
            yield Mistake("no slope", "derivative-missing", f"LSTM, {where}", array=where)
    else:
        for path in ("z*h'", "projection"):
            yield Mistake("no path", "gradient-path-missing", f"GRU, {path}", array=path)


def _in_arrays(half: Recurrent) -> Iterator[Mistake]:
    names = ["kernel", "recurrent_kernel", *(["bias"] if half.use_bias else [])]
    for name in names:
        variant = name.replace("_", " ")
        yield Mistake("no array", "gradient-missing", variant, array=name)
        yield Mistake("array twice", "gradient-doubled", variant, array=name)
        for pair in combinations(range(len(half.cell.gates)), 2):
            gates = " and ".join(half.cell.gates[index] for index in pair)
            variant = f"{half.class_name}, {gates}, {name}"
            first, second = pair
            number = 10 * first + second
            yield Mistake("gates exchanged", "gradient-gates-swapped", variant, NONE, number, name)
    yield Mistake("transposed", "gradient-transposed", "recurrent kernel")
    if half.use_bias and half.bias_rows == 2:
        for variant, number in (("swapped", 10), ("first in both", 0), ("second in both", 11)):
            yield Mistake("bias rows", "gradient-bias-rows", f"GRU, {variant}", number=number)
