"""How an explanation is told: screen, page, bundle, what would tell causes apart, and the causes of
a whole run."""

import ast
import io
import json
import re
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from _support.command_line import here
from _support.random_problems import (
    BOTH,
    SEQUENCES,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.explanation.explain import explain
from rnnparity.explanation.separate import PROBES, probed, with_separator
from rnnparity.faults import FAULTS, PlacedFault, inject, run_all
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem import file_format as wire
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import RequestError
from rnnparity.problem.problem import Tensor
from rnnparity.problem.results import Cause
from rnnparity.reference import compute
from rnnparity.reference.tolerance import expect
from rnnparity.report.bundle import write_bundle
from rnnparity.report.explanation_page import page
from rnnparity.report.explanation_text import BLOCKS, coloured, levels, shrunk, text
from rnnparity.report.messages import faults_name
from rnnparity.report.scripts import KERAS, PATHS
from rnnparity.session.ask import explain_subject
from rnnparity.session.judging import judge_outcome
from rnnparity.session.outcome import Outcome

__all__ = ["here"]

CONSTANT = "lstm-constant-sequences-state"


def without_bias(problem):
    """A port that forgets the bias."""
    weights = [
        replace(t, data=0 * t.data) if t.name.endswith("bias") else t for t in problem.weights
    ]
    return [
        tensor.data
        for tensor in compute(replace(problem, weights=tuple(weights), outputs=None), np.float32)
    ]


def given(problem, port=without_bias):
    slots = problem.output_slots()
    return problem.with_outputs(
        [Tensor(s.name, array) for s, array in zip(slots, port(problem), strict=True)]
    )


def lstm():
    return random_problem(spec_of("lstm", **BOTH), 0, SHAPE)


# ------------------------------------------------------------------------------------------------------
# the screen


def test_the_picture_has_a_row_a_unit_and_a_column_a_step():
    problem = lstm()
    right = [Tensor.of(t.name, t.data) for t in compute(problem)]
    wrong = right[0].data.copy()
    wrong[2, 4, 1] += 1e-3
    lines = text(
        explain(problem.with_outputs([replace(right[0], data=wrong), *right[1:]]))
    ).splitlines()
    picture = [line.strip()[1:-1] for line in lines if line.startswith("    |")]
    assert [len(row) for row in picture] == [SHAPE[1]] * 4
    marked = [
        (unit, step)
        for unit, row in enumerate(picture)
        for step, block in enumerate(row)
        if block != " "
    ]
    assert marked == [(1, 4)]


def test_blocks_grow_with_the_distance():
    heights = levels(np.array([0.0, 10.0, 11.0, 1e3, 1e5, 1e7, 1e9, np.inf]), 10.0)
    assert heights.tolist() == [0, 0, 1, 3, 6, 8, 8, 8]
    assert len(BLOCKS) == 9


def test_neighbours_share_a_block_and_the_largest_counts():
    assert shrunk(np.array([[1, 5, 2, 3, 9, 0]]), 4, 3).tolist() == [[5, 3, 9]]


def test_colour_changes_no_word():
    told = explain(given(lstm()))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured(text(told)))
    assert plain == text(told)
    assert "\x1b[31m\x1b[1m  cause: bias-missing: all of it\x1b[0m" in coloured(text(told))


@pytest.mark.parametrize("half", ["forward", "backward"])
def test_the_first_difference_is_in_the_order_of_processing(half):
    """The backward half's first step is the last of the sequence."""
    problem = random_problem(two_ways(spec_of("gru", **SEQUENCES), merge_mode="concat"), 0, SHAPE)
    fault = next(f for f in FAULTS if f.cause == "recurrence-missing")
    (batch,) = run_all([inject(problem, [PlacedFault(fault, f"{half}/")])])
    told = explain(problem.with_outputs([Tensor.of("output", batch.outputs[0][0])]))
    step = 1 if half == "forward" else SHAPE[1] - 2
    assert told.first == {
        "output": "output",
        "row": 0,
        "step": step,
        "unit": 0,
        "direction": half,
        "gate": "z, r, g",
    }


def test_the_gate_that_changes_first_is_named():
    problem = lstm()
    for gate in "ifo":
        fault = next(
            f
            for f in FAULTS
            if (f.cause, f.variant) == ("recurrent-transposed", f"LSTM gate {gate}")
        )
        (batch,) = run_all([inject(problem, [PlacedFault(fault, "")])])
        told = explain(
            problem.with_outputs([Tensor.of(t.name, t.data) for t in batch.mutant(0).outputs])
        )
        assert (told.first["step"], told.first["gate"]) == (1, gate)


MASKED = random_problem(
    spec_of("gru", **BOTH), 0, SHAPE, mask=["111111", "110111", "111111", "011111", "111111"]
)


@pytest.mark.parametrize(
    ("problem", "fault", "place", "said"),
    [
        (lstm(), "recurrent-transposed: whole", "", ["the first processed step is right, and so is all that needs no"]),
        (lstm(), "state-order: c before h", "whole", ["the output is right, what follows is not"]),
        (MASKED, "mask-ignored: every step counts", "", ["only rows with masked steps are wrong"]),
        (
            random_problem(two_ways(spec_of("gru", **SEQUENCES), merge_mode="concat"), 0, SHAPE),
            "bias-missing: all of it", "backward/", ["the forward half is right"],
        ),
        (lstm(), "bias-missing: all of it", "", []),
    ],
)  # fmt: skip
def test_the_pattern_says_what_is_right(problem, fault, place, said):
    made = next(f for f in FAULTS if f"{f.cause}: {f.variant}" == fault)
    (batch,) = run_all([inject(problem, [PlacedFault(made, place)])])
    told = explain(
        problem.with_outputs([Tensor.of(t.name, t.data) for t in batch.mutant(0).outputs])
    )
    assert len(told.pattern) == len(said)
    assert all(line.startswith(start) for line, start in zip(told.pattern, said, strict=True))


def test_one_unit_of_one_row():
    problem = lstm()
    right = [Tensor.of(t.name, t.data) for t in compute(problem)]
    wrong = right[0].data.copy()
    wrong[2, 4, 1] += 1e-3
    told = explain(problem.with_outputs([replace(right[0], data=wrong), *right[1:]]))
    assert told.pattern[:2] == ("only row 2 is wrong", "only unit 1 is wrong")


# --------------------------------------------------------------------------------------------------------
# the page


def test_the_page_is_one_file_that_needs_nothing_else():
    told = explain(given(lstm()))
    html = page(told)
    assert html.count("<rect") == SHAPE[1] * 4
    assert "<title>unit 3, step 5: " in html
    assert "bias-missing: all of it" in html
    assert not re.search(r"<script|https?://|<link|<img", html)


def test_what_an_id_holds_is_text_on_the_page():
    html = page(explain(replace(given(lstm()), id="<b>mine</b>")))
    assert "<b>mine" not in html
    assert "&lt;b&gt;mine" in html


def test_a_page_of_what_agrees():
    problem = lstm()
    html = page(
        explain(problem.with_outputs([Tensor.of(t.name, t.data) for t in compute(problem)]))
    )
    assert "these outputs agree." in html
    assert "<svg" not in html


# ------------------------------------------------------------------------------------------------------
# the bundle

WHOLE = {
    "plain": random_problem(spec_of("gru", reset_after=False, **BOTH), 0, SHAPE, initial=True),
    "two-ways": random_problem(
        two_ways(spec_of("lstm", **BOTH), merge_mode=None),
        0,
        SHAPE,
        mask=["011011"] * 5,
        initial=True,
    ),
    "stack": random_problem(
        stack_of(spec_of("gru", **SEQUENCES), spec_of("lstm", **BOTH)), 0, SHAPE, initial=True
    ),
    "calls": random_problem(
        spec_of("lstm", stateful=True, **BOTH),
        0,
        SHAPE,
        mask=["011011"] * 5,
        initial=True,
        calls=[2, 3, 1],
    ),
}


def test_the_script_shows_the_difference_with_keras_alone(tmp_path):
    """What tf.keras gives is as far from the port's outputs as the reference is, and as near to the
    reference's."""
    for name, problem in WHOLE.items():
        wrong, right = given(problem), [t.data for t in compute(problem)]
        for folder, told in (
            ("wrong", wrong),
            ("right", given(problem, lambda _, right=right: right)),
        ):
            files = write_bundle(tmp_path / name / folder, told, "wrong")
            assert [file.name for file in files] == ["problem.json", "reproduce.py"]
            assert len(files[1].read_text().splitlines()) <= (30 if problem.calls else 25)
            assert "rnnparity" not in files[1].read_text()
            assert wire.read_problem(files[0]).id == told.id
    loop = "import runpy, sys\nfor path in sys.argv[1:]: runpy.run_path(path)"
    scripts = sorted(map(str, tmp_path.rglob("reproduce.py")))
    ran = subprocess.run(
        [sys.executable, "-c", loop, *scripts], capture_output=True, text=True, check=True
    )
    found = [
        float(size) for size in re.findall(r"largest difference (\S+)$", ran.stdout, re.MULTILINE)
    ]
    count = [len(WHOLE[name].output_slots()) for name in sorted(WHOLE)]
    for size in count:
        (right, wrong), found = (found[:size], found[size : 2 * size]), found[2 * size :]
        assert max(right) < 1e-6
        assert min(wrong) > 1e-3
    assert found == []


@pytest.mark.parametrize("path", [path for path in KERAS["keras"].paths if path])
def test_a_script_takes_the_path_that_was_asked(path, tmp_path):
    _, script = write_bundle(tmp_path, given(lstm()), "wrong", f"keras:{path}")
    words, call = PATHS[path]
    assert f"{call}(x, mask=mask" in script.read_text()
    assert all(repr(word) in script.read_text() for word in words)
    assert wire.read_problem(tmp_path / "problem.json").outputs[0].data[0, 0, 0] == np.float32(
        compute(lstm())[0].data[0, 0, 0]
    )


@pytest.mark.parametrize(
    ("subject", "problem", "why"),
    [
        (
            "",
            random_problem(spec_of("gru", recurrent_activation="hard_sigmoid_keras2"), 0, SHAPE),
            "hard_sigmoid_k",
        ),
        (
            "tf-keras",
            random_problem(spec_of("gru", recurrent_activation="hard_sigmoid"), 0, SHAPE),
            "hard_sigmoid, ",
        ),
        (
            "keras:predict",
            random_problem(spec_of("gru"), 0, SHAPE, initial=True),
            "Model.predict with more",
        ),
        (
            "keras-jax:jit",
            random_problem(spec_of("gru", stateful=True), 0, SHAPE, calls=[2, 4]),
            "a stateful layer",
        ),
        ("onnx-reference", random_problem(spec_of("gru", dtype="bfloat16"), 0, SHAPE), "bfloat16"),
    ],
)
def test_what_no_script_can_run_is_refused(subject, problem, why, tmp_path):
    with pytest.raises(RequestError, match=f"no script can be made of {why}"):
        write_bundle(tmp_path / "bundle", problem, "wrong", subject)
    assert not (tmp_path / "bundle").exists()


def test_a_script_says_what_was_said_whatever_it_was(tmp_path):
    for said in ('raised ValueError: "x"', "no\\such \\N", '"""', "long " * 60):
        _, script = write_bundle(tmp_path, given(lstm()), said)
        with warnings.catch_warnings(action="error"):
            docstring = ast.get_docstring(ast.parse(script.read_text()))
        assert docstring.split() == ["problem:", *said.replace('"""', "'''").split()]
        assert max(map(len, docstring.splitlines())) <= 117


def test_a_difference_beside_small_values_is_told_relative_to_them(tmp_path):
    """The largest of all is noise, beside the large ones."""
    problem = catalogue()["saturation-lstm-forward-32"]
    expected = expect(problem)
    values, sigmas = expected.outputs[0].data, expected.sigmas[0]
    small, large = np.abs(values).argmin(), sigmas.argmax()
    for share, words in ((0, "largest difference"), (1e-3, "largest relative difference")):
        output = values.copy()
        output.flat[large] += 3 * sigmas.flat[large]
        output.flat[small] *= 1 + share
        assert share * abs(values.flat[small]) < sigmas.flat[large]
        outputs = [Tensor.of("output", output), *golden_outputs(problem)[1:]]
        _, script = write_bundle(tmp_path, problem.with_outputs(outputs), "wrong", "keras")
        assert words in script.read_text()


# ------------------------------------------------------------------------- what is no value: the
# command has to ask


def asked(monkeypatch, outcome):
    """Make a subject, of the Keras whose differences are known, give an outcome."""

    @contextmanager
    def open_session(name):
        versions = {"keras": "3.15.1"}
        yield SimpleNamespace(name=name, versions=versions, judge=judge_outcome, ask=outcome)

    monkeypatch.setattr("rnnparity.session.ask.open_session", open_session)


def test_a_subject_that_fails_leaves_a_bundle(here, monkeypatch, tmp_path):
    asked(monkeypatch, lambda problem: Outcome(problem, error="ValueError: no"))
    for more, status in (([], 2), (["--bundle", str(tmp_path / "bundle")], 1)):
        said = here("explain", CONSTANT, "--subject", "keras", *more)
        assert said == (
            status,
            "",
            f"rnnparity: {CONSTANT}: subject 'keras' failed: ValueError: no\n",
        )
    right = wire.read_problem(tmp_path / "bundle" / "problem.json").outputs
    assert np.allclose(right[0].data, compute(catalogue()[CONSTANT])[0].data)


def test_a_subject_that_refuses_leaves_none(here, monkeypatch, tmp_path):
    asked(monkeypatch, lambda problem: Outcome(problem, unsupported="no"))
    status, _, err = here(
        "explain", CONSTANT, "--subject", "keras", "--bundle", str(tmp_path / "bundle")
    )
    assert (status, "does not support it: no" in err, list(tmp_path.iterdir())) == (2, True, [])


def test_wrong_shapes_beside_right_values_are_told_and_shown(here, monkeypatch, tmp_path):
    asked(
        monkeypatch,
        lambda problem: Outcome(
            problem, Answer(golden_outputs(problem), {"symbolic": [[None, 3]]})
        ),
    )
    status, out, _ = here(
        "explain",
        CONSTANT,
        "--subject",
        "keras",
        "--bundle",
        str(tmp_path),
        "--html",
        str(tmp_path / "page.html"),
    )
    assert status == 1
    assert (
        "these outputs diverge\n  symbolic shapes: got ((None, 3),), expected ((None, None, " in out
    )
    assert "  cause: unexplained" in out
    script = (tmp_path / "reproduce.py").read_text()
    assert (
        'layer.compute_output_shape((None, None, x.shape[-1])), "but should be", [(None, None, '
        in script
    )


def test_what_is_listed_is_told(here, monkeypatch):
    """With its name, its standing and its place; of another kind of difference, or of another
    problem, nothing."""
    listed = "listed: bidirectional-shape-of-unequal-halves (mistake; keras/src/layers/rnn/bidirectional.py: compute"
    wrong_shapes = {"symbolic": [[None, 3]]}
    case = catalogue()["halves-units-concat"]
    asked(
        monkeypatch, lambda problem: Outcome(problem, Answer(golden_outputs(problem), wrong_shapes))
    )
    assert listed in here("explain", case.id, "--subject", "keras")[1]
    status, out, _ = here("explain", case.id, "--subject", "keras", "--json")
    assert (status, len(json.loads(out)["listed"])) == (1, 1)
    assert "listed" not in here("explain", CONSTANT, "--subject", "keras")[1]
    assert "listed" not in here("explain", case.id, "--subject", "torch")[1]
    other = replace(case, inputs=Tensor("inputs", case.inputs.data * 0.5))
    assert not explain_subject(other, "keras").listed
    asked(
        monkeypatch, lambda problem: Outcome(problem, error="IndexError: list index out of range")
    )
    err = here("explain", "halves-lstm_gru-sum-mask", "--subject", "keras")[2]
    assert (
        "IndexError: list index out of range; listed: initial-state-is-split-in-the-middle (mistake; "
        in err
    )


def test_a_bundle_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="file: cannot be written"):
        write_bundle(tmp_path / "file", given(lstm()), "wrong")


# ---------------------------------------------------------------------------------------------
# telling causes apart


def test_what_fits_alike_is_told_apart_by_an_input_made_for_it():
    told = with_separator(explain(given(catalogue()[CONSTANT])))
    assert told.apart is not None
    assert told.apart.outputs is None
    again = explain(given(told.apart))
    assert again.fault.name == "bias-missing: all of it"
    assert len(again.also_fits) < len(told.also_fits)


def test_a_subject_is_asked_again_until_one_cause_is_left():
    first = explain(given(catalogue()[CONSTANT]))
    assert first.also_fits
    told = explain_subject(catalogue()[CONSTANT], without_bias)
    assert (told.fault.name, told.also_fits) == ("bias-missing: all of it", ())
    assert 1 <= told.probes <= PROBES
    assert "asked again" in text(told)


def test_a_subject_that_gives_nothing_when_asked_again():
    first = with_separator(explain(given(catalogue()[CONSTANT])))
    told = probed(first, lambda _: None)
    assert (told.fault, told.also_fits, told.probes) == (first.fault, first.also_fits, 1)


# ------------------------------------------------------------------------------------------------------
# whole runs


def test_a_run_names_the_cause_of_every_case():
    report = check(without_bias, k="lstm and spread and not stateful and mask_interior").subjects[0]
    assert report.failing
    assert {faults_name(case.cause.faults) for case in report.failing} == {
        "bias-missing: all of it",
        "bias-missing: all of it (every half)",
    }


def test_causes_are_counted_and_searched_so_often_and_no_more(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr("rnnparity.explanation.causes.SEARCHED", 2)
    monkeypatch.setattr("rnnparity.explanation.search.PAIRS", 200)

    def nonsense(problem):
        return [
            rng.standard_normal(slot.shape).astype(np.float32) for slot in problem.output_slots()
        ]

    report = check(nonsense, k="gru-spread and mask_interior and not bidirectional").subjects[0]
    causes = [case.cause for case in report.failing]
    assert (causes.count(Cause()), set(causes)) == (2, {Cause(), None})


# ------------------------------------------------------------------------------------------------------
# the command


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(wire.dump_pretty(given(catalogue()[CONSTANT])))
    return path


def test_everything_at_once(here, file, tmp_path):
    paths = {name: tmp_path / name for name in ("page.html", "bundle", "apart.json")}
    status, out, err = here(
        "explain", str(file), "--html", str(paths["page.html"]), "--bundle", str(paths["bundle"]),
        "--separate", str(paths["apart.json"]),
    )  # fmt: skip
    assert (status, err) == (1, "")
    assert "  fits as well, these inputs cannot tell: " in out
    assert "\x1b" not in out
    assert paths["page.html"].read_text().startswith("<!doctype html>")
    assert (paths["bundle"] / "reproduce.py").exists()
    assert wire.read_problem(paths["apart.json"]).id == f"{CONSTANT}-apart"


def test_the_trials_as_a_command(here):
    status, out, err = here("sweep", "--faults", "-n", "2", "-j", "1", "--seed", "79")
    assert (status, err) == (0, "")
    assert sorted({line.split()[0] for line in out.splitlines()[1:]}) == [
        "float16", "healthy", "pair", "single", "unlisted",
    ]  # fmt: skip


def test_from_stdin_and_by_name(here, file, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    status, out, _ = here("explain", "-", "--json")
    assert (status, json.loads(out)["cause"], json.loads(out)["certain"]) == (
        1,
        "bias-missing",
        False,
    )
    status, out, _ = here("explain", "gru-spread-last", "--subject", "reference")
    assert (status, out.splitlines()[0]) == (0, "gru-spread-last: these outputs agree")


def test_bad_requests_are_one_line(here, file, tmp_path):
    right = tmp_path / "right.json"
    problem = catalogue()["gru-spread-last"]
    right.write_text(
        wire.dump_pretty(
            problem.with_outputs([Tensor.of(t.name, t.data) for t in compute(problem)])
        )
    )
    for words, said in (
        (["nowhere.json"], "nowhere.json: "),
        ([str(file), "--html", str(tmp_path)], f"{tmp_path}: cannot be written: is a folder"),
        ([str(right), "--separate", str(tmp_path / "x.json")], "there is nothing to tell apart"),
        (["gru-spread-last"], "has no outputs to explain"),
        (["gru-spread-last", "--subject", "no:such"], "no"),
    ):
        status, out, err = here("explain", *words)
        assert (status, err.count("\n")) == (2, 1), words
        assert bool(out) == ("--separate" in words)  # the answer comes first
        assert err.startswith("rnnparity: ")
        assert said in err
