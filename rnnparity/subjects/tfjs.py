"""TensorFlow.js on Node: its own layers, each call of a layer one question to a program.

The package is that of the current folder (`npm install @tensorflow/tfjs`), or of NODE_PATH.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from rnnparity.problem.answer import Answer
from rnnparity.problem.dtypes import Array
from rnnparity.problem.layers import Bidirectional, Recurrent, with_options
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import state_slots
from rnnparity.subjects.adapters import Weights, layer_outputs
from rnnparity.subjects.command import CommandSubject
from rnnparity.subjects.declarations import MissingFrameworkError, Registration

NAME = "tfjs"
PROGRAM = Path(__file__).parent / "programs" / "tfjs.mjs"
INSTALL = "install Node.js 18 or newer, and run npm install @tensorflow/tfjs in this folder"


class TensorFlowJs:
    """A running program that computes one layer at a time."""

    def __init__(self, node: str, versions: dict[str, str]) -> None:
        self._program = CommandSubject([node, str(PROGRAM)])
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
    node = shutil.which("node")
    if node is None:
        raise MissingFrameworkError(NAME, f"node is missing; {INSTALL}")
    command = [node, str(PROGRAM), "--versions"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a program of this package
    if ran.returncode != 0:
        raise MissingFrameworkError(NAME, f"package @tensorflow/tfjs is missing; {INSTALL}")
    return TensorFlowJs(node, json.loads(ran.stdout))


SUBJECTS = (Registration(NAME, make, "TensorFlow.js on Node, its own layers", rank=90),)
