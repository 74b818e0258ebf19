"""Changes that no list contains: random ones, and whether the findings state what was changed."""
