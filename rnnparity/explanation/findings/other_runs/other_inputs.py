"""Other inputs and other masks than the given ones: scaled, stored, reversed, shifted, inverted.

Axis letters: B batch, T time, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice

import numpy as np

from rnnparity.explanation.evidence import rows_of
from rnnparity.explanation.findings.seen.candidates import evidence_of
from rnnparity.explanation.findings.seen.claim import FREEDOM_OF_NUMBER, weigh
from rnnparity.explanation.findings.seen.newton import fit_numbers
from rnnparity.explanation.findings.seen.view import View
from rnnparity.problem.dtypes import FLOAT_TYPES, Array
from rnnparity.problem.findings import Finding, FindingType, OtherInputs, OtherMask
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.reference import compute

# All variants are tried on so many rows, those that come so near there, in what is allowed, on all:
# the noise of other inputs may be larger.
FIRST_ROWS, NEARLY, MOST_NEAR = 2, 1e4, 8
# Factors of inputs that are usual between programs: pixels, percents, signs.
FACTORS = (2.0, 0.5, -1.0, 255.0, 1 / 255, 128.0, 1 / 128, 1 / 127.5, 10.0, 0.1, 100.0, 0.01)
# Of wider inputs no two features are exchanged: there are too many pairs.
MOST_FEATURES = 24
# So many rows' masks are tried for all rows.
MOST_ROWS = 32
# Values of all variants on the first rows, beyond which they are not tried.
MOST_VALUES = 2**24
INT8 = 127


@dataclass(frozen=True)
class Variant:
    """Other inputs (B, T, D) or another mask (B, T) of a problem, and the finding that states it."""

    finding: Finding
    inputs: Array
    mask: Array | None


def other_input_findings(
    problem: Problem, view: View, extra: Sequence[tuple[Finding, Array]] | None = None
) -> list[Finding]:
    """Return the other inputs, or masks, that account for what is seen of a problem.

    Where several do, which of them it was cannot be determined: none is certain. `extra` are inputs
    (B, T, D) that are tried as well, with the findings that state them, and no other masks are.
    """
    found = _that_hold(problem, view, lambda: _variants(problem, extra))
    rows = view.worst_rows(FIRST_ROWS)
    part, seen = rows_of(problem, rows), view.rows(rows)
    if not found and part.inputs.data.size <= MOST_VALUES:
        fitted = _fitted(part, seen, problem)
        found = _held(problem, view, fitted, len(fitted) * FREEDOM_OF_NUMBER)
    return [replace(each, certain=each.certain and len(found) == 1) for each in found]


def variants_that_hold(problem: Problem, view: View, *, only_masks: bool = False) -> list[Finding]:
    """Return the inputs and masks without a fitted number that account for what is seen."""
    make = _mask_variants if only_masks else _variants
    return _that_hold(problem, view, lambda: make(problem))


def _that_hold(
    problem: Problem, view: View, make: Callable[[], Iterator[Variant]]
) -> list[Finding]:
    """Return the findings of the variants that hold; `make` yields all of them each time."""
    rows = view.worst_rows(FIRST_ROWS)
    part, seen = rows_of(problem, rows), view.rows(rows)
    # Only these rows of each are kept: all of them at once may be hundreds of times the inputs.
    most = MOST_VALUES // part.inputs.data.size
    parts = [_of_rows(variant, rows) for variant in islice(make(), most + 1)]
    if len(parts) > most:
        return []
    near = _near(part, seen, parts)
    candidates = [each for index, each in enumerate(make()) if index in near]
    return _held(problem, view, _without_repetition(candidates), len(parts))


def _held(
    problem: Problem, view: View, variants: Sequence[Variant], hypotheses: float
) -> list[Finding]:
    """Return the findings of the variants that hold, on the first rows and then on all."""
    rows = view.worst_rows(FIRST_ROWS)
    part, seen = rows_of(problem, rows), view.rows(rows)
    likely = [v for v in variants if _holds(part, seen, _of_rows(v, rows), hypotheses)]
    results = [_holds(problem, view, variant, hypotheses) for variant in likely]
    return [finding for finding in results if finding]


def predicted_by(problem: Problem, finding: Finding) -> tuple[Tensor, ...] | None:
    """Return the outputs with the inputs or the mask that a finding states; None where it has none."""
    stated = replace(finding, sigma=None, certain=True)
    for variant in _variants(problem):
        if variant.finding == stated:
            return compute(_with(problem, variant.inputs, variant.mask))
    return None


def _holds(problem: Problem, view: View, variant: Variant, hypotheses: float) -> Finding | None:
    """Return the finding of a variant that gives everything that is seen.

    Values that are as expected are no evidence of it: of a saturated layer few differ.
    """
    other = _with(problem, variant.inputs, variant.mask)
    outputs = [tensor.data for tensor in compute(other)]
    claim = view.with_noise_of(other).claim(variant.finding, outputs)
    if claim.distance > 1:
        return None
    return next(weigh([evidence_of(view, claim)], view.threshold, hypotheses), None)


def _with(problem: Problem, inputs: Array, mask: Array | None) -> Problem:
    tensor = Tensor.of("inputs", inputs, problem.inputs.dtype)
    return replace(problem, inputs=tensor, mask=mask, outputs=None, case=None)


def _of_rows(variant: Variant, rows: Array) -> Variant:
    mask = None if variant.mask is None else variant.mask[rows]
    return replace(variant, inputs=variant.inputs[rows], mask=mask)


def _near(problem: Problem, view: View, variants: Sequence[Variant]) -> list[int]:
    """Return the indices of the variants that nearly give what is seen, at most `MOST_NEAR`."""
    if not variants:
        return []
    return view.nearest(_run(problem, variants), MOST_NEAR, NEARLY)


def _run(problem: Problem, variants: Sequence[Variant]) -> list[Array]:
    """Return the outputs for several variants at once, each with a leading axis: one large batch."""
    count, batch = len(variants), len(problem.inputs.data)
    inputs = np.concatenate([variant.inputs for variant in variants])
    masks = [variant.mask for variant in variants]
    mask = None
    if any(each is not None for each in masks):
        ones = np.ones(problem.inputs.shape[:2], bool)
        mask = np.concatenate([ones if each is None else each for each in masks])
    states = problem.initial_state
    if states is not None:
        states = tuple(
            replace(state, data=np.concatenate([state.data] * count)) for state in states
        )
    many = _with(replace(problem, initial_state=None), inputs, mask)
    many = replace(many, initial_state=states)
    with np.errstate(all="ignore"):
        outputs = compute(many)
    return [tensor.data.reshape(count, batch, *tensor.shape[1:]) for tensor in outputs]


def _fitted(part: Problem, seen: View, problem: Problem) -> list[Variant]:
    """Return the inputs scaled, and shifted, by the number that brings the outputs nearest."""
    given = part.inputs.data.astype(np.float64)

    def run(numbers: Array) -> list[Array]:
        factor, shift = numbers.tolist()
        edited = given * factor, given + shift
        none = Finding(FindingType.INPUTS)
        return _run(part, [Variant(none, inputs, part.mask) for inputs in edited])

    numbers, _ = fit_numbers(run, np.array([1.0, 0.0]), seen, part.threshold_type)
    factor, shift = numbers.tolist()
    whole = problem.inputs.data.astype(np.float64)
    return [
        Variant(_inputs(OtherInputs.SCALED, value=factor), whole * factor, problem.mask),
        Variant(_inputs(OtherInputs.SHIFTED, value=shift), whole + shift, problem.mask),
    ]


def _mask(name: OtherMask) -> Finding:
    return Finding(FindingType.MASK, name)


def _inputs(
    name: OtherInputs, numbers: tuple[int, ...] = (), value: float | None = None
) -> Finding:
    return Finding(FindingType.INPUTS, name, numbers, value)


def _without_repetition(variants: Iterable[Variant]) -> list[Variant]:
    """Leave out what another name stands for already: the mask of a row may be that of all rows."""
    different: dict[tuple[bytes, bytes], Variant] = {}
    for variant in variants:
        mask = b"" if variant.mask is None else variant.mask.tobytes()
        different.setdefault((variant.inputs.tobytes(), mask), variant)
    return list(different.values())


def _variants(
    problem: Problem, extra: Sequence[tuple[Finding, Array]] | None = None
) -> Iterator[Variant]:
    """Yield the other inputs and masks that are tried."""
    given = problem.inputs.data.astype(np.float64)
    for finding, inputs in chain(_other_inputs(given), extra or ()):
        if inputs.shape == given.shape and not np.array_equal(inputs, given):
            yield Variant(finding, inputs, problem.mask)
    if extra is None:
        yield from _mask_variants(problem)


def _mask_variants(problem: Problem) -> Iterator[Variant]:
    given = problem.inputs.data.astype(np.float64)
    for finding, mask in _other_masks(problem):
        if not np.array_equal(mask, problem.mask if problem.mask is not None else True):
            yield Variant(finding, given, mask)


def _other_inputs(x: Array) -> Iterator[tuple[Finding, Array]]:
    for factor in FACTORS:
        yield _inputs(OtherInputs.SCALED, value=factor), x * factor
    yield _inputs(OtherInputs.STEPS_REVERSED), x[:, ::-1]
    for name, step in ((OtherInputs.OF_FIRST_STEP, 0), (OtherInputs.OF_LAST_STEP, -1)):
        yield _inputs(name), np.repeat(x[:, [step]], x.shape[1], axis=1)
    yield _inputs(OtherInputs.READ_AS_FEATURES_FIRST), x.swapaxes(1, 2).reshape(x.shape)
    yield _inputs(OtherInputs.READ_AS_TIME_FIRST), x.swapaxes(0, 1).reshape(x.shape)
    yield from _normalized(x)
    yield from _stored(x)
    yield from _other_features(x)


def _normalized(x: Array) -> Iterator[tuple[Finding, Array]]:
    """Yield the inputs with mean 0 and deviation 1: each feature, sequence or step, or all of them."""
    axes: tuple[tuple[OtherInputs, tuple[int, ...]], ...] = (
        (OtherInputs.FEATURES_NORMALIZED, (0, 1)),
        (OtherInputs.SEQUENCES_NORMALIZED, (1,)),
        (OtherInputs.STEPS_NORMALIZED, (2,)),
        (OtherInputs.NORMALIZED, (0, 1, 2)),
    )
    for name, axis in axes:
        deviation = x.std(axis=axis, keepdims=True)
        centred = x - x.mean(axis=axis, keepdims=True)
        yield _inputs(name), centred / np.where(deviation > 0, deviation, 1.0)


def _stored(x: Array) -> Iterator[tuple[Finding, Array]]:
    """Yield the inputs as coarser types would have stored them."""
    yield _inputs(OtherInputs.IN_FLOAT16), FLOAT_TYPES["float16"].round(x).astype(np.float64)
    yield _inputs(OtherInputs.IN_BFLOAT16), FLOAT_TYPES["bfloat16"].round(x).astype(np.float64)
    step = np.abs(x).max(initial=0.0) / INT8
    if step:
        yield _inputs(OtherInputs.IN_INT8), np.round(x / step) * step
    yield _inputs(OtherInputs.IN_INTEGERS), np.trunc(x)


def _other_features(x: Array) -> Iterator[tuple[Finding, Array]]:
    """Yield the inputs with a feature that is zero, features exchanged, or moved by one."""
    features = x.shape[-1]
    numbers = np.arange(features)
    for number in range(features):
        yield _inputs(OtherInputs.FEATURE_ZERO, (number,)), np.where(numbers == number, 0, x)
    orders = [np.roll(numbers, 1), np.roll(numbers, -1)]
    for first, second in combinations(range(features), 2) if features <= MOST_FEATURES else ():
        order = numbers.copy()
        order[[first, second]] = second, first
        orders.append(order)
    for order in orders:
        yield _inputs(OtherInputs.FEATURES_PERMUTED, tuple(order.tolist())), x[..., order]


def _other_masks(problem: Problem) -> Iterator[tuple[Finding, Array]]:
    mask = problem.mask
    if mask is None:
        present = np.array(problem.inputs.data.any(axis=-1))
        if not present.all():
            yield _mask(OtherMask.ZERO_INPUTS), present
        return
    for name, other in _changed_masks(mask):
        yield _mask(name), other
    for row in range(min(len(mask), MOST_ROWS)):
        of_row = np.broadcast_to(mask[row], mask.shape).copy()
        yield replace(_mask(OtherMask.OF_ROW), numbers=(row,)), of_row


def _changed_masks(mask: Array) -> Iterator[tuple[OtherMask, Array]]:
    late, early = np.zeros_like(mask), np.zeros_like(mask)
    late[:, 1:], early[:, :-1] = mask[:, :-1], mask[:, 1:]
    yield OtherMask.INVERTED, ~mask
    yield OtherMask.REVERSED, mask[:, ::-1]
    yield OtherMask.LATE, late
    yield OtherMask.LATE_AND_FIRST, late | (np.arange(mask.shape[1]) == 0)
    yield OtherMask.EARLY, early
    yield OtherMask.LONGER, mask | late
    yield OtherMask.SHORTER, mask & early
    yield OtherMask.EVERY_ROW, np.broadcast_to(mask.all(axis=0), mask.shape).copy()
    yield OtherMask.ANY_ROW, np.broadcast_to(mask.any(axis=0), mask.shape).copy()
