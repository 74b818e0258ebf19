"""The explanation of a wrong answer, with further questions to the subject that gave it."""

from __future__ import annotations

from dataclasses import replace

from rnnparity.explanation.answers import asks_for_gradients
from rnnparity.explanation.diagnosis import diagnose
from rnnparity.explanation.experiments.experiment import experiment
from rnnparity.explanation.pairs import Progress
from rnnparity.explanation.probe import Ask, probe
from rnnparity.explanation.reading_diagnosis import Diagnosis
from rnnparity.explanation.separate import with_separating_problem
from rnnparity.problem.findings import is_undetermined, undetermined_last
from rnnparity.problem.problem import Problem


def explain(
    problem: Problem, ask: Ask | None = None, progress: Progress | None = None
) -> Diagnosis:
    """Search the cause of a wrong answer, and a problem that separates the causes that fit.

    With `ask` the subject is asked such problems until one cause is left; where there is none of wrong
    outputs, or none that is certain, it is asked chosen problems that show what it computes. `progress`
    is called while pairs of faults are tried.

    Raises:
        RequestError: the problem has no outputs, or no gradients where it has cotangents.
    """
    diagnosis = diagnose(problem, progress=progress)
    # Other problems would have no dropout masks, or others; a step has targets of this problem.
    if problem.dropout_masks is not None or problem.training_step is not None:
        return diagnosis
    diagnosis = with_separating_problem(diagnosis)
    if ask is None:
        return diagnosis
    diagnosis = probe(diagnosis, ask)
    explanation = diagnosis.explanation
    cause = explanation.cause
    if asks_for_gradients(problem):
        return diagnosis
    named = cause is not None and cause.explained and cause.certain and not cause.rivals
    if cause is None or named or explanation.accounted:
        return diagnosis
    return _with_experiment(diagnosis, ask)


def _with_experiment(diagnosis: Diagnosis, ask: Ask) -> Diagnosis:
    """Add what an experiment finds; what it accounts for needs no uncertain finding."""
    explanation = diagnosis.explanation
    result = experiment(replace(diagnosis.problem, outputs=None), ask)
    complete = result.end is None and not all(map(is_undetermined, result.findings))
    earlier = [f for f in explanation.findings if f.certain or not complete]
    further = [f for f in result.findings if f not in earlier]
    explanation = replace(
        explanation,
        findings=undetermined_last([*earlier, *further]),
        accounted=complete,
        probes=explanation.probes + result.calls,
        experiment=result.end,
    )
    return replace(diagnosis, explanation=explanation)
