"""Comparison of two dates of one patient."""
