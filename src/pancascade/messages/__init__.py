"""Texts for people: notices, names without folders, durations, a quiet log."""
