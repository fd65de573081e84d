"""Which cases train, validate and test."""
