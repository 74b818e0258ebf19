"""Runs of the whole layer in other ways: other loops over the steps, inputs, masks, layers below."""
