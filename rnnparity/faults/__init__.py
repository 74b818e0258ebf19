"""The faults: a list of named ways to compute a recurrent layer incorrectly.

The list serves twice: as mutants, which the catalogue must detect (`detecting_cases`), and as
candidates for the cause of a divergence (`candidates`).

Every file holds one part of the list. A new fault is one entry of such a part: its `edit` is one
value of the union in `edit`, whose function returns None where the fault does not apply:

    def _double_bias(half: Half) -> Weights | None:
        if "bias" not in half.weights:
            return None
        return {**half.weights, "bias": 2 * half.weights["bias"]}

    Fault(
        cause="bias-doubled",
        variant="all of it",
        description="The bias is added twice.",
        fix="Add the bias once; where a framework has two, set one of them to zero.",
        edit=EditWeights(_double_bias),
    )

The tests then require that a case of the catalogue detects it.

`BACKWARD_FAULTS` is a list of its own: what is wrong in the backward pass only, with edits of
`backward_edit`. It serves the same two purposes for gradients. `TRAINING_FAULTS` are mutants of
training steps.
"""

from __future__ import annotations

from rnnparity.faults.backward_run import (
    BACKWARD_FAULTS,
    backward_mutant,
    backward_mutants,
    run_backward,
)
from rnnparity.faults.edit import (
    EditArithmetic,
    EditCell,
    EditHalf,
    EditMaskedStep,
    EditOutputs,
    EditProblem,
    EditRun,
    EditWeights,
)
from rnnparity.faults.fault import Fault, Mutant, PlacedFault
from rnnparity.faults.injection import Injection, as_problem, inject, placements
from rnnparity.faults.listed import FAULTS, lookup
from rnnparity.faults.mutation import (
    FaultCoverage,
    candidates,
    detecting_cases,
    fault_coverage,
    faults_of,
    gradient_coverage,
    gradient_detecting_cases,
    is_detected,
    mutants,
    mutate,
)
from rnnparity.faults.run import Batch, run_all, run_one, trace_injection
from rnnparity.faults.training import TRAINING_FAULTS, training_mutants
from rnnparity.faults.whole import with_flag

__all__ = [
    "BACKWARD_FAULTS",
    "FAULTS",
    "TRAINING_FAULTS",
    "Batch",
    "EditArithmetic",
    "EditCell",
    "EditHalf",
    "EditMaskedStep",
    "EditOutputs",
    "EditProblem",
    "EditRun",
    "EditWeights",
    "Fault",
    "FaultCoverage",
    "Injection",
    "Mutant",
    "PlacedFault",
    "as_problem",
    "backward_mutant",
    "backward_mutants",
    "candidates",
    "detecting_cases",
    "fault_coverage",
    "faults_of",
    "gradient_coverage",
    "gradient_detecting_cases",
    "inject",
    "is_detected",
    "lookup",
    "mutants",
    "mutate",
    "placements",
    "run_all",
    "run_backward",
    "run_one",
    "trace_injection",
    "training_mutants",
    "with_flag",
]
