"""Pages about a data set: check and fingerprint."""
