"""What a mistake is, and the problems in which it can be made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding, FindingType
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem, Tensor
from validation.mistakes.port import Port, returning
from validation.off_list.cells import run
from validation.off_list.draw import draw_problem

# An implementation, drawn for a problem: numbers in it are random.
Maker = Callable[[Problem, np.random.Generator], Callable[[Problem], list[Array]]]
Applies = Callable[[Problem], bool]
# A finding that states a mistake: its type, its name or the weights that it is about ("": any) and,
# where it counts, its value.
Implementation = Callable[[Problem], list[Array]]
Stated = tuple[FindingType, str] | tuple[FindingType, str, float]


@dataclass(frozen=True)
class Mistake:
    """A mistake, and what states it. `sequences` is None where it can be made with and without them.

    `cause` is the listed cause that it is, where it is one.
    """

    name: str
    stated_by: tuple[Stated, ...]
    make: Maker
    applies: Applies = lambda problem: True
    sequences: bool | None = None
    source: str = ""
    calls: bool = False
    cause: str = ""

    def is_stated_by(self, finding: Finding) -> bool:
        """Return whether the words of a finding name this mistake."""
        block = finding.block.weights.rpartition("/")[2] if finding.block else ""
        return any(
            finding.type is type_
            and name in ("", finding.name, block)
            and value in ([], [finding.value])
            for type_, name, *value in self.stated_by
        )

    def draw(self, seed: int) -> tuple[Problem, Callable[[Problem], list[Array]]]:
        """Return a problem and an implementation with this mistake; odd seeds have the last output only."""
        rng = np.random.default_rng(seed)
        while True:
            problem = draw_problem(rng, f"{self.name.replace(' ', '-')}-{seed}")
            if self.calls:
                problem = _in_calls(problem, rng)
            sequences = seed % 2 == 0 if self.sequences is None else self.sequences
            layer = returning(problem.layer, sequences=sequences)
            problem = replace(problem, layer=layer, id=problem.id)
            if self.applies(problem):
                return problem, self.make(problem, rng)


def _in_calls(problem: Problem, rng: np.random.Generator) -> Problem:
    """Return a problem of a stateful layer in two or three calls."""
    total = problem.inputs.shape[1]
    ends = np.sort(rng.choice(np.arange(1, total), min(2, total - 1), replace=False))
    calls = np.diff([0, *ends.tolist(), total]).tolist()
    return replace(problem, layer=stateful(problem.layer), calls=tuple(calls))


def stateful(layer: Layer) -> Layer:
    """Return a layer that keeps its states from call to call."""
    match layer:
        case Recurrent():
            return replace(layer, stateful=True)
        case Bidirectional():
            forward, backward = (
                replace(half, stateful=True) for half in (layer.forward, layer.backward)
            )
            return replace(layer, forward=forward, backward=backward)
        case Stack():
            return replace(layer, layers=tuple(map(stateful, layer.layers)))


def port(**hooks: object) -> Maker:
    """Return the maker of a port; its mistake is in every half, or in the last one of a problem."""

    def make(problem: Problem, rng: np.random.Generator) -> Port:
        where = "every half" if rng.random() < 2 / 3 else "the last half"
        return Port(halves=where, **hooks)

    return make


def on_inputs(edit: Callable[[Array], Array]) -> Maker:
    """Return the maker of an implementation that changes its inputs first."""

    def make(problem: Problem, rng: np.random.Generator) -> Callable[[Problem], list[Array]]:
        def implementation(problem: Problem) -> list[Array]:
            inputs = np.ascontiguousarray(edit(problem.inputs.data)).astype(np.float32)
            mask = problem.mask
            if mask is not None and inputs.shape[1] != mask.shape[1]:
                raise ValueError
            return run(replace(problem, inputs=Tensor.of("inputs", inputs), mask=mask))

        return implementation

    return make


def on_output(edit: Callable[[Array, Problem], Array]) -> Maker:
    """Return the maker of an implementation that changes its output afterwards."""
    return lambda problem, rng: output_edit(edit)


def output_edit(edit: Callable[[Array, Problem], Array]) -> Callable[[Problem], list[Array]]:
    """Return an implementation that changes its output afterwards."""

    def implementation(problem: Problem) -> list[Array]:
        output, *others = run(problem)
        return [edit(output, problem).astype(np.float32), *others]

    return implementation


def one_output(problem: Problem) -> bool:
    """Return whether the halves are not returned apart."""
    return problem.output_slots()[0].name == "output"


def masked(problem: Problem) -> bool:
    """Return whether some step is masked."""
    return problem.mask is not None and not problem.mask.all()


def all_lstm(problem: Problem) -> bool:
    return all(half.class_name == "LSTM" for _, half in halves(problem.layer))


def is_stack(problem: Problem) -> bool:
    return isinstance(problem.layer, Stack)


def is_two_ways(problem: Problem) -> bool:
    return isinstance(problem.layer, Bidirectional)


def width(problem: Problem) -> int:
    """Return how many numbers a step of the output has."""
    return int(problem.output_slots()[0].shape[-1] or 0)


def feeds_itself(problem: Problem) -> bool:
    """Return whether every half has as many units as features."""
    features = problem.inputs.shape[-1]
    return not is_stack(problem) and all(
        half.units == features for _, half in halves(problem.layer)
    )
