"""Ports with a hand-written backward pass: right without a mistake, and explained with one."""

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _support.random_problems import BOTH, MASK, SHAPE, random_problem, spec_of, stack_of, two_ways

from rnnparity import assert_parity
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.faults import BACKWARD_FAULTS
from rnnparity.problem.explanations import Cause, FaultId
from validation.backward import trials
from validation.backward.mistakes import RIGHT, WHOLE, mistakes_of
from validation.backward.port import as_array
from validation.backward.trials import (
    Framework,
    Outcome,
    gradients_of,
    judge,
    run_trial,
    summary,
)

SPECS = {
    "simple_rnn": spec_of("simple_rnn", **BOTH),
    "lstm": spec_of("lstm", **BOTH, go_backwards=True),
    "gru": spec_of("gru", return_state=True),
    "gru_before": spec_of("gru_before", **BOTH, zero_output_for_mask=True),
    "two ways": two_ways(spec_of("lstm", 3, **BOTH), merge_mode="mul"),
    "stack": stack_of(spec_of("gru", return_sequences=True), two_ways(spec_of("lstm", 3))),
}


@pytest.fixture(params=Framework)
def framework(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def port():
    """That to PyTorch: both have the same mistakes, and this one is faster."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return Framework.TORCH.port


def problem_of(name):
    problem = with_cotangents(random_problem(SPECS[name], 0, SHAPE, mask=MASK, initial=True))
    # Large enough to be clipped.
    cotangents = tuple(replace(tensor, data=8 * tensor.data) for tensor in problem.cotangents)
    return replace(problem, cotangents=cotangents)


@pytest.mark.parametrize("name", SPECS)
def test_a_port_without_a_mistake_agrees(name, framework):
    problem, port = problem_of(name), framework.port
    outputs = [as_array(output) for output in port(problem, RIGHT).outputs()]
    gradients = [tensor.data for tensor in gradients_of(problem, RIGHT, port)]
    assert_parity(outputs, problem, gradients=gradients)


@pytest.mark.parametrize("name", SPECS)
def test_every_mistake_changes_gradients_only(name, port):
    problem = problem_of(name)
    right = gradients_of(problem, RIGHT, port)
    mistakes = mistakes_of(problem)
    unchanged = [
        mistake
        for mistake in mistakes
        if all(
            np.allclose(a.data, b.data, rtol=1e-4, atol=1e-6)
            for a, b in zip(right, gradients_of(problem, mistake, port), strict=True)
        )
    ]
    assert len({mistake.kind for mistake in mistakes}) >= 10
    # Masked steps of the first layer are masked in the second, too.
    kinds = {mistake.kind for mistake in unchanged}
    assert kinds <= ({"repeated output lost"} if name == "stack" else set())


def test_every_mistake_has_the_name_of_a_listed_fault():
    """The names are written down: here, and only here, they are compared with the list."""
    names = {(fault.cause, fault.variant) for fault in BACKWARD_FAULTS}
    starts = {(m.cause, m.variant) for name in SPECS for m in mistakes_of(problem_of(name))}
    others = {
        (cause, variant)
        for cause, variant in starts
        if not any(cause == of and full.startswith(variant) for of, full in names)
    }
    assert others == {("gradient-truncated", f"every {n} steps") for n in range(6, 7)} & starts


def test_neither_ports_nor_judge_import_the_faults():
    for path in Path(trials.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any("rnnparity.faults" in module for module in modules), path


def test_the_judge_compares_cause_and_location(port):
    problem = problem_of("two ways")
    mistake = next(
        m
        for m in mistakes_of(problem)
        if (m.kind, m.array, m.half) == ("no array", "bias", "forward/")
    )
    right = FaultId("gradient-missing", "bias", "forward/")
    other = FaultId("gradient-doubled", "bias", "forward/")
    elsewhere = FaultId("gradient-missing", "bias", "backward/")
    for cause, outcome in (
        (Cause((right,)), Outcome.NAMED),
        (Cause((other,), ((right,),)), Outcome.BESIDE),
        (Cause((other,)), Outcome.WRONG),
        (Cause((elsewhere,)), Outcome.WRONG),
        (Cause((other,), certain=False), Outcome.UNCERTAIN),
        (Cause((right, other)), Outcome.WRONG),
        (Cause(), Outcome.UNEXPLAINED),
    ):
        assert judge(problem, mistake, cause, port) is outcome
    whole = next(m for m in mistakes_of(problem) if m.kind == "negated")
    negated = Cause((FaultId("gradient-negated", "all", WHOLE),))
    assert judge(problem, whole, negated, port) is Outcome.NAMED


def test_another_name_for_the_same_gradients_is_no_error(port):
    """Of the last output only, with one cut: it is the first of both lengths."""
    spec = spec_of("gru")
    problem = with_cotangents(random_problem(spec, 0, (2, 5, 3)))
    four = next(m for m in mistakes_of(problem) if m.variant == "every 4 steps")
    named = FaultId("gradient-truncated", "every 2 steps", "")
    assert judge(problem, four, Cause((named,)), port) is Outcome.SAME
    three = Cause((replace(named, variant="every 3 steps"),))
    assert judge(problem, four, three, port) is Outcome.WRONG


def test_mistakes_are_named_and_healthy_ports_agree(framework):
    found = [run_trial(seed, framework) for seed in range(6)]
    counts = Counter(trial.outcome for trial in found)
    assert counts[Outcome.NAMED] >= 5
    assert not counts[Outcome.WRONG]
    assert next(summary(found)).endswith("named first")
    assert run_trial(3, framework, healthy=True).outcome is Outcome.HEALTHY


def test_a_gradient_at_another_step_is_compared_with_the_noise_of_that_step(port):
    """Gradients vanish over time: the noise of two steps differs by five powers of ten here."""
    assert run_trial(1_000_972, Framework.TORCH).outcome is Outcome.NAMED
