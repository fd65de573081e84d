"""Networks of a model as files for other software."""
