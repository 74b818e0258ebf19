"""What validates rnnparity itself: explanations of injected faults, in the reference and in faulty
ports."""
