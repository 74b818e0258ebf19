"""Examples: the explanation of one case of each group, for the page and the stored report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from rnnparity.problem.explanations import Explanation
from rnnparity.problem.problem import Problem
from rnnparity.problem.results import Report, SubjectResult
from rnnparity.report.groups import group_results, plainest
from rnnparity.session.check import Run

# Of a subject with more groups the most frequent ones are explained.
EXAMPLES = 12

Progress = Callable[[str, int, int], None]


def with_examples(run: Run, progress: Progress) -> Report:
    """Return the report of a run with at least one explanation for each frequent group.

    The search for causes leaves an explanation in most groups, but in none of known differences.
    `progress` is called with a name, the number of explanations done and of all.
    """
    subjects = []
    for subject in run.report.subjects:
        outputs = {problem.id: problem for problem in run.wrong[subject.name]}
        missing = list(_missing(subject, outputs))
        found: dict[str, Explanation] = {}
        for done, problem in enumerate(missing, 1):
            # Slow to import, and most runs have nothing to explain.
            from rnnparity.explanation.diagnosis import diagnose

            found[problem.id] = diagnose(problem).explanation
            progress(f"{subject.name}: examples", done, len(missing))
        cases = tuple(
            replace(case, explanation=found.get(case.id, case.explanation))
            for case in subject.cases
        )
        subjects.append(replace(subject, cases=cases))
    return replace(run.report, subjects=tuple(subjects))


def _missing(subject: SubjectResult, outputs: Mapping[str, Problem]) -> Iterator[Problem]:
    """Yield the plainest case with outputs of each group without an explanation."""
    groups = list(group_results(subject.cases).values())
    groups.sort(key=lambda results: -len(results))
    answered = [[case for case in results if case.id in outputs] for results in groups]
    for results in [results for results in answered if results][:EXAMPLES]:
        if not any(case.explanation for case in results):
            yield outputs[plainest(results).id]
