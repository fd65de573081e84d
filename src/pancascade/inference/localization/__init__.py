"""Localization of the pancreas, and its confidence."""
