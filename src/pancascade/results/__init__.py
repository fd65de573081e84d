"""What is written of a segmented scan, and read again: result.json, measurements, corrections."""
