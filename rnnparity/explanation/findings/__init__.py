"""Questions about outputs that need no list of faults; each answer is a finding with evidence."""
