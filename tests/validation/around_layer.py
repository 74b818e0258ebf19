"""Mistakes around a layer: other inputs, another mask, something done to the output afterwards.

`PYTHONPATH=tests python -m validation.around_layer [-n N] [--seed S]` makes each mistake in N random
problems of every form, half of them with the last output only, and counts what is stated. The
mistakes are written here once more: they share nothing with the explanation but the names.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

import numpy as np
import typer

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.faults import run_one
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import (
    AfterLayer,
    Finding,
    FindingType,
    OtherInputs,
    OtherMask,
    accounts_for_values,
)
from rnnparity.problem.layers import Bidirectional, Layer, Recurrent, Stack
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.report.text.findings import finding_text
from rnnparity.report.text.messages import faults_name
from rnnparity.session.processes import one_blas_thread
from validation.off_list.cells import run
from validation.off_list.draw import draw_problem
from validation.off_list.judge import differ
from validation.off_list.trials import all_near, with_arrays

Name = OtherInputs | OtherMask | AfterLayer
Implementation = Callable[[Problem], list[Array]]

INPUTS: Mapping[OtherInputs, Callable[[Array], Array]] = {
    OtherInputs.SCALED: lambda x: x / 255,
    OtherInputs.SHIFTED: lambda x: x - 0.25,
    OtherInputs.STEPS_REVERSED: lambda x: x[:, ::-1],
    OtherInputs.READ_AS_FEATURES_FIRST: lambda x: x.transpose(0, 2, 1).reshape(x.shape),
    OtherInputs.READ_AS_TIME_FIRST: lambda x: x.transpose(1, 0, 2).reshape(x.shape),
    OtherInputs.FEATURES_NORMALIZED: lambda x: (x - x.mean((0, 1))) / np.fmax(x.std((0, 1)), 1e-9),
    OtherInputs.NORMALIZED: lambda x: (x - x.mean()) / x.std(),
    OtherInputs.IN_FLOAT16: lambda x: x.astype(np.float16).astype(np.float32),
    OtherInputs.IN_INT8: lambda x: np.rint(x * (127 / np.abs(x).max())) * (np.abs(x).max() / 127),
    OtherInputs.FEATURE_ZERO: lambda x: np.where(np.arange(x.shape[-1]) == 0, 0, x),
    OtherInputs.FEATURES_PERMUTED: lambda x: np.roll(x, 1, axis=-1),
}
MASKS: Mapping[OtherMask, Callable[[Array], Array]] = {
    OtherMask.INVERTED: np.logical_not,
    OtherMask.REVERSED: lambda mask: mask[:, ::-1],
    OtherMask.OF_ROW: lambda mask: np.repeat(mask[-1:], len(mask), axis=0),
    OtherMask.ANY_ROW: lambda mask: np.repeat(mask.any(0, keepdims=True), len(mask), axis=0),
    OtherMask.EVERY_ROW: lambda mask: np.repeat(mask.all(0, keepdims=True), len(mask), axis=0),
    OtherMask.EARLY: lambda mask: np.pad(mask[:, 1:], ((0, 0), (0, 1))),
}
AFTER: Mapping[AfterLayer, Callable[[Array], Array]] = {
    AfterLayer.TANH: np.tanh,
    AfterLayer.RELU: lambda y: y * (y > 0),
    AfterLayer.SIGMOID: lambda y: 0.5 * np.tanh(0.5 * y) + 0.5,
    AfterLayer.SOFTMAX: lambda y: np.exp(y) / np.exp(y).sum(-1, keepdims=True),
    AfterLayer.NORMALIZED: lambda y: (
        (y - y.mean(-1, keepdims=True)) / (y.var(-1, keepdims=True) + 1e-5) ** 0.5
    ),
    AfterLayer.UNIT_LENGTH: lambda y: y / np.maximum((y**2).sum(-1, keepdims=True), 1e-30) ** 0.5,
}
POOLED: Mapping[AfterLayer, Callable[[Array], Array]] = {
    AfterLayer.MEAN: lambda y: y.mean(axis=1),
    AfterLayer.MAXIMUM: lambda y: y.max(axis=1),
}
# What says the same of the outputs: the inputs enter by the kernel only, and a permutation is a fact.
SAME = {
    FindingType.INPUTS: {FindingType.BLOCK, FindingType.EFFECTIVE_WEIGHTS},
    FindingType.MASK: {FindingType.MASKED_STEPS_ONLY, FindingType.OTHER_QUANTITY},
    FindingType.AFTER_LAYER: set[FindingType](),
}
FACTS = {
    FindingType.ROWS_PERMUTED,
    FindingType.STEPS_PERMUTED,
    FindingType.TIME_SHIFTED,
    FindingType.ZERO,
}


class Outcome(StrEnum):
    """How the answer compares with the mistake."""

    STATED = "stated"
    EQUAL = "another account of the same outputs"
    CAUSE = "a listed cause with the same outputs"
    UNDETECTED = "not detectable"
    UNCERTAIN = "nothing certain"
    WRONG = "wrong with certainty"


@dataclass(frozen=True)
class Mistake:
    """What an implementation does around its layer, and the finding that should state it."""

    type: FindingType
    name: Name
    implementation: Implementation


def mistakes() -> list[Mistake]:
    """Return every mistake."""
    return [
        *(Mistake(FindingType.INPUTS, name, _with_inputs(f)) for name, f in INPUTS.items()),
        *(Mistake(FindingType.MASK, name, _with_mask(f)) for name, f in MASKS.items()),
        *(Mistake(FindingType.AFTER_LAYER, name, _with_output(f)) for name, f in AFTER.items()),
        *(Mistake(FindingType.AFTER_LAYER, name, _pooling(f)) for name, f in POOLED.items()),
    ]


def _with_inputs(edit: Callable[[Array], Array]) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        inputs = Tensor.of("inputs", edit(problem.inputs.data).astype(np.float32))
        return run(replace(problem, inputs=inputs))

    return implementation


def _with_mask(edit: Callable[[Array], Array]) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        mask = problem.mask
        return run(problem if mask is None else replace(problem, mask=edit(mask)))

    return implementation


def _with_output(edit: Callable[[Array], Array]) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        output, *others = run(problem)
        return [edit(output).astype(np.float32), *others]

    return implementation


def _pooling(edit: Callable[[Array], Array]) -> Implementation:
    def implementation(problem: Problem) -> list[Array]:
        _, *others = run(problem)
        output = run(replace(problem, layer=_returning(problem.layer, sequences=True)))[0]
        return [edit(output).astype(np.float32), *others]

    return implementation


def _returning(layer: Layer, *, sequences: bool) -> Layer:
    match layer:
        case Recurrent():
            return replace(layer, return_sequences=sequences)
        case Bidirectional():
            halves = [
                replace(half, return_sequences=sequences)
                for half in (layer.forward, layer.backward)
            ]
            return replace(layer, forward=halves[0], backward=halves[1])
        case Stack():
            last = _returning(layer.layers[-1], sequences=sequences)
            return replace(layer, layers=(*layer.layers[:-1], last))


def draw(mistake: Mistake, seed: int) -> Problem:
    """Draw a problem in which a mistake can be made."""
    rng = np.random.default_rng(seed)
    while True:
        problem = draw_problem(rng, f"around-{mistake.name}-{seed}")
        if mistake.name in POOLED or seed % 2:
            layer = _returning(problem.layer, sequences=False)
            problem = replace(problem, layer=layer)
        one_output = problem.output_slots()[0].name == "output"
        if mistake.type is FindingType.MASK and (problem.mask is None or problem.mask.all()):
            continue
        if one_output or mistake.type is not FindingType.AFTER_LAYER:
            return problem


def run_trial(mistake: Mistake, seed: int) -> tuple[Outcome, str]:
    """Return how the answer compares with a mistake, and the answer."""
    problem = draw(mistake, seed)
    actual = mistake.implementation(problem)
    if not differ(problem, actual, run(problem)):
        return Outcome.UNDETECTED, ""
    diagnosis = diagnose(with_arrays(problem, actual))
    explanation = diagnosis.explanation
    found = [finding for finding in explanation.findings if accounts_for_values(finding)]
    answer = "; ".join(map(finding_text, found))
    if explanation.cause and explanation.cause.explained:
        answer = f"{answer}; {faults_name(explanation.cause.faults)}"
    return _judge(mistake, problem, diagnosis, found), f"{problem!r}: {answer or 'nothing'}"


def _judge(
    mistake: Mistake, problem: Problem, diagnosis: Diagnosis, found: list[Finding]
) -> Outcome:
    cause = diagnosis.explanation.cause
    if any(f.type is mistake.type and f.name == mistake.name for f in found):
        return Outcome.STATED
    if cause and cause.explained and _holds_elsewhere(mistake, problem, diagnosis):
        return Outcome.CAUSE
    if cause and cause.unambiguous:
        return Outcome.WRONG
    if any(f.type in FACTS | SAME[mistake.type] for f in found):
        return Outcome.EQUAL
    if any(f.type is mistake.type for f in found):
        return _other_name(mistake, problem, found)
    return Outcome.WRONG if found else Outcome.UNCERTAIN


def _other_name(mistake: Mistake, problem: Problem, found: list[Finding]) -> Outcome:
    """Return whether a mistake of the same type with another name gives the same outputs."""
    names = {finding.name for finding in found}
    others = [each for each in mistakes() if each.type is mistake.type and each.name in names]
    actual = mistake.implementation(problem)
    same = any(all_near(actual, each.implementation(problem)) for each in others)
    return Outcome.EQUAL if same else Outcome.WRONG


def _holds_elsewhere(mistake: Mistake, problem: Problem, diagnosis: Diagnosis) -> bool:
    """Return whether the cause gives the outputs of the mistake on other inputs as well."""
    inputs = np.random.default_rng(0).standard_normal(problem.inputs.shape).astype(np.float32)
    fresh = replace(problem, inputs=Tensor("inputs", inputs))
    mutant = run_one(fresh, diagnosis.fits[0].placed)
    if mutant is None:
        return False
    outputs = [tensor.data for tensor in mutant.outputs]
    return all_near(mistake.implementation(fresh), outputs)


def main(
    n: Annotated[int, typer.Option("-n", min=1, help="Problems for each mistake.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problems.")] = 0,
) -> None:
    """Print how often each mistake is stated; the exit status is 1 if an answer is wrong."""
    total = Counter[Outcome]()
    with one_blas_thread():
        for mistake in mistakes():
            counts = Counter[Outcome]()
            for number in range(seed, seed + n):
                outcome, answer = run_trial(mistake, number)
                counts[outcome] += 1
                if outcome in (Outcome.WRONG, Outcome.UNCERTAIN):
                    typer.echo(f"  {outcome}: {answer}")
            figures = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
            typer.echo(f"{mistake.type} {mistake.name}: {figures}")
            total += counts
    typer.echo("all: " + ", ".join(f"{count} {outcome}" for outcome, count in total.items()))
    raise typer.Exit(1 if total[Outcome.WRONG] else 0)


if __name__ == "__main__":
    sys.exit(typer.run(main))
