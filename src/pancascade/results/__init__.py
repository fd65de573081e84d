"""Files of a segmented scan: result.json, measurements, corrections."""
