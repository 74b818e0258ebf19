"""TensorFlow.js on Node: its own layers, each call of a layer one question to a program.

The package is that of the current folder (`npm install @tensorflow/tfjs`), or of NODE_PATH.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent, with_options
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.subjects.adapters import Weights, layer_outputs
from rnnparity.subjects.command import CommandSubject
from rnnparity.subjects.declarations import LayerScript, Registration
from rnnparity.subjects.node_programs import node_program

NAME = "tfjs"


class TensorFlowJs:
    """A running program that computes one layer at a time."""

    def __init__(self, command: Sequence[str], versions: dict[str, str]) -> None:
        self._program = CommandSubject(command)
        self._versions = versions

    def versions(self) -> dict[str, str]:
        return self._versions

    def answer(self, problem: Problem) -> Answer:
        start = perf_counter()
        outputs = layer_outputs(problem, self._layer)
        return Answer(outputs, seconds=perf_counter() - start)

    def close(self) -> None:
        self._program.close()

    def _layer(
        self,
        layer: Recurrent | Bidirectional,
        weights: Weights,
        x: Array,
        mask: Array | None,
        states: Sequence[Array],
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        """Return a layer's outputs without states, and its last states."""
        slots = state_slots(layer, len(x))
        # Zeros are what it starts from by itself.
        initial = [Tensor(slot.name, state) for slot, state in zip(slots, states, strict=True)]
        question = Problem(
            layer=with_options(layer, return_state=True, stateful=False),
            weights=tuple(Tensor(name, array) for name, array in weights.items()),
            inputs=Tensor("inputs", x),
            mask=mask,
            initial_state=tuple(initial) if any(state.any() for state in states) else None,
            id="layer",
        )
        arrays = [tensor.data for tensor in self._program.answer(question).outputs]
        return arrays[: -len(slots)], arrays[-len(slots) :]


def make() -> TensorFlowJs:
    """Return the subject.

    Raises:
        MissingFrameworkError: Node or the package is missing.
    """
    return TensorFlowJs(*node_program(NAME, "tfjs.mjs", "@tensorflow/tfjs"))


SUBJECTS = (
    Registration(
        NAME,
        make,
        "TensorFlow.js on Node, its own layers",
        rank=90,
        script=LayerScript("TensorFlow.js", "reproduce_tfjs.mjs.j2", "reproduce.mjs"),
    ),
)
