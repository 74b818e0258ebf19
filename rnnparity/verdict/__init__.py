"""Comparison, expectations and judgement: from an answer to a verdict."""
