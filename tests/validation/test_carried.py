"""Ports made wrong on purpose around an engine: they give what the fault gives, and the trials can
fail."""

from dataclasses import replace

import numpy as np
import pytest
from _support.command_line import here, own_package
from _support.fault_tools import fault
from _support.random_problems import (
    BOTH,
    MASK,
    SEQUENCES,
    SHAPE,
    random_problem,
    spec_of,
    stack_of,
    two_ways,
)

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.faults import FAULTS, EditArithmetic, EditCell, candidates, run_all
from rnnparity.faults.injection import edited_problem
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import Bidirectional, Recurrent
from rnnparity.problem.results import Cause, Finding, FindingType, Verdict
from rnnparity.reference import compute
from rnnparity.subjects import FunctionSubject, make_subject
from validation import carried
from validation.carried import Carry, carried_trials, carry_fault, lines
from validation.port import Way, carry
from validation.trial import Result, Trial, far

__all__ = ["here"]

PROBLEMS = {
    "lstm": random_problem(spec_of("lstm", **BOTH), 0, SHAPE, initial=True),
    "masked": random_problem(spec_of("gru", go_backwards=True, **BOTH), 1, SHAPE, mask=MASK),
    "both ways": random_problem(two_ways(spec_of("gru", **SEQUENCES)), 2, SHAPE, mask=MASK[:5]),
    "stack": random_problem(
        stack_of(spec_of("lstm", **SEQUENCES), spec_of("simple_rnn")), 3, SHAPE
    ),
    "stateful": random_problem(spec_of("lstm", stateful=True, **BOTH), 4, SHAPE, calls=(3, 2, 1)),
}


def in_float32(problem):
    return [tensor.data.astype(np.float32) for tensor in compute(problem, np.float32)]


def one_way_unmasked(problem):
    """As many engines are: one layer, no masks."""
    if not isinstance(problem.layer, Recurrent) or problem.mask is not None or problem.calls:
        raise Unsupported("one layer without a mask alone")
    return in_float32(problem)


def struck_by(problem, name, place=None):
    made = candidates(problem, [fault(name)])
    return next(struck for struck in made if place in (None, struck.placed[0].location))


@pytest.mark.parametrize("engine", [in_float32, one_way_unmasked])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_port_gives_what_the_fault_gives(name, engine):
    problem, ways, subject = PROBLEMS[name], set(), FunctionSubject(engine)
    for struck in candidates(problem)[::3]:
        batch = next(run_all([struck]), None)
        if isinstance(struck.placed[0].fault.edit, EditCell | EditArithmetic):
            continue
        given = carry(subject, struck)
        assert (given is None) == (batch is None), struck.placed[0].name
        if given is None:
            continue
        assert not far(edited_problem(struck), given.outputs, batch.mutant(0).outputs), (
            struck.placed[0].name,
            given.way,
        )
        assert {t.dtype for t in given.outputs} == {"float32"}
        ways.add(given.way)
    alone = engine is one_way_unmasked and name != "lstm"
    assert (Way.WHOLE in ways, Way.STEPS in ways) == (not alone, problem.mask is not None)


def test_what_no_engine_can_be_made_to_compute_is_said():
    subject, problem = FunctionSubject(in_float32), PROBLEMS["lstm"]
    with pytest.raises(Unsupported, match="its own equations"):
        carry(subject, struck_by(problem, "peephole-or-clip: LSTM, peephole"))
    with pytest.raises(Unsupported, match="no policy"):
        carry(subject, struck_by(problem, "low-precision: TF32"))


FUNCTIONS = [one for one in FAULTS if isinstance(one.edit, EditCell) and one.cause == "activation"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.variant)
def test_the_functions_of_an_lstm_each_by_itself_in_onnx(function):
    pytest.importorskip(
        "onnxruntime", reason="ONNX Runtime is not installed: pip install onnxruntime"
    )
    subject = make_subject("onnxruntime")
    problem = random_problem(
        two_ways(spec_of("lstm", activation="softsign", **SEQUENCES)), 9, SHAPE
    )
    for struck in candidates(problem, [function]):
        (batch,) = run_all([struck])
        given = carry(subject, struck)
        assert given.way is Way.HALVES
        assert not far(problem, given.outputs, batch.mutant(0).outputs), struck.placed[0].name
    with_parameters = random_problem(spec_of("lstm", recurrent_activation="hard_sigmoid"), 9, SHAPE)
    with pytest.raises(Unsupported, match="one list"):
        carry(subject, candidates(with_parameters, [function])[0])


def test_less_precision_is_the_engines_own():
    asked = []

    def coarse(problem):
        asked.append(problem.layer.dtype)
        return [array.astype(np.float16) for array in in_float32(problem)]

    given = carry(FunctionSubject(coarse), struck_by(PROBLEMS["lstm"], "low-precision: float16"))
    assert asked == ["float16"]
    assert {t.dtype for t in given.outputs} == {"float32"}
    assert all((t.data == t.data.astype(np.float16)).all() for t in given.outputs)


def test_a_layer_that_keras_has_not_is_put_together_by_the_port():
    """A subject may take for granted that a backward half reads backwards."""
    seen = []
    problem = random_problem(two_ways(spec_of("lstm", **SEQUENCES)), 5, SHAPE)
    subject = FunctionSubject(lambda one: seen.append(type(one.layer)) or in_float32(one))
    struck = struck_by(problem, "reverse-ignored: read forward", "backward/")
    assert carry(subject, struck).way is Way.HALVES
    assert Bidirectional not in seen


# ----------------------------------------------------------------------------------------------------
# trials


def use(monkeypatch, function):
    monkeypatch.setattr(carried, "_subject", lambda _: FunctionSubject(function))


def place_of(name):
    return FAULTS.index(fault(name))


@pytest.mark.parametrize(
    "name", ["gate-order: LSTM iofc (ONNX) in all weights", "mask-ignored: every step counts"]
)
def test_trials_of_a_fault(monkeypatch, name):
    use(monkeypatch, one_way_unmasked)
    done = carry_fault("one_way", place_of(name), 4, 0)
    assert [trial.result in (Result.NAMED, Result.BESIDE) for trial in done.trials] == [True] * 4
    assert all(trial.made.startswith(name) for trial in done.trials)
    assert len({trial.made for trial in done.trials}) == 4
    again = carry_fault("one_way", place_of(name), 4, 0)
    assert again.trials == done.trials
    assert carry_fault("one_way", place_of(name), 4, 1).trials != done.trials


def test_a_fault_that_is_never_carried_is_given_up(monkeypatch):
    use(monkeypatch, in_float32)
    done = carry_fault("mine", place_of("peephole-or-clip: LSTM, peephole"), 4, 0)
    assert done.trials == []
    assert dict(done.refused) == {"the engine has its own equations alone": carried.REFUSED}


def test_every_place_has_its_turn(monkeypatch):
    use(monkeypatch, in_float32)
    made = [
        trial.made
        for trial in carry_fault("mine", place_of("bias-missing: all of it"), 25, 0).trials
    ]
    assert [
        any(place in one for one in made) for place in ("(forward)", "(backward)", "(every half)")
    ] == [True] * 3


def test_an_engine_that_carries_a_fault_may_refuse_it_as_often_as_it_likes(monkeypatch):
    asked = []

    def every_other(problem):
        asked.extend([problem.id] if problem.id not in asked else [])
        if asked.index(problem.id) % 2:
            raise Unsupported("not this one")
        return in_float32(problem)

    use(monkeypatch, every_other)
    monkeypatch.setattr(carried, "REFUSED", 1)
    done = carry_fault("mine", place_of("bias-missing: all of it"), 5, 0)
    assert (len(done.trials), done.refused["not this one"] >= 4) == (5, True)


def test_an_engine_that_fails_is_counted(monkeypatch):
    def fails(problem):
        raise ValueError("no memory")

    use(monkeypatch, fails)
    done = carry_fault("mine", place_of("bias-missing: all of it"), 4, 0)
    assert (done.trials, dict(done.failed)) == ([], {"ValueError: no memory": carried.REFUSED})


def test_a_port_that_is_not_wrong_is_missed(monkeypatch):
    """The test of the trials: outputs in which the fault is not, and an explanation that always
    says the same."""
    use(monkeypatch, in_float32)
    name = "bias-missing: all of it"
    real = carried.carry
    monkeypatch.setattr(
        carried,
        "carry",
        lambda engine, struck: real(engine, replace(struck, problem=struck.problem, halves=())),
    )
    assert Result.MISSED in {
        trial.result for trial in carry_fault("mine", place_of(name), 3, 0).trials
    }
    monkeypatch.undo()
    use(monkeypatch, in_float32)
    always = diagnose(
        PROBLEMS["lstm"].with_outputs(carry(FunctionSubject(in_float32), wrong()).outputs)
    )
    monkeypatch.setattr(carried, "diagnose", lambda problem: replace(always, problem=problem))
    assert Result.WRONG in {
        trial.result for trial in carry_fault("mine", place_of(name), 3, 0).trials
    }


def wrong():
    return struck_by(PROBLEMS["lstm"], "units-reversed: recurrent kernel")


def test_what_is_said_of_all():
    def tried(*results):
        return [Trial("mine", 0, "this in case", "diverges: that", result) for result in results]

    found = [
        Carry("a", "one", tried(Result.NAMED, Result.UNSEEN, Result.UNEXPLAINED)),
        Carry("a", "other"),
        Carry("b", "third"),
    ]
    found[1].refused["no such type"] += 2
    found[2].failed["ValueError: no"] += 1
    assert list(lines(found)) == [
        "a: 1 of 2 faults carried, 3 trials, cause named in 1 of 2 that could be seen (50.0 %)",
        "b: 0 of 1 faults carried, 0 trials, cause named in 0 of 0 that could be seen",
        "never carried: no such type (1): a: other",
        "never carried: ValueError: no (1): b: third",
        "failed: ValueError: no (1)",
        "unexplained: mine: made this in case; told diverges: that",
        "1 of 3 faults carried, 3 trials, cause named in 1 of 2 that could be seen (50.0 %)",
    ]


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Three faults of the list, and functions that a worker can import."""
    monkeypatch.setattr(carried, "FAULTS", FAULTS[:3])
    monkeypatch.syspath_prepend(own_package(tmp_path))


def test_as_a_command(here, few):
    status, out, err = here(
        "sweep", "--faults", "--subject", "own.functions:right", "-n", "2", "-j", "1"
    )
    assert (status, err) == (0, "")
    assert "own.functions:right step by step" in out or "own.functions:right as one layer" in out
    assert (
        out.splitlines()[-1]
        == "3 of 3 faults carried, 6 trials, cause named in 6 of 6 that could be seen (100.0 %)"
    )


def test_a_wrong_cause_is_an_exit_status(here, monkeypatch):
    wrong = Trial("mine as one layer", 0, "this in case", "diverges: that", Result.WRONG)
    monkeypatch.setattr(carried, "carried_trials", lambda *_: [Carry("a", "one", [wrong])])
    status, out, _ = here("sweep", "--faults", "--subject", "mine")
    assert status == 1
    assert "mine as one layer 0: made this in case; told diverges: that" in out


def test_bad_requests_are_one_line(here, few):
    for subject, said in (
        ("nope", "subject 'nope' is unknown"),
        ("own.functions:unsupported", "carries none of the faults"),
        ("own.functions:nothing", "it returned None, no outputs"),
    ):
        status, out, err = here("sweep", "--faults", "--subject", subject, "-n", "1", "-j", "1")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err
    status, _, err = here("sweep", "--subject", "torch")
    assert (status, "goes with --faults" in err) == (2, True)


def test_progress_is_told(few):
    told = []
    carried_trials("own.functions:right", 1, 0, 1, lambda *words: told.append(words))
    assert told == [("faults in own.functions:right", n, 3) for n in (1, 2, 3)]


def test_a_worker_that_dies_is_said(few, monkeypatch):
    with pytest.raises(RequestError, match="its process died"):
        carried_trials("own.functions:dies_with_initial_states", 30, 0, 1)


# ------------------------------------------------------------------------------------- what the
# trials have found


def test_one_cause_comes_before_two():
    """Halves that are averaged where both are asked for were told as a sum, and halved."""
    problem = random_problem(two_ways(spec_of("lstm", **SEQUENCES), merge_mode=None), 6, SHAPE)
    given = carry(FunctionSubject(in_float32), struck_by(problem, "merge-mode: ave"))
    assert diagnose(problem.with_outputs(given.outputs)).fits[0].name == "merge-mode: ave"


def test_noise_grows_with_values():
    """A relu that lets the state grow leaves float32 further from the reference than tanh ever
    would."""
    problem = random_problem(spec_of("simple_rnn", units=7, **SEQUENCES), 0, (4, 9, 3), scale=3.0)
    given = carry(FunctionSubject(in_float32), struck_by(problem, "activation: relu"))
    assert max(np.abs(t.data).max() for t in given.outputs) > 1000
    assert diagnose(problem.with_outputs(given.outputs)).fits[0].name == "activation: relu"


def test_one_of_the_whole_comes_before_what_gives_the_same():
    problem = random_problem(two_ways(spec_of("lstm", **SEQUENCES), merge_mode="sum"), 6, SHAPE)
    given = carry(FunctionSubject(in_float32), struck_by(problem, "merge-mode: ave"))
    names = [mutant.name for mutant in diagnose(problem.with_outputs(given.outputs)).fits]
    assert names[0] == "merge-mode: ave"
    assert "unit-scale: outputs times 0.5 (every half)" in names


def test_numbers_of_a_coarse_type_are_said():
    """Of noise that has grown too far no fault can be told; that all numbers are coarse can."""
    problem = random_problem(spec_of("simple_rnn", units=8), 7, (4, 20, 3), scale=3.0)
    given = carry(FunctionSubject(in_float32), struck_by(problem, "low-precision: float16"))
    outputs = [replace(t, data=t.data.astype(np.float16)) for t in given.outputs]
    explanation = diagnose(problem.with_outputs(outputs)).explanation
    assert explanation.cause == Cause()
    assert Finding(FindingType.NUMBERS_OF_TYPE, "float16") in explanation.findings


def test_an_activation_that_is_exact_to_some_digits_alone():
    """ONNX Runtime's sigmoid is off by 5e-9 where it is 2e-6: far off in sigma, and no fault of the
    list."""
    problem = random_problem(spec_of("lstm", **SEQUENCES), 8, SHAPE)
    bias = problem.weights[-1].data.copy()
    bias[-1] -= 16  # the output gate of one unit, and so its output, next to nothing
    problem = replace(
        problem, weights=(*problem.weights[:-1], replace(problem.weights[-1], data=bias))
    )
    given = [
        replace(t, data=(t.data + 1e-11).astype(np.float32), dtype="float32")
        for t in compute(problem)
    ]
    explanation = diagnose(problem.with_outputs(given)).explanation
    assert (explanation.verdict, explanation.cause) == (Verdict.DIVERGES, Cause())
    assert explanation.findings == (Finding(FindingType.BELOW_USUAL_NOISE),)
    assert explanation.first is None
    turned = [replace(tensor, data=tensor.data.swapaxes(0, 1)) for tensor in given]
    transposed = diagnose(problem.with_outputs(turned)).explanation
    assert transposed.cause.names == ("axis-swapped",)
