"""Every finding in the documents is that of its example, and nothing else accounts for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnparity.explanation.diagnosis import diagnose
from rnnparity.problem.findings import PATTERNS, FindingType, accounts_for_values

# An experiment on a subject finds it.
BY_EXPERIMENT = {FindingType.ACTIVATION}
TYPES = sorted(set(FindingType) - PATTERNS - BY_EXPERIMENT)


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "docs"))
    import finding_examples

    return finding_examples.problems()


@pytest.mark.parametrize("type_", TYPES)
def test_example_is_answered_with_its_finding(examples, type_):
    findings = diagnose(examples[type_]).explanation.findings
    assert type_ in {finding.type for finding in findings}
    assert {finding.type for finding in findings if accounts_for_values(finding)} <= {type_}
