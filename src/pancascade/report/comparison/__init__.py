"""The report of an evaluation, or of a comparison of methods."""
