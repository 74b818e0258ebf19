"""The sweep's own machinery, without a framework: what it draws, what it counts."""

import numpy as np
import pytest

from rnnparity.problem.results import Verdict
from rnnparity.reference import compute
from rnnparity.session import fuzz as sweep
from rnnparity.subjects import FunctionSubject


class Rounded(FunctionSubject):
    """The reference rounded to the layer's types: a subject that never errs by much; `error` makes
    it worse."""

    def __init__(self, error=0.0):
        super().__init__(self.outputs)
        self.error = error

    def outputs(self, problem):
        slots = problem.output_slots()
        return {
            slot.name: sweep.FLOAT_TYPES[slot.dtype].round(tensor.data * (1 + self.error))
            for slot, tensor in zip(slots, compute(problem), strict=True)
        }

    def forget(self):
        pass


def records(monkeypatch, error, seeds=range(12)):
    monkeypatch.setattr(sweep, "_subjects", {path: Rounded(error) for path in sweep.PATHS})
    monkeypatch.setattr(sweep, "DRAWS", 2)
    found = [record for seed in seeds for record in sweep.sweep_layer(seed)]
    return [record for record in found if record.dtype in ("float32", "float64", "float16")]


def test_a_healthy_subject_raises_no_alarm_and_changes_are_seen(monkeypatch):
    found = records(monkeypatch, 0.0)
    parts = sweep.summarize(found)
    assert sum(part.verdicts for part in parts.values()) > 40
    assert all(part.false_alarms == 0 for part in parts.values())
    single = parts["float32"]
    assert single.changed["scaled"] > 10
    assert single.seen["scaled"] == single.changed["scaled"]


def test_a_subject_that_is_a_little_off_is_counted_as_an_alarm(monkeypatch):
    parts = sweep.summarize(records(monkeypatch, 1e-3))
    single = parts["float32"]
    assert single.false_alarms == single.verdicts - single.inconclusive > 0
    assert single.examples[0].kind == Verdict.DIVERGES
    assert single.elsewhere["torch"] > 0


def test_every_kind_of_problem_is_drawn():
    layers, shapes = zip(
        *(sweep.random_layer(np.random.default_rng(seed)) for seed in range(400)), strict=True
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


@pytest.mark.parametrize("form", ["scaled", "signs"])
def test_a_change_is_of_the_size_it_says(form):
    rng = np.random.default_rng(1)
    layer, shape = sweep.random_layer(np.random.default_rng(3))
    problem = sweep.random_problem(rng, layer, shape, False, True, "p")
    name, changed = sweep._changed(problem, rng, 1e-3, form)
    before, after = ({tensor.name: tensor.data for tensor in p.weights} for p in (problem, changed))
    assert [key for key in before if not np.array_equal(before[key], after[key])] == [name]
    assert np.allclose(np.abs(after[name] / before[name] - 1), 1e-3, rtol=1e-3)
