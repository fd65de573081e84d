"""Models by name: their steps, weights and calibration."""
