"""How long explanations take: `PYTHONPATH=tests python -m validation.costs` prints CPU seconds.

Nothing of start-up and of reading files is counted; each figure is the least of three.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import process_time

import numpy as np

from rnnparity.catalogue import catalogue
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.finding_search import find
from rnnparity.faults import FAULTS, mutate
from rnnparity.problem.layers import Bidirectional, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.problem.shapes import weight_slots
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.session.processes import one_blas_thread

CASE, FAULT = "lstm-spread-sequences-state-mask_interior", "LSTM iofc (ONNX) in all weights"
# Rows, steps, features and units.
SIZES = {"10,000 values": (10, 20, 8, 50), "100,000 values": (1000, 10, 5, 10)}
LARGE = (16, 2000, 16, 64)


def port_of(problem: Problem, edit: Callable[[np.ndarray], np.ndarray]) -> Problem:
    """Return a problem with its outputs, the first of them edited."""
    first, *others = compute(problem)
    arrays = [edit(first.data), *(tensor.data for tensor in others)]
    pairs = zip(problem.output_slots(), arrays, strict=True)
    return problem.with_outputs([Tensor.of(slot.name, a, "float32") for slot, a in pairs])


def random_layer(shape: tuple[int, int, int, int], **options: bool) -> Problem:
    """Return an LSTM with random weights."""
    batch, steps, features, units = shape
    rng = np.random.default_rng(0)
    spec = {"class_name": "LSTM", "config": {"units": units, "return_sequences": True, **options}}
    sizes = ((features, 4 * units), (units, 4 * units), (4 * units,))
    weights = [rng.uniform(-0.3, 0.3, size).astype(np.float32) for size in sizes]
    inputs = rng.standard_normal((batch, steps, features)).astype(np.float32)
    return Problem.from_arrays(spec, weights, inputs, id="random")


def both_ways(problem: Problem) -> Problem:
    """Return a Bidirectional around the layer of a problem, with its weights in both halves."""
    layer = Bidirectional(problem.layer, replace(problem.layer, go_backwards=True))  # type: ignore[arg-type]
    pairs = zip(weight_slots(layer, problem.inputs.shape[-1]), problem.weights * 2, strict=True)
    weights = tuple(replace(tensor, name=slot.name) for slot, tensor in pairs)
    return replace(problem, layer=layer, weights=weights)


def stacked(problem: Problem) -> Problem:
    """Return a stack of the layer of a problem and one with the same weights, of inputs of its units."""
    layer = problem.layer
    kernel = np.random.default_rng(1).uniform(-0.3, 0.3, problem.weights[1].shape)
    second = (Tensor.of("kernel", kernel, "float32"), *problem.weights[1:])
    stack = Stack((layer, layer))  # type: ignore[arg-type]
    pairs = zip(
        weight_slots(stack, problem.inputs.shape[-1]), problem.weights + second, strict=True
    )
    weights = tuple(replace(tensor, name=slot.name) for slot, tensor in pairs)
    return replace(problem, layer=stack, weights=weights)


def measurements() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is measured and a function that does it."""
    problem = catalogue()[CASE]
    (fault,) = [fault for fault in FAULTS if fault.variant == FAULT]
    (mutant,) = mutate(problem, fault)
    named = replace(problem, outputs=mutant.outputs)
    yield "a named cause, a case of the catalogue", lambda: diagnose(named)
    for name, shape in SIZES.items():
        port = port_of(random_layer(shape), _other_end)
        evidence = Evidence(port, port.outputs or (), expect(port))
        yield f"all findings, {name} of outputs", lambda evidence=evidence: find(evidence)  # type: ignore[misc]
    for name, edit in UNEXPLAINED.items():
        port = port_of(random_layer(LARGE), edit)
        yield f"unexplained, {name}", lambda port=port: diagnose(port)  # type: ignore[misc]
    both = port_of(both_ways(random_layer(LARGE)), _noisy)
    yield "unexplained, noise, in both directions", lambda: diagnose(both)
    two = port_of(stacked(random_layer(LARGE)), _noisy)
    yield "unexplained, noise, in a stack of two", lambda: diagnose(two)
    last = port_of(random_layer(LARGE, return_sequences=False), lambda y: 1.01 * y)
    yield "unexplained, only the last output", lambda: diagnose(last)


def _other_end(y: np.ndarray) -> np.ndarray:
    """Scale the second half of the steps."""
    return y * np.where(np.arange(y.shape[1]) < y.shape[1] // 2, 1, 1.01)[:, None]


def _noisy(y: np.ndarray) -> np.ndarray:
    return y + 1e-3 * np.random.default_rng(0).standard_normal(y.shape)


UNEXPLAINED: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "wrong from the first step on": lambda y: 1.01 * y,
    "wrong from the middle on": _other_end,
    "noise": _noisy,
}


def seconds(function: Callable[[], object]) -> float:
    """Return the least CPU time of three calls."""
    times = []
    for _ in range(3):
        start = process_time()
        function()
        times.append(process_time() - start)
    return min(times)


def main() -> None:
    """Print the rows of the table as JSON."""
    with one_blas_thread():
        for name, function in measurements():
            print(json.dumps([name, f"{seconds(function):.2g}"]), flush=True)


if __name__ == "__main__":
    main()
