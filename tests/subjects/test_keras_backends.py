"""Keras on its other backends, and Keras 2: each in a process of its own, every path, and what is
missing is said."""

import sys
from importlib.util import find_spec

import pytest

from rnnparity import check
from rnnparity.problem.errors import RequestError
from rnnparity.problem.results import Verdict
from rnnparity.subjects import MissingFrameworkError, make_subject, registered_names, registration

NEEDS = {
    "keras-jax": "jax",
    "keras-torch": "torch",
    "keras-numpy": "jax",
    "keras-openvino": "openvino",
    "tf-keras": "tf_keras",
}
# Every kind of layer, directions, flags, masks, states, types and calls; and what some backend is
# known to get wrong.
PART = (
    "lstm-spread-sequences-state-mask_interior or gru-spread-backwards-last or bi_gru_before-spread-sum-state or "
    "simple_rnn-spread-state-mask_row-initial or dtype-bfloat16-lstm-concat or dtype-float64-gru-forward or "
    "stack-two_ways_below-mask or stateful-lstm-concat-sequences-mask"
)
ON_THE_CPU = [
    name
    for name in registered_names()
    if name.partition(":")[0] in NEEDS and not registration(name).needs_gpu
]


@pytest.mark.parametrize("subject", ON_THE_CPU)
def test_keras_on_another_backend(subject):
    if find_spec(NEEDS[subject.partition(":")[0]]) is None:
        pytest.skip(f"{subject}: {NEEDS[subject.partition(':')[0]]} is not installed")
    (report,) = check(subject, k=PART, jobs=1).subjects
    assert report.failing == ()
    assert report.counts[Verdict.AGREES] > 5  # unrolled on PyTorch nearly every mask raises
    assert {"keras", "tf-keras"} & set(report.versions)


@pytest.mark.parametrize(("subject", "needed"), NEEDS.items())
def test_a_backend_that_is_missing_is_said(monkeypatch, subject, needed):
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(
        MissingFrameworkError,
        match=rf"^subject '{subject}': package {needed} is missing; run pip install 'rnnparity\[",
    ):
        make_subject(subject)


def test_one_that_is_missing_keeps_no_other_from_running():
    report = check("torch:cuda", "reference", k="lstm-spread-last")
    assert [subject.name for subject in report.subjects] == ["reference"]
    (out,) = report.skipped
    assert (out.subject, out.requested, report.status) == ("torch:cuda", True, 2)
    assert "is missing" in out.reason


def test_all_of_them_leaves_out_what_is_not_there(monkeypatch):
    monkeypatch.setattr(
        "rnnparity.session.check.registered_names", lambda: ["reference", "torch:cuda"]
    )
    report = check(k="lstm-spread-last", all_subjects=True)
    assert [subject.name for subject in report.subjects] == ["reference"]
    assert (report.skipped[0].subject, report.skipped[0].requested, report.status) == (
        "torch:cuda",
        False,
        0,
    )


def test_a_subject_that_ran_no_case_is_an_error():
    def refuses(problem):
        from rnnparity.subjects import Unsupported

        raise Unsupported("not today")

    report = check(refuses, "reference", k="lstm-spread-last")
    assert [subject.passed for subject in report.subjects] == [False, True]
    assert report.status == 2
    with pytest.raises(RequestError, match="nothing was compared"):
        check(refuses, k="lstm-spread-last")


def test_subjects_that_could_not_be_loaded_are_all_told():
    with pytest.raises(
        RequestError, match=r"'torch:cuda': .* is missing.*; .*'keras-torch:cuda': .* is missing"
    ):
        check("torch:cuda", "keras-torch:cuda", k="lstm-spread-last")


def test_an_answer_without_outputs_is_a_verdict():
    (report,) = check(lambda _: [], k="lstm-spread-last or gru-spread-last").subjects
    assert report.failing == report.cases
    (difference,) = report.failing[0].differences
    assert (difference.type, difference.actual) == ("count", ())
