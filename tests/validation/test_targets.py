"""The project's own speed targets: a missed one has a reason."""

import pytest
from _support.bench_runs import GROWTH, forward, run, series

from validation.targets import figures

LARGE = "LSTM 32x100x256x512"


def rows_of(*names, problem=LARGE):
    return [series("forward", problem, name, seconds) for name, seconds in names]


def test_missed_target_has_a_reason():
    found = list(figures(run(forward() + GROWTH)))
    assert [f.met for f in found if f.problem == "LSTM 32x50x64x128"] == [False, False]
    assert all(figure.reason for figure in found if not figure.met)
    (floor,) = [
        f
        for f in figures(run([*forward(), *slow_products()]))
        if f.floor and f.floor.value > f.wanted
    ]
    assert floor.reason == "its matrix products alone take 1.2 times as long"
    (own,) = [f for f in figures(run(slow_products(2.0))) if f.yardstick == "products float32"]
    assert own.reason == "60% of it are matrix products"


def slow_products(reference=1.5):
    large = "LSTM 32x100x256x512"
    times = {"products float32": 1.2, "reference float32": reference, "tf.keras graph": 1.0}
    return [series("forward", large, name, seconds) for name, seconds in times.items()]


@pytest.mark.parametrize("yardstick", ["products float32", "tf.keras graph", "ONNX Runtime"])
def test_missed_target_has_a_reason_for_every_yardstick(yardstick):
    timed = {
        "products float32": 1.0,
        "tf.keras graph": 2.0,
        "ONNX Runtime": 2.0,
        "reference float32": 5.0,
    }
    found = [f for f in figures(run(rows_of(*timed.items()))) if f.yardstick == yardstick]
    assert [(f.met, f.reason) for f in found] == [(False, "20% of it are matrix products")]
