"""Export the networks of a model as files for other software."""
