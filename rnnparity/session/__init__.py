"""Asking subjects: whole runs, worker processes, regeneration and random problems."""
