"""The figures of docs/performance.md: ratios of CPU times, and bytes."""

import json

import numpy as np
import pytest
from benchmarks.problems import make_problem

from validation import ratios
from validation.ratios import HEADER, MEASUREMENTS, TINY, Figure, bytes_per_output, ratio


def product(size):
    square = np.ones((size, size))
    return lambda: square @ square


def test_what_takes_longer_has_a_larger_ratio(monkeypatch):
    monkeypatch.setattr(ratios, "ROUNDS", 3)
    monkeypatch.setattr(ratios, "BLOCK_S", 0.005)
    assert ratio(product(200), product(20)) > 5
    assert ratio(product(20), product(200)) < 1 / 5


def test_memory_is_that_of_a_pass_with_noise(monkeypatch):
    problem = make_problem("LSTM", TINY)
    held = []
    monkeypatch.setattr(ratios, "compute_with_noise", lambda _: held.append(np.ones(120_000)))
    (batch, steps, _), units = problem.inputs.shape, TINY[3]
    assert bytes_per_output(problem) == pytest.approx(960_000 / (batch * steps * units), rel=0.1)


def test_the_figures_are_printed_and_stored_on_request(monkeypatch, tmp_path, capsys):
    found = [Figure("one", TINY, 0.2345, 0.5), Figure("two", TINY, 12.3)]
    path = tmp_path / "measurements.json"
    path.write_text('{"others": {"rows": []}}')
    monkeypatch.setattr(ratios, "figures", lambda: iter(found))
    monkeypatch.setattr(ratios, "MEASUREMENTS", path)
    monkeypatch.setattr("sys.argv", ["ratios"])
    ratios.main()
    assert capsys.readouterr().out.splitlines() == [
        "one, LSTM (1, 4, 5, 3): 0.23 (target 0.5)",
        "two, LSTM (1, 4, 5, 3): 12",
    ]
    assert "ratios" not in json.loads(path.read_text())
    monkeypatch.setattr("sys.argv", ["ratios", "--store"])
    ratios.main()
    stored = json.loads(path.read_text())
    assert list(stored) == ["others", "ratios"]
    assert stored["ratios"]["rows"][0] == ["one", "(1, 4, 5, 3)", "0.23", "0.5"]


def test_the_stored_figures_reach_their_targets():
    stored = json.loads(MEASUREMENTS.read_text("utf-8"))["ratios"]
    assert stored["header"] == HEADER
    for name, size, measured, target in stored["rows"]:
        assert not target or float(measured) <= float(target), f"{name}, LSTM {size}"
