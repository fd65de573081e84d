"""Networks that were trained elsewhere, each behind the same protocol: a scan in, probabilities on its grid out."""
