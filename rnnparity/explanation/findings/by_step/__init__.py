"""Single steps: which follow from the one before, and the weights that they were computed with."""
