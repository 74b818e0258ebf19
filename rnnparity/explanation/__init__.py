"""The search for the cause of a divergence. Nothing is rendered here."""
