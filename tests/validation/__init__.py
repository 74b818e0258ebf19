"""Validation of rnnparity: explanations of injected faults, in the reference and in faulty ports."""
