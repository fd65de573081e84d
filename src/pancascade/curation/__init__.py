"""Data sets from download to training: fetch, check, describe, prepare."""
