"""Pages of a data set: check and fingerprint."""
