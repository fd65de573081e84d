"""Handling of files: atomic writing, locks, names, digests; tables, JSON and YAML."""
