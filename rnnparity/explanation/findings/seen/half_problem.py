"""Halves whose outputs are visible, each as a problem of its own in the order of processing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnparity.explanation.cut import Cuts
from rnnparity.explanation.evidence import Evidence
from rnnparity.explanation.findings.seen.sequences import used_steps
from rnnparity.explanation.findings.seen.stacks import lower_problem
from rnnparity.explanation.findings.seen.view import Output, View
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.layers import Bidirectional, Recurrent, Stack, halves
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute, compute_with_noise

BACKWARD = "backward"
# Steps before the first that differs and after it that show most.
BEFORE, AFTER = 8, 40


@dataclass(frozen=True)
class HalfProblem:
    """One half: a `Recurrent` that reads forward, and what is seen of it in processing order.

    The inputs (B, T, D) are those that the layers below give, with `input_sigmas` as their noise
    (None: they are exact). `view` has the output, (B, T, H) or (B, H), and the states, (B, H) each,
    where they are returned. `reversed_time`: step t is at T - 1 - t of the problem's output.
    `left_out` is how many steps before and after these were left out.
    """

    problem: Problem
    view: View
    input_sigmas: Array | None = None
    reversed_time: bool = False
    left_out: tuple[int, int] = (0, 0)

    @property
    def layer(self) -> Recurrent:
        assert isinstance(self.problem.layer, Recurrent)  # noqa: S101 - a half is one
        return self.problem.layer

    @property
    def sequence(self) -> Output | None:
        """The output where it has an axis T, else None."""
        first = self.view.outputs[0]
        return first if first.has_time else None

    @property
    def used(self) -> Array:
        """Which steps count: (B, T)."""
        return used_steps(self.problem)

    @property
    def used_rows(self) -> Array:
        """Which rows have a step that counts: (B,)."""
        return np.array(self.used.any(axis=1))

    @property
    def varies_before_first_step(self) -> bool:
        """Whether the output differs between masked steps that come before any other.

        Whatever is returned there, nothing was computed yet: the mask is not what was used.
        """
        if self.sequence is None:
            return False
        before = self.all_units(np.cumsum(self.used, axis=1) == 0)
        actual = self.sequence.actual
        far = np.abs(actual - actual[:, :1]) > self.sequence.allowed
        return bool(far[before].any())

    @property
    def masked_steps_vary(self) -> bool:
        """Whether a masked step returns neither what the step before it did, nor zeros, as Keras does.

        Then what the outputs show of the other steps is not what was computed there.
        """
        sequence = self.sequence
        if sequence is None or self.layer.zero_output_for_mask:
            return False
        later = self.all_units(~self.used & (np.cumsum(self.used, axis=1) > 0))[:, 1:]
        actual = sequence.actual
        far = np.abs(actual[:, 1:] - actual[:, :-1]) > sequence.allowed[:, :-1]
        return bool(far[later].any())

    def all_units(self, where: Array) -> Array:
        """Return (B, T) or (B,) as an array with the axis of the units."""
        units = self.layer.units
        return np.broadcast_to(where.reshape(*where.shape, 1), (*where.shape, units))

    def step_indices(self, steps: Sequence[int]) -> tuple[int, ...]:
        """Return steps in processing order as indices into axis T of the output, sorted."""
        before, after = self.left_out
        last = self.problem.inputs.shape[1] - 1 + after
        return tuple(sorted(last - step if self.reversed_time else step + before for step in steps))


def first_steps(half: HalfProblem) -> HalfProblem:
    """Return a half on the steps around its first difference; its last states are not looked at."""
    sequence = half.sequence
    if sequence is None:
        return half
    differing = np.flatnonzero(sequence.differing.any(axis=(0, 2)))
    if not len(differing):
        return half
    first, total = int(differing[0]), half.problem.inputs.shape[1]
    used = np.flatnonzero(half.used[:, : max(first - BEFORE, 0) + 1].all(axis=0))
    start = int(used[-1]) if len(used) and first > BEFORE else 0
    stop = min(total, first + AFTER)
    problem = replace(half.problem, layer=replace(half.layer, return_state=False))
    kept = (slice(None), slice(start, stop))
    return replace(
        half,
        problem=Cuts(problem).to(start, stop),
        view=replace(half.view, outputs=(sequence.part(kept),)),
        input_sigmas=None if half.input_sigmas is None else half.input_sigmas[kept],
        left_out=(start, total - stop),
    )


def visible_halves(evidence: Evidence) -> list[HalfProblem]:
    """Return the halves of the last layer whose outputs are seen, none where they are merged."""
    _, last, _ = _split(evidence.problem.layer)
    return _half_problems(evidence, _outputs_by_half(evidence, last))


def merged_halves(evidence: Evidence) -> list[HalfProblem]:
    """Return the two halves of a Bidirectional that merges them, with the expected output as the actual."""
    found = []
    for half in _half_problems(evidence, [(), ()]):
        layer = replace(half.layer, return_state=False)
        problem = replace(half.problem, layer=layer)
        expected = compute(problem)[0].data
        output = Output("output", expected, expected, np.zeros_like(expected))
        view = replace(half.view, outputs=(output,))
        found.append(replace(half, problem=problem, view=view))
    return found


def _half_problems(evidence: Evidence, by_half: Sequence[tuple[Output, ...]]) -> list[HalfProblem]:
    """Return the halves of the last layer with what is seen of each, none in calls that reverse."""
    problem = evidence.problem
    inside = [half for _, half in halves(problem.layer)]
    if not by_half or (
        problem.calls is not None
        and not all(half.stateful and not half.go_backwards for half in inside)
    ):
        return []
    below, last, prefix = _split(problem.layer)
    inputs, sigmas = problem.inputs.data.astype(np.float64), None
    if below is not None:
        inputs, sigmas = _inputs_from(problem, below)
    found = []
    for (name, half), outputs in zip(halves(last), by_half, strict=False):
        order = slice(None, None, -1 if half.go_backwards else 1)
        found.append(
            HalfProblem(
                _alone(problem, f"{prefix}{name}", half, inputs, len(outputs) > 1),
                View(f"{prefix}{name}", outputs, evidence.noise.threshold),
                None if sigmas is None else sigmas[:, order],
                name == f"{BACKWARD}/",
            )
        )
    return found


_Layer = Recurrent | Bidirectional


def _split(layer: _Layer | Stack) -> tuple[tuple[_Layer, ...] | None, _Layer, str]:
    """Return the layers below the last one, if there are any, the last one, and its prefix."""
    if not isinstance(layer, Stack):
        return None, layer, ""
    *below, last = layer.layers
    return tuple(below) or None, last, f"{len(below)}/"


def _inputs_from(problem: Problem, below: tuple[_Layer, ...]) -> tuple[Array, Array]:
    """Return the expected output of the layers below, (B, T, D), and its noise."""
    noisy = compute_with_noise(lower_problem(problem, below))
    return noisy.outputs[0].data, noisy.sigmas[0]


def view_of(evidence: Evidence) -> View:
    """Return what is seen of the whole layer."""
    noise = evidence.noise
    outputs = []
    for tensor, expected, sigma in zip(
        evidence.actual, evidence.expected_arrays, noise.floors, strict=True
    ):
        dtype = FLOAT_TYPES[tensor.dtype]
        rounding = dtype.u * np.abs(expected) + dtype.tiny
        allowed = np.maximum(noise.threshold * sigma, rounding)
        outputs.append(Output(tensor.name, tensor.data.astype(np.float64), expected, allowed))
    return View("", tuple(outputs), noise.threshold)


def _outputs_by_half(evidence: Evidence, last: _Layer) -> list[tuple[Output, ...]]:
    """Return the outputs of each half; none where the halves are merged into one value."""
    outputs = view_of(evidence).outputs
    if isinstance(last, Recurrent):
        return [outputs]
    if last.merge_mode is None:
        first, second, *states = outputs
    elif last.merge_mode == "concat":
        merged, *states = outputs
        units = slice(last.forward.units), slice(last.forward.units, None)
        first, second = (merged.part((..., columns)) for columns in units)
    else:
        return []
    if second.has_time:
        second = second.part((slice(None), slice(None, None, -1)))
    count = len(last.forward.states) if states else 0
    return [(first, *states[:count]), (second, *states[count:])]


def _states_of(problem: Problem, prefix: str) -> tuple[Array, ...] | None:
    """Return the initial states of a half."""
    if problem.initial_state is None:
        return None
    tensors = iter(problem.initial_state)
    for name, half in halves(problem.layer):
        states = tuple(next(tensors).data for _ in half.states)
        if name == prefix:
            return states
    return None


def _alone(
    problem: Problem, prefix: str, half: Recurrent, inputs: Array, return_state: bool
) -> Problem:
    """Return the problem of one half that reads forward; `inputs` are in the order of time."""
    order = slice(None, None, -1 if half.go_backwards else 1)
    layer = replace(half, go_backwards=False, stateful=False, return_state=return_state)
    dtype = "float64" if half.compute_dtype == "float64" else "float32"
    arrays, states = _states_of(problem, prefix), None
    if arrays is not None:
        pairs = zip(layer.states, arrays, strict=True)
        states = tuple(Tensor.of(name, array, dtype) for name, array in pairs)
    mask = None if problem.mask is None else problem.mask[:, order]
    return Problem(
        layer, problem.half_weights(prefix), Tensor.of("inputs", inputs[:, order], dtype), mask, states,
        id=problem.id,
    )  # fmt: skip
