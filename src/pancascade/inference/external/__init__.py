"""Networks that other programs trained, behind one protocol: a scan in, probabilities on its grid out."""
