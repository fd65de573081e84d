"""Data sets from download to batches: fetching, checking, describing, splitting, preparing, reading, sampling."""
