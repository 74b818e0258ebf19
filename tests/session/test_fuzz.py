"""Fuzzing without a framework: which problems are drawn, and what is counted."""

import numpy as np
import pytest

from rnnparity.problem.dtypes import FLOAT_TYPES
from rnnparity.problem.results import Verdict
from rnnparity.reference import compute
from rnnparity.session import fuzz
from rnnparity.session.random_problems import random_layer, random_problem
from rnnparity.session.session import LocalSession
from rnnparity.subjects import FunctionSubject


class Rounded(FunctionSubject):
    """The reference rounded to the layer's dtypes, with a relative `error`."""

    def __init__(self, error=0.0):
        super().__init__(self.outputs)
        self.error = error

    def outputs(self, problem):
        slots = problem.output_slots()
        return {
            slot.name: FLOAT_TYPES[slot.dtype].round(tensor.data * (1 + self.error))
            for slot, tensor in zip(slots, compute(problem), strict=True)
        }


def records(monkeypatch, error, seeds=range(12)):
    sessions = {path: LocalSession(path, Rounded(error)) for path in fuzz.PATHS}
    monkeypatch.setattr(fuzz, "_SESSIONS", sessions)
    monkeypatch.setattr(fuzz, "DRAWS", 2)
    found = [record for seed in seeds for record in fuzz.fuzz_layer(seed)]
    return [record for record in found if record.dtype in ("float32", "float64", "float16")]


def test_a_healthy_subject_raises_no_alarm_and_changes_are_detected(monkeypatch):
    found = records(monkeypatch, 0.0)
    parts = fuzz.summarize(found)
    assert sum(part.verdicts for part in parts.values()) > 40
    assert all(part.false_alarms == 0 for part in parts.values())
    single = parts["float32"]
    assert single.changed["scaled"] > 10
    assert single.detected["scaled"] == single.changed["scaled"]


def test_a_small_error_is_counted_as_a_false_alarm(monkeypatch):
    parts = fuzz.summarize(records(monkeypatch, 1e-3))
    single = parts["float32"]
    assert single.false_alarms == single.verdicts - single.inconclusive > 0
    assert single.examples[0].verdict is Verdict.DIVERGES
    assert single.rejected_elsewhere["torch"] > 0


def test_every_class_dtype_and_merge_mode_is_drawn():
    layers, shapes = zip(
        *(random_layer(np.random.default_rng(seed)) for seed in range(400)), strict=True
    )
    halves = [getattr(layer, "forward", layer) for layer in layers]
    assert {half.class_name for half in halves} == {"SimpleRNN", "LSTM", "GRU"}
    assert {half.dtype for half in halves} >= {"float32", "float64", "mixed_float16", "bfloat16"}
    assert {getattr(layer, "merge_mode", "-") for layer in layers} == {
        "-",
        None,
        "concat",
        "sum",
        "mul",
        "ave",
    }
    assert max(shape[1] for shape in shapes) > 400
    assert max(half.units for half in halves) > 110


@pytest.mark.parametrize("change", fuzz.CHANGES)
def test_a_changed_array_is_off_by_the_given_size(change):
    rng = np.random.default_rng(1)
    layer, shape = random_layer(np.random.default_rng(3))
    problem = random_problem(rng, layer, shape, False, True, "p")
    name, changed = fuzz._changed(problem, rng, 1e-3, change)
    before, after = ({tensor.name: tensor.data for tensor in p.weights} for p in (problem, changed))
    assert [key for key in before if not np.array_equal(before[key], after[key])] == [name]
    assert np.allclose(np.abs(after[name] / before[name] - 1), 1e-3, rtol=1e-3)


def test_a_subject_that_raises_is_a_false_alarm_not_the_end_of_the_run(monkeypatch):
    def fail(problem):
        raise ValueError("no such gate")

    sessions = {path: LocalSession(path, FunctionSubject(fail)) for path in fuzz.PATHS}
    monkeypatch.setattr(fuzz, "_SESSIONS", sessions)
    monkeypatch.setattr(fuzz, "DRAWS", 1)
    (summary,) = fuzz.summarize(fuzz.fuzz_layer(0)).values()
    assert summary.false_alarms == summary.verdicts > 0
