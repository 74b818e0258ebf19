"""Weights that were extracted wrongly: the file is wrong, the outputs are those of the right ones."""

from dataclasses import replace

import numpy as np
import pytest
from _support.random_problems import SEQUENCES, random_problem, spec_of
from validation.off_list.trials import with_arrays

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import BlockChange, FindingType, WeightBlock
from rnnparity.reference import compute
from rnnparity.report.text.findings import finding_text


@pytest.mark.parametrize(
    ("rows", "gate"),
    [(lambda b: [b[0] + b[1], 0 * b[0]], "h"), (lambda b: [b[0] + b[1]] * 2, "")],
)
def test_bias_rows_that_were_summed_in_the_file_are_found(rows, gate):
    right = random_problem(spec_of("gru", 5, **SEQUENCES), 0, (4, 8, 3))
    outputs = [tensor.data for tensor in compute(right)]
    *kernels, bias = right.weights
    file = replace(right, weights=(*kernels, replace(bias, data=np.stack(rows(bias.data)))))
    explanation = diagnose(with_arrays(file, outputs)).explanation
    (finding,) = [f for f in explanation.findings if f.type is FindingType.EFFECTIVE_WEIGHTS]
    assert (finding.change, finding.block) == (BlockChange.SUMMED, WeightBlock("bias", gate))
    assert finding.certain
    assert explanation.accounted


def test_kernels_in_place_of_each_other_are_found():
    problem = random_problem(spec_of("lstm", 4, **SEQUENCES), 0, (3, 6, 4))
    kernel, recurrent, bias = problem.weights
    exchanged = (replace(kernel, data=recurrent.data), replace(recurrent, data=kernel.data), bias)
    (array,) = [tensor.data for tensor in compute(replace(problem, weights=exchanged))]
    (finding,) = [
        f
        for f in diagnose(with_arrays(problem, [array])).explanation.findings
        if f.type is FindingType.BLOCK
    ]
    assert (finding.change, finding.block.gate) == (BlockChange.EXCHANGED, "")
    assert finding.certain


def found_blocks(problem, weights):
    """Return the findings about blocks where the outputs are those of other weights."""
    arrays = [tensor.data for tensor in compute(replace(problem, weights=weights))]
    explanation = diagnose(with_arrays(problem, arrays)).explanation
    assert explanation.accounted
    return [f for f in explanation.findings if f.type is FindingType.BLOCK]


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_one_kernel_used_for_both_is_found(kind):
    problem = random_problem(spec_of(kind, 4), 1, (3, 6, 4))
    kernel, recurrent, bias = problem.weights
    weights = (kernel, replace(recurrent, data=kernel.data), bias)
    (finding,) = found_blocks(problem, weights)
    assert (finding.block, finding.change) == (
        WeightBlock("recurrent_kernel", ""),
        BlockChange.REPLACED,
    )
    assert finding.source == WeightBlock("kernel", "")


@pytest.mark.parametrize("decimals", [2, 4])
@pytest.mark.parametrize("kind", ["lstm", "gru", "simple_rnn"])
def test_weights_that_were_printed_are_found(kind, decimals):
    problem = random_problem(spec_of(kind, 4), 2, (3, 6, 4))
    weights = tuple(replace(w, data=np.round(w.data, decimals)) for w in problem.weights)
    (finding,) = found_blocks(problem, weights)
    assert (finding.change, finding.numbers) == (BlockChange.ROUNDED, (decimals,))
    assert finding_text(finding) == f"every weight is rounded to {decimals} decimals"
