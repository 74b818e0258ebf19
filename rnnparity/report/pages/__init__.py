"""HTML pages: the conformance table, an explanation, a model, a history, the site."""
