"""Verdicts that are printed when they arrive."""

from dataclasses import replace
from io import StringIO

import pytest
from _support.conformance_runs import MIXED, results

from rnnparity.cli.progress import _Bar, show_progress
from rnnparity.problem.results import CaseResult
from rnnparity.problem.verdicts import Verdict


def printed(cases, capfd, **options):
    with show_progress(**options) as progress:
        for done, case in enumerate(cases, 1):
            progress("mine", done, len(cases), case)
    out, err = capfd.readouterr()
    assert out == ""
    return err.splitlines()


def test_every_verdict_that_is_not_a_pass_is_printed_with_its_reason(capfd):
    assert printed(MIXED, capfd, every_verdict=True) == [
        f"mine: {MIXED[1].id}: diverges: output[1, 0]: got 1.5, expected 0.25",
        f"mine: {MIXED[3].id}: error: ValueError: no such <gate> (port.py, line 12)",
        f"mine: {MIXED[4].id}: unsupported: float64 | is not built in",
        f"mine: {MIXED[5].id}: inconclusive: a relative change of 0.03 would be hidden",
    ]


def test_of_cases_that_are_unsupported_for_the_same_reason_the_first_is_printed(capfd):
    same = results(*["unsupported"] * 3, reason="no masks")
    error, other = results("error", reason="no masks"), results("unsupported", reason="no GRU")
    lines = printed([*same, *error, *other], capfd, every_verdict=True)
    assert [line.split(": ", 2)[2] for line in lines] == [
        "unsupported: no masks",
        "error: no masks",
        "unsupported: no GRU",
    ]


@pytest.mark.parametrize("every", [True, False])
def test_a_random_problem_is_printed_by_its_id(capfd, every):
    failing = [CaseResult("fuzz-1-2", Verdict.DIVERGES)]
    assert printed(failing, capfd, every_verdict=every) == ["mine: fuzz-1-2: diverges"] * every


def test_verdicts_above_the_bar_are_wrapped_at_the_width_of_the_terminal():
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=StringIO(), width=60)
    case = replace(MIXED[3], reason="ValueError: " + "no such gate; " * 9)
    _Bar(True, console, Progress(console=console), "loading")("mine", 1, 2, case)
    first, *others = console.file.getvalue().splitlines()
    assert first.startswith(f"mine: {case.id}: error: ")
    assert len(others) > 1
    assert all(line.startswith("  ") for line in others)
    assert all(len(line) <= 60 for line in (first, *others))
    assert " ".join(map(str.strip, (first, *others))).endswith(case.reason.strip())
