"""One step of gradient descent in tf.keras and PyTorch, and by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import (
    BOTH,
    EXACT,
    KINDS,
    MASK,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
    with_dropout,
)

from rnnparity import assert_parity, explain
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.answer_types import TrainingStep
from rnnparity.problem.errors import FormatError, RequestError
from rnnparity.problem.format_reading import parse_problem
from rnnparity.problem.format_writing import dump_line
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.reference.gradients import compute_gradients
from rnnparity.reference.gradients.tolerance import expect_training_step
from rnnparity.reference.gradients.training import (
    compute_training_step,
    compute_training_step_exactly,
)
from rnnparity.report.text.show import show
from rnnparity.session.ask import explain_subject, run
from rnnparity.session.outcome import ask_in_this_process
from rnnparity.session.session import open_session
from rnnparity.subjects import make_subject
from rnnparity.verdict.judge import judge

SPECS = {
    **{kind: spec_of(kind, **BOTH) for kind in KINDS},
    "last": spec_of("lstm", **EXACT, activation="relu", use_bias=False, go_backwards=True),
    "two ways": two_ways(spec_of("gru", **BOTH), merge_mode=None),
    "stack": stack_of(spec_of("lstm", 3, return_sequences=True), two_ways(spec_of("gru", 2))),
}


def with_step(problem, lr=2.0, seed=0):
    rng = np.random.default_rng(seed)
    targets = [
        Tensor.of(s.name, rng.standard_normal(s.shape), s.dtype) for s in problem.output_slots()
    ]
    return replace(problem, training_step=TrainingStep(lr, tuple(targets)))


def problem_of(name, **options):
    return with_step(random_problem(SPECS[name], 0, SHAPE, **options))


def test_the_loss_is_the_mean_square_of_each_output():
    """The weights move against the gradients for the slopes of the loss."""
    problem = problem_of("lstm", mask=MASK, initial=True)
    slopes = tuple(
        Tensor(output.name, 2 * (output.data - target.data) / target.data.size)
        for output, target in zip(compute(problem), problem.training_step.targets, strict=True)
    )
    backward = replace(problem, training_step=None, cotangents=slopes)
    _, *gradients = compute_gradients(backward)
    after = compute_training_step(problem)
    assert [tensor.name for tensor in after] == ["kernel", "recurrent_kernel", "bias"]
    for tensor, before, gradient in zip(after, problem.weights, gradients, strict=False):
        np.testing.assert_allclose(tensor.data, before.data - 2.0 * gradient.data, rtol=1e-13)


def test_a_step_by_hand():
    """h = w x: after = w - lr * 2 (w x - t) x."""
    spec = spec_of("simple_rnn", 1, **EXACT, activation="linear", use_bias=False)
    problem = random_problem(spec, 0, (1, 1, 1))
    w, x = problem.weights[0].data.item(), problem.inputs.data.item()
    step = TrainingStep(0.5, (Tensor("output", np.array([[0.25]])),))
    kernel, recurrent_kernel = compute_training_step(replace(problem, training_step=step))
    assert kernel.data.item() == pytest.approx(w - 0.5 * 2 * (w * x - 0.25) * x, rel=1e-14)
    assert (recurrent_kernel.data == problem.weights[1].data).all()


def test_exact_steps_and_goldens_are_the_same():
    problem = problem_of("last")
    triples = zip(
        compute_training_step(problem),
        compute_training_step_exactly(problem),
        golden_outputs(problem),
        strict=True,
    )
    for tensor, exact, golden in triples:
        np.testing.assert_allclose(tensor.data, exact.data, rtol=1e-14)
        assert (golden.data == exact.data).all()


def assert_trained(name, problem):
    subject = make_subject(name)
    outcome = ask_in_this_process(subject, problem)
    assert not outcome.error, outcome.error
    assert outcome.answer is not None, outcome.unsupported
    result = judge(problem, outcome.answer)
    assert (result.verdict, result.differences) == (Verdict.AGREES, ())
    untrained = replace(outcome.answer, outputs=problem.weights)
    assert judge(problem, untrained).verdict is Verdict.DIVERGES


@pytest.mark.parametrize("name", SPECS)
def test_keras_takes_the_step(name):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    mask = MASK if name == "last" else None
    assert_trained("keras", problem_of(name, mask=mask, initial=name != "stack"))


def test_keras_leaves_masked_steps_out_of_the_loss():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    outcome = ask_in_this_process(make_subject("keras"), problem_of("gru", mask=MASK))
    reason = "Keras leaves masked steps out of the loss, a training step does not"
    assert outcome.unsupported == reason


@pytest.mark.slow
@pytest.mark.parametrize("path", ["graph", "xla", "unroll", "implementation1"])
@pytest.mark.parametrize("name", ["lstm", "gru", "stack"])
def test_keras_takes_the_step_on_every_path(name, path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    assert_trained(f"keras:{path}", problem_of(name))


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru", "two ways", "stack"])
def test_torch_takes_the_step(name):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert_trained("torch", problem_of(name, initial=True))


def test_torch_moves_both_of_its_biases():
    """Trained as they are, PyTorch's two biases move the sum, which is Keras' bias, twice as far."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    cell = torch.nn.LSTM(2, 3, batch_first=True)
    before = (cell.bias_ih_l0 + cell.bias_hh_l0).detach().clone()
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)
    cell(torch.ones(1, 4, 2))[0].square().mean().backward()
    gradient = cell.bias_ih_l0.grad.clone()
    optimizer.step()
    after = (cell.bias_ih_l0 + cell.bias_hh_l0).detach()
    torch.testing.assert_close(after, before - 2 * 0.5 * gradient)


def test_keras_takes_no_step_with_dropout_masks():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    problem = with_dropout(random_problem(SPECS["gru"], 0, SHAPE))
    outcome = ask_in_this_process(make_subject("keras"), with_step(problem))
    assert outcome.unsupported == "a training step with dropout masks is not done here"
    assert compute_training_step(with_step(problem))


def test_a_step_that_is_too_small_is_inconclusive():
    problem = problem_of("lstm")
    assert not expect_training_step(problem).inconclusive
    step = replace(problem.training_step, lr=2.0**-20)
    reason = expect_training_step(replace(problem, training_step=step)).inconclusive
    assert reason == "a change of 0.001 in the gradient of kernel would stay hidden"


@pytest.mark.parametrize("name", ["tf-keras", "onnxruntime"])
def test_others_do_no_training_steps(name):
    pytest.importorskip(name.replace("-", "_"))
    outcome = ask_in_this_process(make_subject(name), problem_of("lstm"))
    assert outcome.unsupported in (
        "it does no training steps",
        "only Keras 3 on TensorFlow is trained here",
    )


def test_a_step_survives_a_file():
    problem = problem_of("two ways")
    text = dump_line(problem)
    assert json.loads(text)["format"] == "rnnparity/2"
    read = parse_problem(json.loads(text), "x")
    assert read.training_step.lr == 2
    assert dump_line(read) == text
    stored = run(read)
    for tensor, weight in zip(stored.outputs, compute_training_step(problem), strict=True):
        assert (tensor.name, tensor.data.tolist()) == (weight.name, weight.data.tolist())
    assert with_cotangents(problem).training_step is None


def test_a_function_trains_by_its_attribute():
    def mine(problem):
        return [tensor.data for tensor in compute(problem)]

    problem = problem_of("gru")
    with pytest.raises(RequestError, match="it has no attribute train"):
        run(problem, mine)
    mine.train = lambda problem: {t.name: t.data for t in compute_training_step(problem)}
    names = [tensor.name for tensor in run(problem, mine).outputs]
    assert names == ["kernel", "recurrent_kernel", "bias"]


def test_a_wrong_step_is_explained_and_fails_a_test():
    problem = problem_of("lstm")
    cause = explain(problem.with_outputs(problem.weights)).cause
    assert cause.names == ("gradient-missing",)
    with pytest.raises(AssertionError, match="kernel"):
        assert_parity([tensor.data for tensor in problem.weights], problem)


def test_gradients_of_a_step_are_computed_and_explained_without_its_weights():
    problem = problem_of("lstm")
    with_weights = problem.with_outputs(compute_training_step(problem))
    computed = run(with_weights, gradients=True)
    assert (computed.outputs, computed.training_step) == (None, None)
    assert parse_problem(json.loads(dump_line(computed)), "x").gradients
    diagnosis = explain_subject(with_weights, "reference", gradients=True)
    assert diagnosis.explanation.verdict is Verdict.AGREES


def test_a_step_is_shown_by_the_weights_after_it():
    problem = problem_of("lstm")
    with open_session("reference") as session:
        outcome = session.ask(problem)
        lines = list(show(problem, "reference", outcome, session.judge(outcome)))
    assert "outputs (reference):" not in lines
    first = lines.index("weights after the step (reference):")
    assert lines[first + 1].startswith("kernel ")
    assert any("in the gradient of one array" in line for line in lines)
    assert "mutation score: 12/12 faults that apply to this training step" in lines
    assert lines[-1].startswith("reference agrees")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.1}, "training_step: lr: got 0.1, expected a positive number that float32"),
        ({"lr": 0.0}, "training_step: lr: got 0.0"),
        ({"targets": ()}, "training_step: targets: got none, expected output, h, c"),
    ],
)
def test_a_malformed_step_is_refused(change, message):
    problem = problem_of("lstm")
    with pytest.raises(FormatError, match=message):
        replace(problem, training_step=replace(problem.training_step, **change))


def test_a_step_has_no_cotangents_and_one_call():
    problem = problem_of("lstm")
    with pytest.raises(FormatError, match="got cotangents too, expected one of both"):
        replace(problem, cotangents=problem.training_step.targets)
    stateful = random_problem(spec_of("gru", stateful=True), 0, calls=[2, 4])
    with pytest.raises(FormatError, match="got 2 calls, expected one"):
        with_step(stateful)
