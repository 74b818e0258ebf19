"""Bundles for an issue tracker: a problem file, and a script that needs only the framework."""
