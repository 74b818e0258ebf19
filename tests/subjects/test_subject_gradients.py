"""Gradients of the subjects, in float64 equal to those of the reference."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    MASK,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.problem.answer import Answer, Unsupported
from rnnparity.problem.errors import RequestError, SubjectFailedError
from rnnparity.problem.format_writing import dump_line
from rnnparity.reference.gradients import compute_gradients
from rnnparity.session.ask import run
from rnnparity.session.outcome import ask_in_this_process
from rnnparity.subjects import make_subject
from rnnparity.subjects.functions import ForeignSubject

SEQUENCES = {"return_sequences": True}
# In torch a mask is right padding of the last output.
RIGHT = ("110000", "111111", "111100", "100000", "111110")
PROBLEMS = {
    "rnn": (spec_of("simple_rnn", **EXACT, **BOTH, go_backwards=True), {}),
    "lstm": (two_ways(spec_of("lstm", **EXACT, **BOTH), merge_mode="mul"), {}),
    "gru": (spec_of("gru", **EXACT, return_state=True), {"mask": RIGHT}),
    "stack": (
        stack_of(spec_of("lstm", 3, **EXACT, **SEQUENCES), two_ways(spec_of("gru", 2, **EXACT))),
        {},
    ),
}
KERAS_ONLY = {
    "gaps": (two_ways(spec_of("gru_before", **EXACT, **BOTH), merge_mode=None), {"mask": MASK}),
    "no bias": (spec_of("lstm", **EXACT, activation="softsign", use_bias=False), {"mask": MASK}),
}


def problem_of(spec, options):
    return with_cotangents(random_problem(spec, 0, SHAPE, initial=True, **options))


def assert_exact(problem, gradients):
    for gradient, expected in zip(gradients, compute_gradients(problem), strict=True):
        assert gradient.name == expected.name
        np.testing.assert_allclose(gradient.data, expected.data, atol=1e-13, strict=True)


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    return make_subject("torch")


@pytest.fixture(scope="module", params=["keras", "keras:graph"])
def keras(request):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return make_subject(request.param)


@pytest.mark.parametrize("name", PROBLEMS)
def test_torch(torch, name):
    problem = problem_of(*PROBLEMS[name])
    for _ in range(2):  # nothing of the first is left
        assert_exact(problem, torch.gradients(problem).gradients)


def assert_near(problem, name, distance):
    """Assert that a subject's gradients have their names and types, and nearly their values."""
    gradients = run(problem, name, gradients=True).gradients
    slots = problem.gradient_slots()
    assert [(g.name, g.dtype) for g in gradients] == [(s.name, s.dtype) for s in slots]
    for gradient, expected in zip(gradients, compute_gradients(problem), strict=True):
        np.testing.assert_allclose(gradient.data, expected.data, atol=distance)


@pytest.mark.parametrize("name", ["keras", "tf-keras"])
def test_mixed_types(name):
    """A gradient has the type of what it is the gradient of, also where a layer casts it."""
    pytest.importorskip("tf_keras", reason="tf-keras is not installed")
    half = spec_of("gru", **BOTH, dtype="mixed_float16")
    spec = {"class_name": "Bidirectional", "config": {"layer": half, "dtype": "float32"}}
    problem = with_cotangents(random_problem(spec, 0, SHAPE, initial=True))
    assert_near(problem, name, 2e-2)


def test_torch_through_calls(torch):
    spec = stack_of(
        spec_of("lstm", 3, **EXACT, **SEQUENCES, stateful=True), spec_of("gru", 2, **EXACT, **BOTH)
    )
    problem = problem_of(spec, {"calls": (2, 1, 3)})
    assert_exact(problem, torch.gradients(problem).gradients)


def test_torch_has_no_gradient_of_an_unused_state(torch):
    spec = stack_of(
        spec_of("lstm", 3, **EXACT, **SEQUENCES, stateful=True), spec_of("gru", 2, **EXACT)
    )
    problem = problem_of(spec, {"calls": (2, 4)})
    gradients = torch.gradients(problem).gradients
    *expected, last = compute_gradients(problem)
    assert gradients[-1] is None
    assert not last.data.any()
    for gradient, other in zip(gradients, expected, strict=False):
        np.testing.assert_allclose(gradient.data, other.data, atol=1e-13)


@pytest.mark.parametrize("name", PROBLEMS | KERAS_ONLY)
def test_keras(keras, name):
    problem = problem_of(*(PROBLEMS | KERAS_ONLY)[name])
    assert_exact(problem, keras.gradients(problem).gradients)


def test_keras_has_no_gradient_through_calls(keras):
    spec = spec_of("lstm", **EXACT, **SEQUENCES, stateful=True)
    with pytest.raises(Unsupported, match="through which no gradient flows"):
        keras.gradients(problem_of(spec, {"calls": (2, 4)}))


@pytest.mark.parametrize(
    ("name", "package"),
    [("keras-jax:jit", "jax"), ("keras-torch", "torch"), ("tf-keras", "tf_keras")],
)
def test_other_backends(name, package):
    pytest.importorskip(package, reason=f"{package} is not installed")
    pytest.importorskip("keras", reason="Keras is not installed")
    spec = two_ways(spec_of("lstm", **BOTH))
    problem = with_cotangents(random_problem(spec, 0, SHAPE, mask=RIGHT, initial=True))
    assert_near(problem, name, 2e-6)


def outputs(problem):
    return [tensor.data for tensor in run(problem).outputs]


def test_run_adds_gradients_only_where_they_are_asked_for():
    plain = random_problem(spec_of("lstm", **BOTH), 0)
    assert run(plain).cotangents is None
    computed = run(plain, gradients=True)
    assert_exact(computed, computed.gradients)
    assert run(computed, outputs).gradients is None  # those of another subject


def test_function_with_gradients():
    problem = problem_of(*PROBLEMS["rnn"])
    names = [slot.name for slot in problem.gradient_slots()]

    def subject(asked):
        return outputs(asked)

    with pytest.raises(RequestError, match="has no attribute gradients"):
        run(problem, subject, gradients=True)
    subject.gradients = lambda asked: [t.data for t in compute_gradients(asked)]
    assert_exact(problem, run(problem, subject, gradients=True).gradients)
    subject.gradients = lambda asked: dict.fromkeys(names)
    assert run(problem, subject, gradients=True).gradients == (None,) * len(names)
    for wrong, expected in (
        ({}, "gradients: got none, expected inputs, kernel, recurrent_kernel, bias, initial"),
        ([1.0], "gradients: got 1, expected 5: inputs, kernel"),
        (None, "gradients: got no sequence, expected 5: inputs, kernel"),
    ):
        subject.gradients = lambda asked, wrong=wrong: wrong
        with pytest.raises(SubjectFailedError, match=expected):
            run(problem, subject, gradients=True)


def test_object_with_gradients():
    problem = problem_of(*PROBLEMS["rnn"])
    subject = SimpleNamespace(gradients=lambda asked: [t.data for t in compute_gradients(asked)])
    assert_exact(problem, ForeignSubject(subject).gradients(problem).gradients)
    subject.gradients = lambda asked: Answer(gradients=(None,))
    assert ForeignSubject(subject).gradients(problem).gradients == (None,)
    with pytest.raises(Unsupported, match="has no attribute gradients"):
        ForeignSubject(object()).gradients(problem)


def test_outputs_alone_are_no_gradients():
    """A program that does not know cotangents answers as before."""
    problem = problem_of(*PROBLEMS["rnn"])
    subject = ForeignSubject(SimpleNamespace(gradients=lambda _: Answer(())))
    outcome = ask_in_this_process(subject, problem)
    assert outcome.answer is None
    assert outcome.unsupported == "it returned no gradients"


def test_program_with_gradients(tmp_path):
    """It finds cotangents in the problem, and answers with gradients."""
    problem = problem_of(*PROBLEMS["rnn"])
    row = json.loads(dump_line(replace(problem, gradients=compute_gradients(problem))))
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"id": problem.id, "gradients": row["gradients"]}))
    code = (
        "import sys; text = open(sys.argv[1]).read()\n"
        "for line in sys.stdin: assert 'cotangents' in line; print(text, flush=True)"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    subject = make_subject(f"cmd:{sys.executable} {program} {answer}")
    try:
        assert_exact(problem, subject.gradients(problem).gradients)
    finally:
        subject.close()
