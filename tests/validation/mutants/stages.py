"""The stages in which a mutant is tried, the cheapest first.

`module`: the tests that mirror the mutated module. `package`: those of its package. `check`:
`check reference`. `rest`: the tests of the other packages, as if no framework were installed.
`frameworks`: the tests of problem, golden and subjects with frameworks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from validation.mutants.draw import Mutant
from validation.mutants.runs import CHECKOUT, Workshop

# The seconds of CPU that a process of a stage may take, some three times what it takes.
LIMITS = {"module": 60, "package": 120, "check": 60, "rest": 1200, "frameworks": 1200}
# Tests of frameworks and of tools, which see of the mutated packages what others see.
LEFT_OUT = {"subjects", "bench", "benchmarks", "validation"}
TESTS = CHECKOUT / "tests"
PYTEST = ["pytest", "-q", "-n", "0", "--tb=no", "--hypothesis-seed=0"]
PYTEST += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what is imported already
CHECK = ["rnnparity", "check", "reference"]


def command_of(stage: str, area: str = "", stem: str = "") -> list[str]:
    """Return the command of a stage for a module of an area; it is empty if there is no test."""
    match stage:
        case "check":
            return CHECK
        case "module":
            paths = sorted((TESTS / area).glob(f"test_{stem}*"))
        case "package":
            paths = [TESTS / area]
        case "rest":
            names = {path.name for path in TESTS.glob("[a-z]*/")} - LEFT_OUT - {area}
            paths = [TESTS / name for name in sorted(names)]
        case _:
            paths = [TESTS / name for name in ("problem", "golden", "subjects")]
    return [*PYTEST, *(path.relative_to(CHECKOUT).as_posix() for path in paths)] if paths else []


class Stage:
    """A stage, and the tests that fail in it on healthy code, for want of a framework."""

    def __init__(self, name: str, workshop: Workshop) -> None:
        self.name, self.workshop = name, workshop
        self.excluded = self.failures(command_of(name)) if name == "rest" else []

    def failures(self, command: Sequence[str]) -> list[str]:
        """Return what fails when a command runs in the stage."""
        frameworks = self.name == "frameworks"
        return self.workshop.failures(command, LIMITS[self.name], frameworks)

    def killer(self, mutant: Mutant) -> str:
        """Return the first failure with a mutant, or "".

        In the tests of whole packages, some of which need time, it must happen again.
        """
        command = command_of(self.name, mutant.area, Path(mutant.file).stem)
        if not command:
            return ""
        excluded = list(self.excluded)
        with self.workshop.edited(mutant):
            while True:
                options = ["-x", *(f"--deselect={test}" for test in excluded)]
                failed = self.failures(command if command is CHECK else [*command, *options])
                if not failed or "::" not in failed[0] or self.name == "module":
                    return failed[0] if failed else ""
                if self.failures([*PYTEST, "--last-failed", failed[0].partition("::")[0]]):
                    return failed[0]
                excluded.append(failed[0])
