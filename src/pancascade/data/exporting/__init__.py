"""Data sets in the layout of other software."""
