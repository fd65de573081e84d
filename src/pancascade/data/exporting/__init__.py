"""Export of data sets to the layouts of other software."""
