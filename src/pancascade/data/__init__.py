"""Data sets from download to batches: fetch, check, describe, split, prepare, read, sample."""
