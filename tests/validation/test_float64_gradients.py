"""Gradients in float64 beside those of frameworks; a wrong one is seen."""

from dataclasses import replace

import pytest

from validation import float64_gradients
from validation.float64_gradients import FRAMEWORKS, LARGEST, largest_difference


# JAX would compute in float64 for the rest of the process.
@pytest.mark.parametrize("name", sorted(FRAMEWORKS.keys() - {"jax"}))
def test_gradients_are_those_of_a_framework(name):
    pytest.importorskip(name)
    framework = FRAMEWORKS[name]()
    assert max(largest_difference(framework, seed) for seed in range(6)) < LARGEST


def test_a_wrong_gradient_is_seen(monkeypatch):
    pytest.importorskip("tensorflow")
    compute = float64_gradients.compute_gradients

    def changed(problem):
        first, *others = compute(problem)
        return [replace(first, data=first.data * (1 + 1e-10)), *others]

    monkeypatch.setattr(float64_gradients, "compute_gradients", changed)
    assert largest_difference(FRAMEWORKS["tensorflow"](), 1) > LARGEST
