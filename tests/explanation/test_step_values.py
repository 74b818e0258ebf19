"""The values at the first mismatch, compared with a trace of the reference."""

from __future__ import annotations

import numpy as np
import pytest
from _support.explanations import lstm, placed, with_faults, with_output, with_reference
from _support.random_problems import BOTH, SEQUENCES, SHAPE, random_problem, spec_of, two_ways

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.reference import trace


def explanation_of(problem):
    return diagnose(problem).explanation


def with_wrong_value(spec, index):
    """A problem whose output is off at one index."""
    problem = with_reference(random_problem(spec, 0, SHAPE))
    wrong = problem.outputs[0].data.copy()
    wrong[index] += 0.5
    return with_output(problem, wrong)


@pytest.mark.parametrize(
    ("spec", "index", "half", "time", "unit"),
    [
        (spec_of("lstm", **SEQUENCES), (1, 2, 3), "", 2, 3),
        (spec_of("gru", go_backwards=True, **SEQUENCES), (1, 1, 0), "", SHAPE[1] - 2, 0),
        (spec_of("gru"), (1, 2), "", SHAPE[1] - 1, 2),
        (two_ways(spec_of("lstm", **SEQUENCES)), (1, 2, 5), "backward/", 2, 1),
        (two_ways(spec_of("lstm")), (1, 6), "backward/", 0, 2),
    ],
)
def test_gates_are_those_of_the_unit_and_the_step(spec, index, half, time, unit):
    problem = with_wrong_value(spec, index)
    (step,) = [step for step in trace(problem) if (step.half, step.time) == (half, time)]
    output, *others = explanation_of(problem).step_values
    assert output.actual == pytest.approx(output.expected + 0.5, abs=1e-6)
    assert output.expected == pytest.approx(step.states["h"][1, unit])
    gates = {value.name: value.expected for value in others if value.name.startswith("gate")}
    candidate = "c" if "i" in step.gates else "h"
    assert gates == {
        f"gate {candidate if gate == 'g' else gate}": array[1, unit]
        for gate, array in step.gates.items()
    }
    assert all(value.actual is None for value in others)


def test_merged_halves_show_the_output_only():
    problem = with_wrong_value(two_ways(spec_of("lstm", **SEQUENCES), merge_mode="sum"), (0, 1, 2))
    assert [value.name for value in explanation_of(problem).step_values] == ["output"]


def test_the_cause_changes_its_gate():
    fault = placed("gate-order: LSTM icfo (TensorFlow 1) in all weights")
    explanation = explanation_of(with_faults(lstm(), fault))
    values = {value.name: value for value in explanation.step_values}
    assert values["output"].with_cause == pytest.approx(values["output"].actual, rel=1e-5)
    changed = {
        name
        for name, value in values.items()
        if name.startswith("gate") and not np.isclose(value.with_cause, value.expected)
    }
    assert changed == {f"gate {gate}" for gate in explanation.first.gates}


def test_states_of_a_wrong_state_are_those_of_the_last_step():
    problem = with_reference(random_problem(spec_of("lstm", **BOTH), 0, SHAPE))
    *others, c = problem.outputs
    wrong = c.data.copy()
    wrong[2, 1] += 0.5
    changed = problem.with_outputs([*others, type(c)(c.name, wrong)])
    output, state, *_ = explanation_of(changed).step_values
    assert (output.name, state.name) == ("c", "c")
    assert output.expected == pytest.approx(state.expected)
