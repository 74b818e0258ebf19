"""The recorded outputs under fixtures/ and the list of known differences."""
