"""How subjects are found by name, and what is reported where there is none."""

import pickle
import sys
from functools import partial
from importlib.metadata import EntryPoint

import pytest

from rnnparity.catalogue import catalogue
from rnnparity.reference import compute
from rnnparity.subjects import (
    MissingFrameworkError,
    Registration,
    SubjectError,
    UnknownSubjectError,
    make_subject,
    registered_names,
    registration,
    registry,
)


class Plain:
    """A third party's subject, which answers with plain arrays."""

    def versions(self):
        return {"plain": 1}

    def answer(self, problem):
        return [tensor.data for tensor in compute(problem)]


def number():
    return 42


def test_subjects_are_listed_by_framework_with_the_reference_first():
    """The order of those of today; a new subject may stand anywhere after the reference."""
    expected = [
        "reference",
        "keras",
        "keras:graph",
        "keras-jax",
        "keras-torch",
        "keras-numpy",
        "keras-openvino",
        "tf-keras",
        "torch",
        "onnxruntime",
        "onnx-reference",
        "onnxruntime:keras",
        "onnx-reference:torch",
        "litert",
    ]
    names = registered_names()
    assert names[0] == "reference"
    assert [name for name in names if name in expected] == expected


def test_each_name_is_registered_once(monkeypatch):
    assert len(set(registered_names())) == len(registered_names())
    same = Registration("torch", Plain, "another one")
    monkeypatch.setattr("rnnparity.subjects.litert.SUBJECTS", (same,))
    with pytest.raises(SubjectError, match="'torch': registered twice"):
        registry.built_in.__wrapped__()


def test_a_module_of_the_package_is_found_by_its_constant(monkeypatch):
    """A new subject is its module; the registry and its tests are not edited."""
    new = Registration("a-new-subject", Plain, "a new engine", packages=("numpy",), extra="new")
    monkeypatch.setattr("rnnparity.subjects.litert.SUBJECTS", (new,))
    assert registry.built_in.__wrapped__()["a-new-subject"] is new


@pytest.fixture
def entry_point(monkeypatch):
    """Install an entry point that names an object of this module."""

    def install(name, target):
        entry = EntryPoint(name, f"{__name__}:{target}", registry.GROUP)
        monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])

    return install


def test_a_subject_of_an_entry_point_may_answer_with_plain_arrays(entry_point):
    entry_point("theirs", "Plain")
    assert registered_names()[-1] == "theirs"
    assert registration("theirs").description == f"from {__name__}"
    subject = make_subject("theirs")
    assert subject.versions() == {"plain": "1"}
    problem = catalogue()["dtype-float64-lstm-forward"]
    names = [tensor.name for tensor in subject.answer(problem).outputs]
    assert names == [slot.name for slot in problem.output_slots()]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("number", "factory returned int, expected an object with versions() and answer()"),
        ("nothing", f"{__name__} has no 'nothing'"),
        ("Plian", f"{__name__} has no 'Plian'; did you mean Plain?"),
        ("__name__", "got str, expected a function"),
    ],
)
def test_an_entry_point_that_is_no_subject_is_refused(entry_point, target, reason):
    entry_point("theirs", target)
    with pytest.raises(SubjectError) as caught:
        make_subject("theirs")
    assert (caught.value.subject, caught.value.reason) == ("theirs", reason)


def test_names_of_the_package_precede_entry_points(entry_point):
    entry_point("torch", "Plain")
    assert registration("torch").packages == ("torch",)


@pytest.mark.parametrize(
    ("name", "nearest", "hint"),
    [
        ("kears", "keras", "did you mean keras?"),
        ("keras:grahp", "keras:graph", "did you mean keras:graph?"),
        ("mine.py:lstm", "mine:lstm", "expected a module, not its file: mine:lstm"),
        ("./my/own.py", "my.own:FUNCTION", "expected a module, not its file: my.own:FUNCTION"),
        ("zzz", "", "package.module:callable, or cmd:PROGRAM"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name, nearest, hint):
    with pytest.raises(UnknownSubjectError) as caught:
        registration(name)
    assert (caught.value.subject, caught.value.nearest) == (name, nearest)
    assert hint in caught.value.reason
    assert str(caught.value) == f"subject {name!r}: {caught.value.reason}"


def raising(error):
    raise error


def test_a_package_that_cannot_be_imported_is_reported_with_its_extra(monkeypatch):
    broken = Registration(
        "mine",
        partial(raising, ImportError("no libmine.so")),
        "",
        packages=("numpy",),
        extra="mine",
    )
    monkeypatch.setattr(registry, "registration", lambda _: broken)
    with pytest.raises(MissingFrameworkError) as caught:
        make_subject("mine")
    assert caught.value.reason == (
        "cannot import numpy (no libmine.so); run pip install 'rnnparity[mine]'"
    )


def test_a_missing_package_is_reported_before_its_subject_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "missing_package", None)
    missing = Registration("mine", number, "", packages=("missing_package",), extra="mine")
    monkeypatch.setattr(registry, "registration", lambda _: missing)
    with pytest.raises(MissingFrameworkError) as caught:
        make_subject("mine")
    assert caught.value.reason == (
        "package missing_package is missing; run pip install 'rnnparity[mine]'"
    )


@pytest.mark.parametrize(
    "error",
    [
        SubjectError("mine", "too old"),
        MissingFrameworkError("mine", "no GPU"),
        UnknownSubjectError("mien", "unknown name", "mine"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_fields_on_the_way_from_a_worker(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
