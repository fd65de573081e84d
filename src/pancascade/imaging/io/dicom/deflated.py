"""A limit for deflated data sets: pydicom unpacks them whole, even for a few tags of the header.

Deflate packs zeros to a thousandth: a file of one megabyte may take one gigabyte of memory, and so on.
"""

import zlib
from typing import BinaryIO

MOST_BYTES = 1_000_000_000
"""Most bytes of an unpacked data set, twice those of a CT of a thousand slices in one file."""

_PART_BYTES = 1 << 20


def inflates_too_far(file: BinaryIO) -> bool:
    """Return whether a DICOM file is deflated and unpacks to more than the limit; it is at its start afterwards.

    Args:
        file: Open file, at its start.
    """
    try:
        # As pydicom finds the data set: a header may tell another length of itself. Its public functions take a path.
        from pydicom.filereader import _read_file_meta_info, read_preamble
        from pydicom.uid import DeflatedExplicitVRLittleEndian

        read_preamble(file, force=True)
        if _read_file_meta_info(file).get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return False
        return _unpacks_to_more(file, MOST_BYTES)
    # A damaged file makes many parts of pydicom raise errors of many kinds; reading it will say so.
    except Exception:
        return False
    finally:
        file.seek(0)


def _unpacks_to_more(file: BinaryIO, most_bytes: int) -> bool:
    unpacking, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while part := file.read(_PART_BYTES):
        while part:
            size += len(unpacking.decompress(part, _PART_BYTES))
            if size > most_bytes:
                return True
            part = unpacking.unconsumed_tail
    return False
