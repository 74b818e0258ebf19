"""Activations that are read from a table are found, with its step, its ends and its gates."""

import numpy as np
import pytest
from _support.random_problems import (
    SEQUENCES,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)
from validation.off_list import cells
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import FindingType, Table, accounts_for_values
from rnnparity.report.text.findings import finding_text

FUNCTIONS = dict(cells.FUNCTIONS)


def table(function, step, end, kind):
    """Return a function that reads the values of another one from a table in float32."""
    count = round(2 * end / step) + 1
    entries = function((np.arange(count) * step - end).astype(np.float32)).astype(np.float32)

    def read(x):
        index = (np.clip(x, -end, end) + end) / step
        if kind is Table.NEAREST:
            return entries[np.rint(index).astype(int)]
        below = np.minimum(np.floor(index).astype(int), count - 2)
        if kind is Table.BELOW:
            return entries[below]
        share = (index - below).astype(np.float32)
        return entries[below] * (1 - share) + entries[below + 1] * share

    return read


def found(monkeypatch, problem, step, end, kind, names=("sigmoid", "tanh")):
    """Return the activations that are found in the outputs of cells with tables."""
    tables = {name: table(FUNCTIONS[name], step, end, kind) for name in names}
    monkeypatch.setattr(cells, "FUNCTIONS", FUNCTIONS | tables)
    explanation = diagnose(with_arrays(problem, cells.run(problem))).explanation
    return [each for each in explanation.findings if accounts_for_values(each)]


LAYERS = {
    "lstm": (spec_of("lstm", **SEQUENCES), "ifco"),
    "rnn": (spec_of("simple_rnn", **SEQUENCES), "h"),
    "backwards": (spec_of("gru", **SEQUENCES, go_backwards=True), "zrh"),
    "last output": (spec_of("gru"), "zrh"),
    "two ways": (two_ways(spec_of("gru", **SEQUENCES)), "zrh"),
    "stack": (stack_of(spec_of("lstm", **SEQUENCES), spec_of("gru", **SEQUENCES)), "zrh"),
}


@pytest.mark.parametrize("kind", [Table.NEAREST, Table.BELOW, Table.INTERPOLATED])
@pytest.mark.parametrize("name", LAYERS)
def test_step_of_a_table_is_found(monkeypatch, name, kind):
    layer, gates = LAYERS[name]
    problem = random_problem(layer, 0, (3, 6, 4))
    step = 1 / 16 if kind is Table.INTERPOLATED else 1 / 64
    (finding,) = found(monkeypatch, problem, step, 8, kind)
    assert (finding.type, finding.name, finding.value) == (FindingType.ACTIVATION, kind, step)
    assert finding.block.gate == gates


@pytest.mark.parametrize(("function", "gates"), [("sigmoid", "ifo"), ("tanh", "c")])
def test_gates_that_read_a_table_are_found(monkeypatch, function, gates):
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, (3, 6, 4))
    (finding,) = found(monkeypatch, problem, 1 / 64, 8, Table.NEAREST, (function,))
    assert finding.block.gate == gates


def test_ends_of_a_table_are_stated_where_values_lie_beyond():
    text = "the activation of gates i, f, o is a table of 1/64 steps"
    small = random_problem(spec_of("lstm", **SEQUENCES), 0, (3, 6, 4))
    large = random_problem(spec_of("lstm", **SEQUENCES), 0, (3, 6, 4), scale=4)
    for problem, ends in ((small, ""), (large, " between -8 and 8")):
        with pytest.MonkeyPatch.context() as monkeypatch:
            (finding,) = found(monkeypatch, problem, 1 / 64, 8, Table.NEAREST, ("sigmoid",))
        assert finding_text(finding) == f"{text}{ends}: the nearest entry is used"


def test_number_of_entries_is_found(monkeypatch):
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, (3, 6, 4))
    (finding,) = found(monkeypatch, problem, 16 / 1023, 8, Table.NEAREST)
    assert (finding.value, finding.numbers) == (16 / 1023, (8,))
    assert "a table of 0.0156403 steps between -8 and 8" in finding_text(finding)


def test_long_sequence_is_tried_on_its_first_steps(monkeypatch):
    problem = random_problem(spec_of("lstm", **SEQUENCES), 0, (4, 60, 4))
    (finding,) = found(monkeypatch, problem, 1 / 64, 8, Table.NEAREST)
    assert finding.value == 1 / 64


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2])
def test_errors_of_that_size_are_no_table(size):
    problem = random_problem(spec_of("gru", **SEQUENCES), 0, (3, 6, 4))
    (output,) = cells.run(problem)
    wrong = output + (size * np.random.default_rng(0).standard_normal(output.shape)).astype("f4")
    findings = diagnose(with_arrays(problem, [wrong])).explanation.findings
    assert not any(map(accounts_for_values, findings))
