"""Situations from public reports, each with random numbers: the answer is stated as facts.

The implementations are plain float32 cells, changed as the reports describe it.
"""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of, two_ways
from validation.off_list.cells import AS_KERAS, Arrays, Half, run, run_half
from validation.off_list.changes import Change, ChangedImplementation, Kind
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import BlockChange, Finding, FindingType, WeightBlock
from rnnparity.problem.verdicts import Verdict

KINDS = ["lstm", "gru", "gru_before", "simple_rnn"]
STATES = {"return_sequences": True, "return_state": True}
SHAPES = {0: (2, 6, 3), 1: (4, 9, 5), 2: (3, 7, 4)}


def problem_of(kind, seed, config=SEQUENCES, **options):
    units = 3 + seed
    return random_problem(spec_of(kind, units, **config), seed, SHAPES[seed % 3], **options)


def explain_arrays(problem, arrays):
    return diagnose(with_arrays(problem, arrays)).explanation


def explain_change(problem, kind, finding):
    """Explain the outputs of cells with a change."""
    return explain_arrays(problem, ChangedImplementation(Change(kind, finding))(problem))


def has(explanation, finding_type, **fields):
    """Return whether there is a certain finding with these fields."""
    return any(
        finding.certain and all(getattr(finding, name) == fields[name] for name in fields)
        for finding in explanation.findings
        if finding.type is finding_type
    )


def causes(explanation):
    return set(explanation.cause.names) if explanation.cause else set()


@pytest.mark.parametrize("config", [SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 3), (2, 5), (4, 5)])
def test_part_of_the_steps_is_named_and_correct(kind, config, first, last):
    problem = problem_of(kind, 0, config)
    numbers = tuple(range(first, last + 1))
    finding = Finding(FindingType.STEPS_MISSING, numbers=numbers)
    explanation = explain_change(problem, Kind.PART, finding)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.STEPS_MISSING, numbers=numbers)
    assert explanation.accounted
    assert not causes(explanation)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 4])
def test_first_steps_are_named_where_the_time_axis_comes_first(kind, count):
    problem = problem_of(kind, 1)
    arrays = [array[:, :count].swapaxes(0, 1) for array in run(problem)]
    explanation = explain_arrays(problem, arrays)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.STEPS_MISSING, numbers=tuple(range(count)))


@pytest.mark.parametrize("config", [{}, SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
def test_order_of_permuted_rows_is_named(kind, config):
    problem = problem_of(kind, 1, config, mask=["1" * n + "0" * (9 - n) for n in (4, 9, 2, 7)])
    finding = Finding(FindingType.ROWS_PERMUTED, numbers=(1, 3, 0, 2))
    explanation = explain_change(problem, Kind.ROWS, finding)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.ROWS_PERMUTED, numbers=(1, 3, 0, 2))


@pytest.mark.parametrize("config", [{}, SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [(1, 2, 3), (2,)])
def test_rows_of_zeros_are_named(kind, config, rows):
    problem = problem_of(kind, 1, config)
    explanation = explain_change(problem, Kind.ZERO, Finding(FindingType.ZERO, "row", rows))
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.ZERO, name="row", numbers=rows)


@pytest.mark.parametrize("config", [SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 3, -1, -2])
def test_late_and_early_sequences_are_named(kind, config, steps):
    problem = problem_of(kind, 2, config)
    finding = Finding(FindingType.TIME_SHIFTED, "output", (steps,))
    explanation = explain_change(problem, Kind.SHIFTED, finding)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.TIME_SHIFTED, numbers=(steps,))


@pytest.mark.parametrize("config", [SEQUENCES, STATES, {}])
@pytest.mark.parametrize("seed", range(3))
def test_cell_state_returned_as_output_is_named(config, seed):
    problem = problem_of("lstm", seed, config)
    finding = Finding(FindingType.OTHER_QUANTITY, "c")
    explanation = explain_change(problem, Kind.RETURNED, finding)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.OTHER_QUANTITY, name="c")


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("config", [SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_all_start_from_the_initial_state_are_named(kind, config, initial):
    problem = problem_of(kind, 2, config, initial=initial)
    finding = Finding(FindingType.RESTARTS_EVERY_STEP)
    explanation = explain_change(problem, Kind.RESTARTS, finding)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.RESTARTS_EVERY_STEP) or causes(explanation)


@pytest.mark.parametrize("config", [SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scale", "zero_point"), [(0.0078, 0), (0.0091, -3), (0.0123, 11)])
def test_scale_and_zero_point_of_raw_int8_are_named(kind, config, scale, zero_point):
    problem = problem_of(kind, 1, config)
    finding = Finding(FindingType.QUANTIZED, numbers=(zero_point,), value=scale)
    explanation = explain_change(problem, Kind.RAW, finding)
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.QUANTIZED, numbers=(zero_point,))
    found = [f.value for f in explanation.findings if f.type is FindingType.QUANTIZED]
    assert found[0] == pytest.approx(scale, rel=0.01)
    assert found == pytest.approx([scale] * len(found), rel=0.05)  # fewer values of the states


@pytest.mark.parametrize("config", [{}, SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decimals", [3, 4, 5])
def test_correct_numbers_that_were_printed_agree(kind, config, decimals):
    problem = problem_of(kind, 2, config)
    finding = Finding(FindingType.PRINTED_DIGITS, "decimals", (decimals,))
    explanation = explain_change(problem, Kind.DIGITS, finding)
    assert explanation.verdict is Verdict.AGREES
    assert has(explanation, FindingType.PRINTED_DIGITS, name="decimals", numbers=(decimals,))


@pytest.mark.parametrize("config", [{}, SEQUENCES, STATES])
@pytest.mark.parametrize("row", [0, 1])
def test_bias_row_used_twice_is_named(config, row):
    problem = problem_of("gru", 1, config)
    kernel, recurrent_kernel, bias = problem.weights
    # Trained rows are nearly equal.
    near = bias.data[0] + 0.02 * (bias.data[1] - bias.data[0])
    bias = replace(bias, data=np.stack([bias.data[0], near]))
    twice = replace(bias, data=bias.data[[row, row]])
    weights = (kernel, recurrent_kernel)
    problem = replace(problem, weights=(*weights, bias))
    explanation = explain_arrays(problem, run(replace(problem, weights=(*weights, twice))))
    assert explanation.verdict is Verdict.DIVERGES
    assert causes(explanation) == {"bias-row-repeated"}


GATES = [("lstm", gate, None) for gate in "ifco"]
GATES += [("gru", "h", row) for row in range(2)] + [("gru_before", gate, None) for gate in "zrh"]


@pytest.mark.parametrize("config", [SEQUENCES, STATES])
@pytest.mark.parametrize(("kind", "gate", "row"), GATES)
def test_missing_bias_of_one_gate_is_named(kind, gate, row, config):
    problem = problem_of(kind, 1, config)
    block = WeightBlock("bias", gate, row)
    finding = Finding(FindingType.BLOCK, block=block, change=BlockChange.MISSING)
    explanation = explain_change(problem, Kind.BLOCK, finding)
    assert explanation.verdict is Verdict.DIVERGES
    listed = {fault.variant for fault in explanation.cause.faults}
    in_row = "" if row is None else f"row {row}, "
    assert listed == {f"{problem.layer.class_name}, {in_row}gate {gate}"} or has(
        explanation, FindingType.BLOCK, block=block, change=BlockChange.MISSING
    )


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_bias_that_is_missing_in_the_first_step_is_named(seed, initial):
    problem = problem_of("gru", seed, initial=initial)
    explanation = explain_arrays(problem, _first_step_without_recurrent_bias(problem))
    assert explanation.verdict is Verdict.DIVERGES
    assert has(explanation, FindingType.STEP_FOLLOWS, numbers=(0,))
    assert has(
        explanation,
        FindingType.BLOCK,
        block=WeightBlock("bias", "h", 1),
        change=BlockChange.MISSING,
        numbers=(0,),
    )


def _first_step_without_recurrent_bias(problem):
    """Run the first step without the recurrent bias of the candidate, all others with it."""
    arrays = Arrays(problem)
    half = arrays.half(problem.layer, AS_KERAS)
    bias = half.bias.copy()
    half.columns(bias[1], "h")[:] = 0
    x, states = problem.inputs.data, arrays.first_states(problem.layer)
    mask = np.ones(x.shape[:2], bool)
    first, (h,) = run_half(replace(half, bias=bias), x[:, :1], mask[:, :1], states, False)
    rest, _ = run_half(half, x[:, 1:], mask[:, 1:], {"h": h}, False)
    return [np.concatenate([first, rest], axis=1)]


class HalfInTF32(Half):
    """A half whose products round their operands to fewer bits; the bias is added in float32."""

    dropped = 13  # of the 23 explicit bits of fraction

    def from_input(self, x, gate):
        columns = self.columns(self.kernel, gate)
        return self.coarse(x) @ self.coarse(columns) + self.columns(self.bias[0], gate)

    def from_state(self, h, gate):
        columns = self.columns(self.recurrent_kernel, gate)
        product = self.coarse(h) @ self.coarse(columns)
        return product + self.columns(self.bias[1], gate) if len(self.bias) == 2 else product

    def coarse(self, values):
        """Return the nearest numbers with fewer bits of fraction, ties to even."""
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        half = (1 << (self.dropped - 1)) - 1
        bits = (bits + half + ((bits >> self.dropped) & 1)) >> self.dropped << self.dropped
        return bits.astype(np.uint32).view(np.float32)


class HalfWithBfloat16Products(HalfInTF32):
    dropped = 16


@pytest.mark.parametrize("config", [SEQUENCES, STATES])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("half", "variant"),
    [(HalfInTF32, "TF32"), (HalfWithBfloat16Products, "bfloat16 products")],
)
def test_coarse_products_are_low_precision(half, variant, kind, config, monkeypatch):
    problem = problem_of(kind, 2, config)
    monkeypatch.setattr("validation.off_list.cells.Half", half)
    explanation = explain_arrays(problem, run(problem))
    assert explanation.verdict is Verdict.DIVERGES
    assert causes(explanation) == {"low-precision"}
    assert explanation.cause.faults[0].variant == variant
    assert explanation.cause.unambiguous


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_backward_half_not_reversed_with_masked_outputs_held_is_a_pair(kind, scale):
    spec = two_ways(spec_of(kind, 6, **SEQUENCES))
    mask = ["1" * n + "0" * (10 - n) for n in (10, 4, 7, 9, 3, 6, 8, 5)]
    problem = random_problem(spec, 5, (8, 10, 8), scale=scale, mask=mask)
    explanation = explain_arrays(problem, _not_reversed_and_held(problem))
    assert explanation.verdict is Verdict.DIVERGES
    assert causes(explanation) == {"reverse-output-order", "masked-output"}


def _not_reversed_and_held(problem):
    arrays, layer = Arrays(problem), problem.layer
    sequences = []
    for recurrent in (layer.forward, layer.backward):
        half = arrays.half(recurrent, AS_KERAS)
        states = arrays.first_states(recurrent)
        sequence, _ = run_half(half, problem.inputs.data, problem.mask, states, zeros=False)
        sequences.append(sequence)
    return [np.concatenate(sequences, axis=-1)]
