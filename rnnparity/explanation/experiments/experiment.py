"""An experiment on a subject that can be asked: what does it compute instead of the layer?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rnnparity.explanation.experiments.changes import findings_of
from rnnparity.explanation.experiments.equation_search import (
    TRIED,
    Identified,
    changed_fits,
    fitted,
    fitted_from_many,
    fitted_in_one_block,
    unchanged_fits,
    with_states_of,
)
from rnnparity.explanation.experiments.probes import Ask, Laboratory, Probe
from rnnparity.explanation.experiments.system import System
from rnnparity.explanation.fitting.least_squares import Fit
from rnnparity.explanation.fitting.model import AS_DECLARED, Equations
from rnnparity.problem.dtypes import Array
from rnnparity.problem.explanations import ExperimentEnd
from rnnparity.problem.findings import Finding
from rnnparity.problem.layers import Layer, Stack, halves
from rnnparity.problem.problem import Problem

# Weights and states next to a start under which the equations give all outputs, if there are any.
Search = Callable[[System, Array, Equations], Fit | None]

# With more findings than this another answer may be simpler: at most so many are compared.
FEW, ANSWERS = 3, 3


@dataclass(frozen=True)
class Experiment:
    """What an experiment found, how many problems it asked, and why that is not all, if so."""

    findings: tuple[Finding, ...]
    calls: int
    end: ExperimentEnd | None = None


def experiment(problem: Problem, ask: Ask) -> Experiment:
    """Identify what a subject computes instead of a problem's layer.

    It is asked problems with chosen weights, inputs and states, and parameters are fitted to its
    answers. `ask` raises Unsupported or RequestError for what the subject refuses.
    """
    laboratory = Laboratory(problem, ask)
    probes = laboratory.probes()
    if not probes:
        return Experiment((), laboratory.calls, ExperimentEnd.REFUSED)
    if _differing(probes):
        coarse = laboratory.in_type_of(probes)
        coarse_probes = coarse.probes() if coarse is not None else []
        if coarse is not None and coarse_probes:
            laboratory, probes = coarse, coarse_probes
    if _differing(probes) and laboratory.ignores_weights:
        probes = laboratory.probes_with_own_weights()
    differing = _differing(probes)
    if not differing:
        return Experiment((), laboratory.calls, ExperimentEnd.AGREES)
    if laboratory.too_large:
        return Experiment((), laboratory.calls, ExperimentEnd.TOO_LARGE)
    answers = [_identify(laboratory, tuple(probes), output) for output in differing]
    findings = tuple(dict.fromkeys(finding for answer in answers for finding in answer))
    return Experiment(
        findings, laboratory.calls, None if all(answers) else ExperimentEnd.OTHER_EQUATIONS
    )


def _differing(probes: Sequence[Probe]) -> list[int]:
    """Return the outputs that are not the expected ones in some probe."""
    outputs = range(len(probes[0].actual)) if probes else ()
    return [output for output in outputs if any(probe.differs[output] for probe in probes)]


def _identify(
    laboratory: Laboratory, probes: tuple[Probe, ...], output: int
) -> tuple[Finding, ...]:
    """Return what gives an output: the answer with the fewest findings of the first that fit."""
    answers: list[tuple[Finding, ...]] = []
    for found in _answers(laboratory, probes, output):
        answers.append(tuple(findings_of(found)))
        if len(answers) == ANSWERS or len(answers[0]) <= FEW:
            break
    return min(answers, key=len, default=())


def _answers(
    laboratory: Laboratory, probes: tuple[Probe, ...], output: int
) -> Iterator[Identified]:
    """Yield what gives an output, what is found quickly first."""
    layer, count = probes[0].problem.layer, len(probes[0].actual)
    systems = [System(probes, group, output) for group in _groups(layer, output, count)]
    single = [system for system in systems if len(system.prefixes) == 1]
    quick = [system for system in single if system.has_independent_units]
    slow = [system for system in single if system not in quick]
    yield from _with_declared_equations(quick, fitted)
    for system in systems:
        yield from unchanged_fits(system)
    yield from _with_declared_equations(slow, fitted)
    yield from _with_declared_equations(single, fitted_in_one_block)
    if laboratory.ignores_weights:
        yield from _with_declared_equations(single, fitted_from_many)
    else:
        yield from _with_other_equations(laboratory, systems)


def _with_declared_equations(systems: Sequence[System], search: Search) -> Iterator[Identified]:
    for system in systems:
        yield from _fits(system, system.declared, AS_DECLARED, search)


def _with_other_equations(
    laboratory: Laboratory, systems: Sequence[System]
) -> Iterator[Identified]:
    """Yield equations with weights and states, chosen on one unit with equal weights.

    The order of the weights does not count there.
    """
    for units in (None, 1):
        plain = tuple(laboratory.plain_probes(units))
        tried = False
        for screen in (unchanged_fits, changed_fits):
            for system in systems if plain else ():
                candidates = screen(replace(system, probes=plain))
                tried = tried or bool(candidates)
                yield from _of_candidates(system, candidates[:TRIED])
        if tried:
            return


def _of_candidates(system: System, candidates: Sequence[Identified]) -> Iterator[Identified]:
    """Yield what fits with the equations and states of candidates.

    Only for the first many weights are tried, and only for one half.
    """
    for number, found in enumerate(candidates):
        is_first = number == 0 and len(system.prefixes) == 1
        search = fitted_from_many if is_first else fitted
        yield from _fits(system, with_states_of(found, system), found.equations, search)


def _fits(
    system: System, start: Array, equations: Equations, search: Search
) -> Iterator[Identified]:
    fit = search(system, start, equations)
    if fit is not None:
        yield Identified(system, equations, fit)


def _groups(layer: Layer, output: int, outputs: int) -> list[tuple[str, ...]]:
    """Return the halves that may be why an output differs: each alone, then all at once."""
    prefixes = [prefix for prefix, _ in halves(layer)]
    last = layer.layers[-1] if isinstance(layer, Stack) else layer
    seen = [prefix for prefix, _ in halves(last)]
    if outputs == len(seen):
        seen = [seen[output]]
    before = prefixes[: len(prefixes) - len(halves(last))]
    index = f"{len(layer.layers) - 1}/" if isinstance(layer, Stack) else ""
    visible = [*(index + prefix for prefix in seen), *before]
    single: list[tuple[str, ...]] = [(prefix,) for prefix in visible]
    return single if len(visible) == 1 else [*single, tuple(sorted(visible, key=prefixes.index))]
