"""What is measured is what its name states."""

from itertools import islice

from validation.costs import measurements, seconds


def test_named_cause_is_named_and_findings_are_found():
    (_, named), (_, findings) = islice(measurements(), 2)
    cause = named().explanation.cause
    assert [fault.cause for fault in cause.faults] == ["gate-order"]
    assert findings().findings
    assert seconds(lambda: None) < 1
