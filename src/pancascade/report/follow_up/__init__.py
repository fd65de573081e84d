"""Two dates of one patient."""
