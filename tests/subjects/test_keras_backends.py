"""Keras on its other backends and Keras 2, each in its own process, and subjects that cannot run."""

import sys
from importlib.util import find_spec

import pytest

from rnnparity import check
from rnnparity.problem.errors import RequestError
from rnnparity.problem.verdicts import Verdict
from rnnparity.session.check import check_run
from rnnparity.session.selection import Selection
from rnnparity.session.settings import Settings
from rnnparity.subjects import (
    MissingFrameworkError,
    Unsupported,
    make_subject,
    registered_names,
    registration,
)

BACKENDS = [name for name in registered_names() if "-" in name and "keras" in name]
BACKENDS = [name for name in BACKENDS if not name.startswith("onnx")]
# Every layer, direction, flag, mask, state, type and number of calls, and known differences.
PART = (
    "lstm-spread-sequences-state-mask_interior or gru-spread-backwards-last or bi_gru_before-spread-sum-state or "
    "simple_rnn-spread-state-mask_row-initial or dtype-bfloat16-lstm-concat or dtype-float64-gru-forward or "
    "stack-two_ways_below-mask or stateful-lstm-concat-sequences-mask"
)
ON_THE_CPU = [name for name in BACKENDS if not registration(name).needs_gpu]


@pytest.mark.parametrize("subject", ON_THE_CPU)
def test_keras_agrees_on_another_backend(subject):
    for package in registration(subject).packages:
        if find_spec(package) is None:
            pytest.skip(f"{subject}: {package} is not installed")
    (result,) = check(subject, k=PART, jobs=1).subjects
    assert result.failing == ()
    # Unrolled on PyTorch nearly every mask raises.
    assert result.counts[Verdict.AGREES] > 5
    assert {"keras", "tf-keras"} & set(result.versions)


@pytest.mark.parametrize("subject", BACKENDS)
def test_a_missing_backend_is_reported_with_its_extra(monkeypatch, subject):
    needed = registration(subject).packages[-1]
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(
        MissingFrameworkError,
        match=rf"^subject '{subject}': package {needed} is missing; run pip install 'rnnparity\[",
    ):
        make_subject(subject)


def test_a_subject_that_cannot_run_does_not_stop_the_others():
    report = check("torch:cuda", "reference", k="lstm-spread-last")
    assert [subject.name for subject in report.subjects] == ["reference"]
    (skipped,) = report.skipped
    assert (skipped.subject, skipped.requested, report.status) == ("torch:cuda", True, 2)
    assert "is missing" in skipped.reason


def test_all_subjects_are_those_that_can_run():
    run = check_run([], Selection("lstm-spread-last"), Settings(), ["reference", "torch:cuda"])
    report = run.report
    assert [subject.name for subject in report.subjects] == ["reference"]
    (skipped,) = report.skipped
    assert (skipped.subject, skipped.requested, report.status) == ("torch:cuda", False, 0)


def test_a_subject_without_a_comparison_does_not_pass():
    def refuses(problem):
        raise Unsupported("not today")

    report = check(refuses, "reference", k="lstm-spread-last")
    assert [subject.passed for subject in report.subjects] == [False, True]
    assert report.status == 2
    with pytest.raises(RequestError, match="nothing was compared"):
        check(refuses, k="lstm-spread-last")


def test_all_subjects_that_cannot_run_are_reported():
    with pytest.raises(
        RequestError, match=r"'torch:cuda': .* is missing.*; .*'keras-torch:cuda': .* is missing"
    ):
        check("torch:cuda", "keras-torch:cuda", k="lstm-spread-last")


def test_an_answer_without_outputs_diverges():
    (report,) = check(lambda _: [], k="lstm-spread-last or gru-spread-last").subjects
    assert report.failing == report.cases
    (difference,) = report.failing[0].differences
    assert (difference.type, difference.actual) == ("count", ())


@pytest.mark.parametrize("subject", ["keras-jax", "keras-torch"])
def test_gradients_in_float64_are_known_or_agree(subject):
    """JAX computes tanh of float64 values in float32 and PyTorch products, those of a training step too."""
    pytest.importorskip(registration(subject).packages[-1])
    part = "training_step-lstm-float64 or dtype-float64-gru-forward"
    (result,) = check(subject, k=part, gradients=True, jobs=1).subjects
    assert result.failing == ()
