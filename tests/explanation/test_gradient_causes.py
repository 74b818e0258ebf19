"""Wrong gradients, computed in float32 with a fault of the backward pass, and what explains them."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import BOTH, random_problem, spec_of
from _support.single_precision import Float32Arithmetic

from rnnparity.catalogue import catalogue
from rnnparity.catalogue.cotangents import with_cotangents
from rnnparity.explanation.gradients import explain_gradients
from rnnparity.faults import BACKWARD_FAULTS, placements, run_backward
from rnnparity.faults.backward_flow import truncated_every
from rnnparity.faults.fault import PlacedFault
from rnnparity.problem.errors import RequestError
from rnnparity.problem.explanations import WHOLE, FaultId
from rnnparity.problem.problem import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference.gradients.backward import BackwardUnroller

# Each fault is explained in these until it is the only one that fits.
CASES = (
    "lstm-spread-sequences-state-initial",
    "gru-spread-sequences-state-initial",
    "gru-spread-sequences-state-mask_right_full",
    "activation-gelu-gru-values",
    "activation-hard_sigmoid-gru-gates",
    "sources-001-textbook",
    "bi_simple_rnn-spread-concat-sequences-state",
    "dropout-both-lstm-forward",
    "edge-kink-selu-simple_rnn",
)


def with_gradients(problem, arrays):
    """The problem with gradients in the types of their slots; arrays have an axis of runs."""
    pairs = zip(problem.gradient_slots(), arrays, strict=True)
    gradients = tuple(Tensor.of(slot.name, array[0], slot.dtype) for slot, array in pairs)
    return replace(problem, gradients=gradients)


def healthy(problem):
    problem = with_cotangents(problem)
    unroller = BackwardUnroller(problem, Float32Arithmetic())
    return with_gradients(problem, unroller.gradients(problem.cotangents))


def explanation_of(problem, placed):
    """None where the fault does not apply."""
    arrays = run_backward(problem, placed, Float32Arithmetic())
    if arrays is None:
        return None
    return explain_gradients(with_gradients(problem, arrays)).explanation


def first_explanation(problem, fault):
    """The first location where the fault applies, and what explains it there."""
    for placed in placements(problem, fault):
        found = explanation_of(problem, placed)
        if found is not None:
            return placed, found
    return None, None


def edited(problem, edit):
    """The problem with healthy gradients in float32, all of them edited."""
    problem = healthy(problem)
    gradients = [replace(t, data=edit(t.name, t.data).astype("f4")) for t in problem.gradients]
    return replace(problem, gradients=tuple(gradients))


def lstm(seed=0, **options):
    return random_problem(spec_of("lstm", 3, **BOTH, **options), seed, (3, 7, 4), initial=True)


def test_every_fault_is_named_from_its_own_gradients():
    one_array = [f for f in BACKWARD_FAULTS if f.variant.endswith("kernel")]
    left = [f for f in BACKWARD_FAULTS if "swapped" not in f.cause or f not in one_array]
    for name in CASES:
        problem = with_cotangents(catalogue()[name])
        for fault in tuple(left):
            placed, found = first_explanation(problem, fault)
            if found is None or found.verdict is not Verdict.DIVERGES:
                continue
            assert (placed.id,) in (found.cause.faults, *found.cause.also_fits)
            assert found.cause.certain
            if not found.cause.also_fits:
                assert found.sigma > found.threshold > found.sigma_with_cause
                assert found.descriptions[0].description == fault.description
                left.remove(fault)
    assert not left


def test_noise_of_a_faulty_pass_that_grows():
    """Without the slopes of tanh gradients grow over many steps, and so does their noise."""
    spec = spec_of("simple_rnn", 6, return_sequences=True)
    problem = with_cotangents(random_problem(spec, 1, (2, 40, 3), scale=1.6))
    (fault,) = [
        f for f in BACKWARD_FAULTS if (f.cause, f.variant) == ("derivative-missing", "activation")
    ]
    found = explanation_of(problem, PlacedFault(fault, ""))
    assert found.cause.faults == (FaultId("derivative-missing", "activation", ""),)
    assert found.sigma > 1e6


def test_healthy_gradients_agree():
    explanation = explain_gradients(healthy(lstm())).explanation
    assert explanation.verdict is Verdict.AGREES
    assert explanation.sigma < 5
    assert (explanation.cause, explanation.differences) == (None, ())


def test_unpredictable_gradients_are_inconclusive():
    problem = random_problem(spec_of("simple_rnn", 40), 0, (2, 90, 3), scale=30.0)
    explanation = explain_gradients(healthy(problem)).explanation
    assert explanation.verdict is Verdict.INCONCLUSIVE
    assert explanation.reason.startswith("the rounding noise")


def test_truncation_of_any_length():
    problem = with_cotangents(lstm())
    found = explanation_of(problem, PlacedFault(truncated_every(6), ""))
    assert found.cause.faults == (FaultId("gradient-truncated", "every 6 steps", ""),)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (None, "all"),
        (("kernel", "recurrent_kernel", "bias"), "weights"),
        (("bias",), "bias"),
        (("initial_state/c",), "initial_state/c"),
    ],
)
def test_factor_is_read_off(names, what):
    problem = edited(lstm(), lambda name, a: 4.4 * a if names is None or name in names else a)
    cause = explain_gradients(problem).explanation.cause
    assert cause.faults == (FaultId("gradient-scaled", f"{what}, by 4.4", WHOLE),)
    assert cause.certain


def test_limit_is_read_off():
    problem = edited(lstm(), lambda _, a: np.clip(a, -0.25, 0.25))
    cause = explain_gradients(problem).explanation.cause
    assert cause.faults == (FaultId("gradient-clipped", "values, to 0.25", WHOLE),)


def test_what_no_fault_gives_is_unexplained():
    problem = edited(lstm(), lambda _, a: a + 0.01 * np.cos(np.arange(a.size)).reshape(a.shape))
    explanation = explain_gradients(problem).explanation
    assert explanation.verdict is Verdict.DIVERGES
    assert not explanation.cause.explained
    assert explanation.candidates > 50
    assert {d.output for d in explanation.differences} == {t.name for t in problem.gradients}


def test_one_value_off_is_no_fault_of_an_array():
    def edit(name, array):
        array = array.copy()
        if name == "bias":
            array[0] *= 1.01
        return array

    explanation = explain_gradients(edited(lstm(), edit)).explanation
    assert not explanation.cause.explained
    (difference,) = explanation.differences
    assert (difference.output, difference.differing) == ("bias", 1)


def test_no_gradient_counts_as_zeros():
    problem = healthy(lstm())
    states = ("initial_state/h", "initial_state/c")
    gradients = tuple(None if t.name in states else t for t in problem.gradients)
    explanation = explain_gradients(replace(problem, gradients=gradients)).explanation
    assert explanation.cause.faults == (FaultId("gradient-missing", "initial states", ""),)


def test_gradients_that_are_integers():
    problem = healthy(lstm())
    gradients = [replace(t, data=np.zeros(t.shape, "i4")) for t in problem.gradients]
    explanation = explain_gradients(replace(problem, gradients=tuple(gradients))).explanation
    assert explanation.cause.faults == (FaultId("gradient-missing", "half", ""),)


def test_gradient_that_is_not_finite():
    problem = edited(lstm(), lambda name, a: np.full_like(a, np.nan) if name == "bias" else a)
    explanation = explain_gradients(problem).explanation
    assert not explanation.cause.explained
    assert [str(finding.type) for finding in explanation.findings] == ["not-finite"]


def test_problem_without_gradients():
    with pytest.raises(RequestError, match="has no gradients to explain"):
        explain_gradients(with_cotangents(lstm()))
