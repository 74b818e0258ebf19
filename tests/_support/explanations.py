"""Problems with wrong outputs for the tests of explanations, and the outputs of faults."""

from dataclasses import replace

import numpy as np
from _support.random_problems import BOTH, SEQUENCES, SHAPE, random_problem, spec_of, two_ways

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.faults import FAULTS, EditArithmetic, Fault, PlacedFault, inject, run_all
from rnnparity.golden.goldens import golden_outputs
from rnnparity.problem.explanations import WHOLE
from rnnparity.problem.problem import Tensor
from rnnparity.reference import compute
from rnnparity.reference.arithmetic import PlainArithmetic
from rnnparity.report.text.messages import faults_name

# A case of the catalogue with a mask, sequences and states, and one that hides many faults.
CASE = "lstm-spread-sequences-state-mask_interior"
CONSTANT = "lstm-constant-sequences-state"
# NumPy's own float16, which rounds after every operation.
NUMPY_FLOAT16 = PlacedFault(
    Fault("", "", "", "", EditArithmetic(PlainArithmetic(np.float16))), WHOLE
)


def lstm(**options):
    return random_problem(spec_of("lstm", **BOTH), 0, SHAPE, **options)


def bidirectional_gru(config=BOTH, merge_mode="concat", seed=1):
    return random_problem(two_ways(spec_of("gru", **config), merge_mode=merge_mode), seed, SHAPE)


def large_gru(**config):
    """A problem so large that it is explained on a slice."""
    return random_problem(spec_of("gru", 96, **{**SEQUENCES, **config}), 0, (16, 40, 48))


def listed(name):
    """The fault of the list with this name."""
    (fault,) = [fault for fault in FAULTS if f"{fault.cause}: {fault.variant}" == name]
    return fault


def placed(name, location=""):
    fault = listed(name)
    return PlacedFault(fault, WHOLE if fault.is_whole else location)


def with_tensors(problem, tensors):
    """The problem with outputs in its own dtype."""
    dtype = problem.threshold_type
    return problem.with_outputs([Tensor.of(t.name, t.data, dtype) for t in tensors])


def with_faults(problem, *faults):
    """The problem with the outputs that it has under faults."""
    (batch,) = run_all([inject(problem, faults)])
    return with_tensors(problem, batch.mutant(0).outputs)


def with_expected(problem):
    """The problem with its golden outputs."""
    return problem.with_outputs(golden_outputs(problem))


def with_reference(problem):
    """The problem with the outputs of the reference in float64."""
    return problem.with_outputs([Tensor.of(t.name, t.data) for t in compute(problem)])


def with_output(problem, data):
    """The problem with other values in its first output."""
    first, *others = problem.outputs
    return problem.with_outputs([replace(first, data=data), *others])


def without_bias(problem):
    """Return the outputs of a port that ignores the bias."""
    weights = [_without_bias(tensor) for tensor in problem.weights]
    problem = replace(problem, weights=tuple(weights), outputs=None)
    return [tensor.data for tensor in compute(problem, np.float32)]


def _without_bias(tensor):
    return replace(tensor, data=0 * tensor.data) if tensor.name.endswith("bias") else tensor


def from_port(problem, port=without_bias):
    """The problem with the outputs of a port."""
    slots = problem.output_slots()
    pairs = zip(slots, port(problem), strict=True)
    return problem.with_outputs([Tensor(slot.name, array) for slot, array in pairs])


def explanation_of(problem):
    return diagnose(problem).explanation


def cause_name(problem):
    """The name of the mutant that explains a problem's outputs."""
    return faults_name(diagnose(problem).fits[0].faults)
