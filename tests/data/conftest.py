"""Phantoms and data sets here are shared by the tests of all folders below."""
