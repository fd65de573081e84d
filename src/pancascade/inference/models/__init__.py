"""Models by name: which weights find what, and how they are calibrated."""
