"""A trial: a mistake in a random problem, and how the answer compares with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.faults import run_one
from rnnparity.problem.dtypes import Array
from rnnparity.problem.findings import AfterLayer, Finding, FindingType, accounts_for_values
from rnnparity.problem.problem import Problem, Tensor
from rnnparity.report.text.findings import finding_text
from rnnparity.report.text.messages import faults_name
from validation.mistakes.layers import layer_mistakes
from validation.mistakes.loops import loop_mistakes
from validation.mistakes.memory import memory_mistakes
from validation.mistakes.mistake import Implementation, Mistake
from validation.mistakes.outputs import output_mistakes
from validation.mistakes.port import Port
from validation.mistakes.truth import clipped, is_fact, restart_everywhere
from validation.mistakes.wiring import wiring_mistakes
from validation.off_list.judge import are_true, differ, is_true
from validation.off_list.trials import all_near, with_arrays


class Outcome(StrEnum):
    """How the answer compares with the mistake."""

    STATED = "stated"
    CAUSE = "a listed cause with the same outputs"
    EQUAL = "another account of the same outputs"
    UNDETECTED = "not detectable"
    UNCERTAIN = "nothing certain"
    WRONG = "wrong with certainty"


# What is seen of the outputs, whatever was computed.
FACTS = {FindingType.ZERO, FindingType.ROWS_PERMUTED}


def mistakes() -> list[Mistake]:
    """Return every mistake."""
    return [
        *loop_mistakes(),
        *output_mistakes(),
        *memory_mistakes(),
        *layer_mistakes(),
        *wiring_mistakes(),
    ]


def run_trial(mistake: Mistake, seed: int) -> tuple[Outcome, str]:
    """Return how the answer compares with a mistake, and the answer."""
    problem, implementation = mistake.draw(seed)
    actual = implementation(problem)
    if not differ(problem, actual, Port()(problem)):
        return Outcome.UNDETECTED, ""
    diagnosis = diagnose(with_arrays(problem, actual))
    explanation = diagnosis.explanation
    found = [finding for finding in explanation.findings if accounts_for_values(finding)]
    answer = "; ".join(
        finding_text(f) + ("" if f.certain else " (uncertain)") for f in explanation.findings
    )
    if explanation.cause and explanation.cause.explained:
        answer = f"{answer}; {faults_name(explanation.cause.faults)}"
    outcome = _judge(mistake, problem, implementation, diagnosis, found)
    return outcome, f"seed {seed} {problem!r}: {answer or 'nothing'}"


def _judge(
    mistake: Mistake,
    problem: Problem,
    implementation: Implementation,
    diagnosis: Diagnosis,
    found: list[Finding],
) -> Outcome:
    cause = diagnosis.explanation.cause
    if any(map(mistake.is_stated_by, found)):
        return Outcome.STATED
    if cause and cause.unambiguous and {f.cause for f in cause.faults} == {mistake.cause}:
        return Outcome.CAUSE
    if cause and cause.explained and _holds_elsewhere(problem, implementation, diagnosis):
        return Outcome.CAUSE
    if cause and cause.unambiguous:
        return Outcome.WRONG
    if not found:
        return Outcome.UNCERTAIN
    return Outcome.EQUAL if _are_true(found, problem, implementation(problem)) else Outcome.WRONG


def _are_true(found: Sequence[Finding], problem: Problem, actual: Sequence[Array]) -> bool:
    """Return whether findings give the actual outputs, each by itself or together."""
    if all(finding.type is FindingType.RESTARTS_EVERY_STEP for finding in found):
        return not differ(problem, actual, restart_everywhere(found, problem))
    if [finding.name for finding in found] == [AfterLayer.CLIPPED]:
        return not differ(problem, actual, clipped(found[0], problem))
    if len({replace(each, sigma=None) for each in found}) == 1 and found[0].type in FACTS:
        return is_fact(found[0], Port()(problem), actual)
    if all(is_true(finding, problem, actual) for finding in found):
        return True
    return are_true(found, problem, actual)


def _holds_elsewhere(
    problem: Problem, implementation: Implementation, diagnosis: Diagnosis
) -> bool:
    """Return whether the cause gives the outputs of the mistake on other inputs as well."""
    inputs = np.random.default_rng(0).standard_normal(problem.inputs.shape).astype(np.float32)
    fresh = replace(problem, inputs=Tensor("inputs", inputs))
    mutant = run_one(fresh, diagnosis.fits[0].placed)
    if mutant is None:
        return False
    outputs = [tensor.data for tensor in mutant.outputs]
    actual = implementation(fresh)
    if [a.shape for a in outputs] != [a.shape for a in actual]:
        return False
    return all_near(actual, outputs)
