"""Public data sets, downloaded."""
