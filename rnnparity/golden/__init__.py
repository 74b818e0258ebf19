"""The recorded outputs of the cases (fixtures/), and the list of known differences."""
