"""Preparation of a store from a data set."""
