"""Changes of outputs that were computed correctly."""

from __future__ import annotations

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import Finding


def permuted_rows(outputs: list[Array], finding: Finding) -> list[Array]:
    batch = outputs[0].shape[0]
    known = len(finding.numbers) == batch
    order = list(finding.numbers) if known else list(range(batch))[::-1]
    return [output[order] for output in outputs]


def zeros(outputs: list[Array], finding: Finding) -> list[Array]:
    """Return the outputs with zeros in rows or units, or in steps of the sequence."""
    changed = [output.copy() for output in outputs]
    for output in changed:
        numbers = [n for n in finding.numbers if n < output.shape[0]]
        if finding.name == "row":
            output[numbers] = 0
        elif finding.name == "unit":
            output[..., list(finding.numbers)] = 0
        elif output.ndim == 3:
            output[:, [n for n in finding.numbers if n < output.shape[1]]] = 0
    return changed


def shifted(outputs: list[Array], finding: Finding) -> list[Array]:
    """Return the sequences late or early; zeros come in."""
    (count,) = finding.numbers

    def shift(sequence: Array) -> Array:
        shifted = np.zeros_like(sequence)
        if count > 0:
            shifted[:, count:] = sequence[:, :-count]
        else:
            shifted[:, :count] = sequence[:, -count:]
        return shifted

    return [shift(output) if output.ndim == 3 else output for output in outputs]


def part(outputs: list[Array], finding: Finding) -> list[Array]:
    steps = slice(finding.numbers[0], finding.numbers[-1] + 1)
    return [output[:, steps] if output.ndim == 3 else output for output in outputs]


def time_first(outputs: list[Array], _: Finding) -> list[Array]:
    return [output.swapaxes(0, 1) if output.ndim == 3 else output for output in outputs]


def on_grid(outputs: list[Array], finding: Finding) -> list[Array]:
    step = float(np.float32(finding.value or 1))
    return [np.rint(output / step) * step for output in outputs]


def raw(outputs: list[Array], finding: Finding) -> list[Array]:
    """Return int8 numbers: output / scale + zero point."""
    scale, zero_point = float(np.float32(finding.value or 1)), finding.numbers[0]
    return [np.clip(np.rint(output / scale) + zero_point, -128, 127) for output in outputs]


def printed(outputs: list[Array], finding: Finding) -> list[Array]:
    decimals = finding.numbers[0]
    return [np.round(output.astype(float), decimals).astype(output.dtype) for output in outputs]
