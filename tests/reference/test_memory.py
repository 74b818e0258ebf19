"""Problems that do not fit in memory are refused before they are computed."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, KINDS, SEQUENCES, random_problem, spec_of, two_ways

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.errors import RequestError
from rnnparity.problem.format_writing import dump_pieces
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute, compute_with_noise, memory, trace
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.tolerance import expect


def gradients(problem):
    cotangents = [Tensor.of(s.name, np.ones(s.shape), s.dtype) for s in problem.output_slots()]
    compute_gradients(replace(problem, cotangents=tuple(cotangents)))


COMPUTATIONS = (compute, trace, compute_with_noise, expect, gradients)


@pytest.mark.parametrize("computation", COMPUTATIONS)
def test_a_problem_that_does_not_fit_is_refused_before_it_starts(computation, monkeypatch):
    problem = random_problem(spec_of("lstm", 4, **SEQUENCES), 0, (3, 6, 5))
    monkeypatch.setattr(memory, "ALWAYS_FITS", 1000)
    monkeypatch.setattr(memory, "available_memory", lambda: 2000)
    with pytest.raises(RequestError) as error:
        computation(problem)
    assert "B=3 T=6 D=5 needs about 0.0 GB of memory, 0.0 GB are available; use" in str(error.value)
    monkeypatch.setattr(memory, "available_memory", lambda: 10**6)
    computation(problem)


def test_a_small_file_of_a_huge_problem_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    small = random_problem(spec_of("gru", 400, **SEQUENCES), 0, (2, 2, 1))
    huge = type(small)(small.layer, small.weights, Tensor("inputs", np.zeros((64, 9000, 1), "f4")))
    with pytest.raises(RequestError, match=r"B=64 T=9000 D=1 needs about 9.* GB of memory, 1.0 GB"):
        compute(huge)


def test_a_system_that_tells_no_limit_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory, "ALWAYS_FITS", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    compute(random_problem(spec_of("lstm")))


def test_this_system_tells_how_much_is_available():
    available = memory.available_memory()
    assert available is None or 2**20 < available < 2**50


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(8, 100, 16), (2, 50, 100)], ids=str)
@pytest.mark.parametrize("ways", [1, 2])
def test_estimates_are_above_the_peak_and_not_far_above(kind, shape, ways, monkeypatch):
    """Of a problem large enough that the cost of a call does not count.

    Gradients keep what each step computed, but weights once: the estimate is larger where most
    numbers are weights.
    """
    spec = spec_of(kind, 64, **BOTH)
    problem = random_problem(two_ways(spec) if ways == 2 else spec, 0, shape)
    estimates = []

    def record(problem, bytes_per_number):
        estimates.append(bytes_per_number * memory.numbers_of(problem))

    for module in ("", ".tolerance", ".gradients"):
        monkeypatch.setattr(f"rnnparity.reference{module}.check_memory", record)
    for computation in COMPUTATIONS:
        estimates.clear()
        tracemalloc.start()
        try:
            computation(problem)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        factor = 9 if computation is gradients else 6
        assert peak < max(estimates) < factor * peak, computation.__name__


def test_the_text_of_outputs_is_never_in_memory_as_a_whole():
    """What is computed for `rnnparity run` is printed in pieces: all numbers would take 23 MB."""
    problem = random_problem(spec_of("lstm", 64, **SEQUENCES), 0, (4, 1000, 1))
    problem = problem.with_outputs(compute(problem))
    tracemalloc.start()
    try:
        size = sum(map(len, dump_pieces(problem)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (size > 5e6, peak < 12e6) == (True, True)


@pytest.mark.slow
def test_the_estimate_of_a_search_for_a_cause_is_above_its_peak(monkeypatch):
    problem = random_problem(spec_of("lstm", 200, **SEQUENCES), 0, (2, 10, 100))
    rng = np.random.default_rng(0)
    wrong = [t.data * (1 + 0.01 * rng.normal(size=t.shape)) for t in compute(problem)]
    problem = problem.with_outputs([Tensor.of("output", wrong[0])])
    estimates = []

    def record(problem, each, weight):
        weights = sum(tensor.data.size for tensor in problem.weights)
        estimates.append(each * memory.numbers_of(problem) + weight * weights)

    monkeypatch.setattr("rnnparity.explanation.fault_search.check_memory", record)
    tracemalloc.start()
    try:
        diagnose(problem)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(estimates) / 3 < peak < max(estimates) + memory.ALWAYS_FITS
