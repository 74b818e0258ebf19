"""Programs of subjects in other languages, which speak the protocol of `cmd:` (docs/subjects.md)."""
