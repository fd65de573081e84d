"""What reading a damaged picture raises."""

import struct
import zlib

PICTURE_FAULTS = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)
"""Of Pillow, whose PNG reader also raises `SyntaxError`."""
