"""Find each call of a model in a port, with the port's own inputs.

Each call is computed from tensors that may be its inputs; where a tensor of the port agrees with the
result, both are found, whatever their names. Calls that agree nowhere are looked for between those
that were found before and after them: the one that a known fault explains, or the nearest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, product

from rnnparity.models.calls import Call
from rnnparity.models.port_calls import (
    NEAR,
    Located,
    PortProblem,
    entering,
    explained,
    located_call,
    nearest_call,
    taken,
)
from rnnparity.models.ports.port import Port
from rnnparity.models.sources import Source, source_of
from rnnparity.models.tensor_matching import Finder, Match
from rnnparity.problem.layers import with_return_state
from rnnparity.problem.problem import Problem
from rnnparity.problem.tensor import Tensor
from rnnparity.reference import compute

# Inputs within this relative distance are those of the model.
SAME = 1e-3
# So many tensors are tried as one input of a call, and so many combinations of its inputs.
OPTIONS, COMBINATIONS = 6, 24


def locate(
    calls: Sequence[Call], finder: Finder, same_outputs: bool, port: Port
) -> list[Located | None]:
    """Return where each call is in a port, None where it is not found.

    `same_outputs`: the final outputs of the port are those of the model. Then a tensor that is far
    off is no layer's output: the port does not show that (it may be inside a loop).

    Raises:
        AmbiguousError: several tensors are about as near to the outputs of a call that differs.
    """
    search = _Search(calls, finder, same_outputs, port)
    computed = [index for index, call in enumerate(calls) if call.problem is not None]
    for index in computed:
        search.find_agreeing(index)
    for index in computed:
        known = search.located[index]
        if known is None or known.result.failing:
            search.find_agreeing(index)  # what enters it may have been found since
        if search.located[index] is None:
            search.find_nearest(index)
    return search.located


class _Search:
    """The calls of a model and where those are in a port that have been found so far.

    First the calls whose outputs agree are found, then those that differ between them.
    """

    def __init__(
        self, calls: Sequence[Call], finder: Finder, same_outputs: bool, port: Port
    ) -> None:
        self.calls = calls
        self.finder = finder
        self.same_outputs = same_outputs
        self.port = port
        self.located: list[Located | None] = [None] * len(calls)

    def find_agreeing(self, index: int) -> None:
        """Find a call whose outputs agree, and with it the calls whose outputs are its inputs."""
        for port_problem in islice(self._port_problems(index), COMBINATIONS):
            candidates = self._candidates(index, port_problem)
            if not all(candidates):
                continue
            nearest = [matches[0] for matches in candidates]
            if max(match.distance for match in nearest) > NEAR:
                continue
            located = located_call(port_problem, nearest, self.port.absolute)
            if not located.result.failing:
                self.located[index] = located
                self._confirm_sources(index, port_problem.matches)
                return

    def _confirm_sources(self, index: int, input_matches: Sequence[Match | None]) -> None:
        """Take the inputs of a call that was found as the outputs of the calls that they come from.

        Not where these have tensors by name, nor where the port got the model's own inputs.
        """
        if self.port.isolated:
            return
        for array, match in zip(entering(self._problem(index)), input_matches, strict=True):
            source = source_of(self.calls, index, array)
            if source is None or match is None or self.located[source.call] is not None:
                continue
            port_problem = next(self._port_problems(source.call))
            if self.finder.has(self._keys(source.call, port_problem.problem)):
                continue
            if source.is_first and len(port_problem.problem.output_slots()) == 1:
                self.located[source.call] = located_call(port_problem, [match], self.port.absolute)

    def find_nearest(self, index: int) -> None:
        """Find a call whose outputs differ, between those that were found before and after it."""
        port_problem = next(self._port_problems(index, only_known=True))
        after, before = self._bounds(index)
        for bounds in ((after, before), (after, None), (-1, None)):
            candidates = self._candidates(index, port_problem, *bounds)
            if all(candidates):
                break
        else:
            return
        nearest = [matches[0] for matches in candidates]
        if self.finder.has(self._keys(index, port_problem.problem)):
            self.located[index] = located_call(port_problem, nearest, self.port.absolute)
        elif not self.same_outputs or max(match.distance for match in nearest) <= NEAR:
            call = self.calls[index]
            located = nearest_call(call, port_problem, candidates, self.port.absolute)
            self.located[index] = self._explained(index, port_problem, located)

    def _explained(self, index: int, known: PortProblem, located: Located | None) -> Located | None:
        """Return a call that differs; where a fault explains it only with inputs that were changed, so."""
        found, options = known.matches[0], islice(self._port_problems(index), COMBINATIONS)
        if found is None:
            return located
        changed = [
            problem
            for problem in options
            if (match := problem.matches[0]) is not None and match.index != found.index
        ]
        if not changed:
            return located
        if located and (located.result.explanation or explained(located)):
            return located
        candidates = self._candidates(index, changed[0], found.index)
        if not all(candidates):
            return located
        nearest = [matches[0] for matches in candidates]
        return explained(located_call(changed[0], nearest, self.port.absolute)) or located

    def _bounds(self, index: int) -> tuple[int, int | None]:
        """Return the positions between which the outputs of a call are, by its neighbours."""
        after = self._last_output(index)
        for later in self.located[index + 1 :]:
            if later and later.input_match and later.input_match.index > after:
                return after, later.input_match.index + 1
        return after, None

    def _last_output(self, index: int) -> int:
        """Return the position of the last output that was found of the calls before a call.

        Those are the calls whose outputs enter it, else all earlier ones: a port may run branches
        in another order.
        """
        sources = {source_of(self.calls, index, array) for array in entering(self._problem(index))}
        entered = [self.located[source.call] for source in sources if source is not None]
        outputs = [call.output_match.index for call in entered if call]
        outputs = outputs or [call.output_match.index for call in self.located[:index] if call]
        return max(outputs, default=-1)

    def _candidates(
        self, index: int, port_problem: PortProblem, after: int = -1, before: int | None = None
    ) -> list[list[Match]]:
        """Return the candidates for each output of a call, nearest first."""
        keys = self._keys(index, port_problem.problem)
        return [
            self.finder.candidates(key, tensor.data, after, before)
            for key, tensor in zip(keys, compute(port_problem.problem), strict=True)
        ]

    def _keys(self, index: int, problem: Problem) -> list[str]:
        return [f"{self.calls[index].id}/{slot.name}" for slot in problem.output_slots()]

    def _problem(self, index: int) -> Problem:
        """Return the problem of a call; it returns its states only if the port has them by name."""
        call = self.calls[index]
        assert call.problem is not None  # noqa: S101 - only these are looked for
        layer = with_return_state(call.problem.layer, True)
        with_states = replace(call.problem, layer=layer)
        if self.finder.has(self._keys(index, with_states)):
            return with_states
        return replace(call.problem, layer=with_return_state(layer, False))

    def _port_problems(self, index: int, only_known: bool = False) -> Iterator[PortProblem]:
        """Yield a call's problem with what may be its inputs and states in the port.

        `only_known`: what a call returns that was not found is taken from the model. In the port it
        may be anything, which only an output that agrees would show.
        """
        problem = self._problem(index)
        arrays = entering(problem)
        choices = [self._entering_matches(index, array, only_known) for array in arrays]
        hidden = self._hidden(index, arrays, choices) if only_known else ""
        for matches in product(*choices):
            computed_from = [
                taken(array, match) for array, match in zip(arrays, matches, strict=True)
            ]
            inputs, *states = [tensor for tensor, _ in computed_from]
            changed = replace(problem, inputs=inputs, initial_state=tuple(states) or None)
            printed = tuple(digits for _, digits in computed_from)
            yield PortProblem(changed, matches, printed, hidden, self.same_outputs)

    def _hidden(
        self, index: int, arrays: Sequence[Tensor], choices: Sequence[Sequence[Match | None]]
    ) -> str:
        """Return the first call whose output enters a call, and which the port does not show."""
        for array, matches in zip(arrays, choices, strict=True):
            source = source_of(self.calls, index, array)
            if source is not None and matches[0] is None and self._is_hidden(source):
                return self.calls[source.call].id
        return ""

    def _is_hidden(self, source: Source | None) -> bool:
        """Return whether an array comes from a call that was not found."""
        return source is not None and self.located[source.call] is None

    def _entering_matches(
        self, index: int, array: Tensor, only_known: bool
    ) -> Sequence[Match | None]:
        """Return what may be an input of a call in the port, None for the model's own."""
        source = source_of(self.calls, index, array)
        name = "inputs" if array.name == "inputs" else f"initial_state/{array.name}"
        key = f"{self.calls[index].id}/{name}"
        if source is not None and not self.finder.has([key]):
            earlier = self.located[source.call]
            if earlier is not None and source.is_first:
                found = earlier.output_match
                return [found] if only_known else [found, *self._changed(array, found)]
            call = self.calls[source.call]
            key = f"{call.id}/{call.outputs[source.output].name}"
        matches = self.finder.candidates(key, array.data)
        if matches and matches[0].distance <= SAME:
            return matches[:1]
        if only_known and self._is_hidden(source) and not self.finder.has([key]):
            return [None]
        earlier = None if source is None else self.located[source.call]
        after = earlier.output_match.index if earlier else self._last_output(index)
        return [*self.finder.candidates(key, array.data, after)[:OPTIONS], None]

    def _changed(self, array: Tensor, output: Match) -> list[Match]:
        """Return what a port may have made of a call's output before the next call gets it."""
        found = [] if self.port.by_name else self.finder.candidates("", array.data, output.index)
        return found[:OPTIONS]
