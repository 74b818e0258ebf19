"""Explanations: the fault that was made is the one that is named, and where none fits nobody is
accused."""

import json
import random

import numpy as np
import pytest
from _support.command_line import here
from _support.random_problems import BOTH, SEQUENCES, SHAPE, random_problem, spec_of

from rnnparity.catalogue import catalogue
from rnnparity.explanation.explain import UNEXPLAINED, explain
from rnnparity.faults import FAULTS, mutants, mutate
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem import file_format as wire
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import FaultId
from rnnparity.report.explanation_text import as_json, text

__all__ = ["here"]

CASE = "lstm-spread-sequences-state-mask_interior"


def given(problem, outputs):
    """The problem with somebody's outputs, in the layer's own type."""
    return problem.with_outputs(
        [Tensor.of(t.name, t.data, problem.threshold_type) for t in outputs]
    )


def right(problem):
    return problem.with_outputs(golden_outputs(problem))


def fault(cause, which=""):
    (found,) = [f for f in FAULTS if f.cause == cause and which in f.variant]
    return found


@pytest.mark.parametrize(
    "case",
    [
        CASE,
        "gru-spread-sequences-state-mask_interior-initial",
        "simple_rnn-spread-last",
        "bi_gru-spread-concat-sequences-mask_row",
        "lstm-spread-last",
    ],
)
def test_the_fault_that_was_made_is_named(case):
    """A dozen at random of each case: what can be seen has its name, or is told beside what gives
    the same."""
    problem = catalogue()[case]
    made = list(mutants(problem))
    for mutant in random.Random(case).sample(made, min(12, len(made))):
        told = explain(given(problem, mutant.outputs))
        if told.verdict == "agrees":
            assert mutant.faults[0] in told.blind_to
        else:
            assert told.fault is not None, mutant.name
            assert mutant.name in (told.fault.name, *told.also_fits)
            assert told.after <= 10 < told.before
            assert (
                told.tried > len(told.also_fits) or not told.tried
            )  # by shapes alone, nothing had to be tried


def test_what_is_right_agrees():
    for case in list(catalogue())[::150]:
        told = explain(right(catalogue()[case]))
        assert (told.verdict != "diverges", told.cause, told.differences) == (True, None, ())


def test_what_no_fault_gives_is_unexplained_and_located():
    problem = right(catalogue()[CASE])
    first, *others = problem.outputs
    wrong = first.data.copy()
    wrong[1, 2:, 0] += 0.01
    told = explain(given(problem, [Tensor("output", wrong), *others]))
    assert (told.verdict, told.cause, told.fault) == ("diverges", UNEXPLAINED, None)
    assert told.first == {"output": "output", "row": 1, "step": 2, "unit": 0}
    assert told.tried > 100
    assert f"cause: unexplained; none of {told.tried} hypotheses gives these outputs" in text(told)


def test_two_faults_at_once_are_no_single_one():
    problem = random_problem(spec_of("lstm", **BOTH), 0, SHAPE)
    (one,) = mutate(problem, fault("gate-order", "iofc (ONNX) in all weights"))
    (other,) = mutate(problem, fault("bias-doubled"))
    mixed = [
        Tensor(a.name, (a.data + b.data) / 2)
        for a, b in zip(one.outputs, other.outputs, strict=True)
    ]
    assert explain(given(problem, mixed)).cause == UNEXPLAINED


def test_what_these_inputs_cannot_tell_is_told():
    """All weights alike: reversed features are the same features, and whatever else gives the same
    stands beside."""
    problem = catalogue()["lstm-constant-sequences-state"]
    (mutant,) = mutate(problem, fault("recurrence-missing"))
    told = explain(given(problem, mutant.outputs))
    assert mutant.name in (told.fault.name, *told.also_fits)
    assert FaultId("features-reversed", "kernel", "") in told.blind_to
    assert "these inputs could not have shown: " in text(told)


def changed(problem, change):
    return problem.with_outputs(change(list(problem.outputs)))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (
            lambda o: [Tensor("output", np.full_like(o[0].data, np.nan)), *o[1:]],
            "is not finite, first at [0, 0, 0]",
        ),
        (lambda o: [Tensor("output", np.zeros_like(o[0].data)), *o[1:]], "output is 0 everywhere"),
    ],
)
def test_what_a_wrong_shape_or_value_looks_like(change, hint):
    told = explain(changed(right(catalogue()[CASE]), change))
    assert (told.verdict, told.cause) == ("diverges", UNEXPLAINED)
    assert hint in told.hint
    assert hint in text(told)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda o: o[:1], "return-flags: return_state False"),
        (
            lambda o: [Tensor("output", o[0].data[:, -1]), *o[1:]],
            "return-flags: return_sequences False",
        ),
        (
            lambda o: [Tensor("output", o[0].data[:, -1])],
            "return-flags: return_sequences False + return-flags: return_state False",
        ),
        (
            lambda o: [Tensor("output", o[0].data.swapaxes(0, 1)), *o[1:]],
            "axis-swapped: outputs time first",
        ),
    ],
)
def test_other_shapes_are_read_as_what_has_them(change, fault):
    """What comes in another shape is right in it: the flag or the axis is the cause."""
    told = explain(changed(right(random_problem(spec_of("gru", **BOTH), 0, SHAPE)), change))
    assert (told.verdict, told.fault.name) == ("diverges", fault)
    assert told.after < 5
    assert told.fault.fault.description in text(told)


def test_every_step_where_the_last_is_wanted():
    problem = random_problem(spec_of("gru"), 0, SHAPE)
    every = random_problem(spec_of("gru", **SEQUENCES), 0, SHAPE)
    told = explain(changed(right(problem), lambda _: golden_outputs(every)))
    assert told.fault.name == "return-flags: return_sequences True"


def test_a_shape_that_nothing_gives_is_told():
    problem = right(random_problem(spec_of("gru"), 0, SHAPE))
    told = explain(problem.with_outputs([Tensor("output", np.zeros((7, 2)))]))
    assert (told.verdict, told.cause) == ("diverges", UNEXPLAINED)
    (difference,) = told.differences
    assert (difference.actual, difference.expected) == ((7, 2), (5, 4))


def test_without_outputs():
    with pytest.raises(RequestError, match="has no outputs to explain"):
        explain(catalogue()[CASE])


# ------------------------------------------------------------------------------------------------------
# command


def test_the_command(here, tmp_path):
    problem = catalogue()[CASE]
    (mutant,) = mutate(problem, fault("gate-order", "iofc (ONNX) in all weights"))
    path = tmp_path / "mine.json"
    path.write_text(wire.dump_pretty(given(problem, mutant.outputs)))
    status, out, err = here("explain", str(path))
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == f"{CASE}: these outputs diverge"
    assert "  cause: gate-order: LSTM iofc (ONNX) in all weights" in lines
    assert "  starts: output at row 0, step 0, unit 0, gate f, g, o" in lines
    status, out, _ = here("explain", str(path), "--json")
    said = json.loads(out)
    assert (status, said["verdict"], said["cause"]) == (1, "diverges", "gate-order")
    assert said == as_json(explain(given(problem, mutant.outputs)))
    assert said["sigma"]["after"] < 1
    assert said["sigma"]["before"] > 1000


def test_the_command_on_what_is_right_and_what_is_none(here, tmp_path):
    path = tmp_path / "case.json"
    path.write_text(wire.dump_pretty(right(catalogue()[CASE])))
    status, out, _ = here("explain", str(path))
    assert (status, out.splitlines()[0]) == (0, f"{CASE}: these outputs agree")
    path.write_text(wire.dump_pretty(catalogue()[CASE]))
    status, out, err = here("explain", str(path))
    assert (status, out) == (2, "")
    assert (
        err
        == f"rnnparity: {CASE}: has no outputs to explain; add what the other implementation gave\n"
    )
