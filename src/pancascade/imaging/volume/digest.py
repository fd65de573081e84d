"""Digest of a scan, independent of its file."""

import hashlib

import numpy as np

from pancascade.imaging.volume import Volume, slabs


def volume_digest(volume: Volume) -> str:
    """Return the BLAKE2b digest of a scan's voxels and grid as 32 hexadecimal digits.

    The digest does not depend on file format, dtype or memory order. Positions are rounded to 0.1 µm.

    Args:
        volume: (I, J, K), in memory or on disk.
    """
    grid = np.rint(volume.affine * 1e4).astype(np.int64)
    digest = hashlib.blake2b(repr((volume.shape, grid.tolist())).encode(), digest_size=16)
    for slab in slabs(volume.voxels, axis=2):
        digest.update(np.ascontiguousarray(slab.T, dtype="<f4").data)
    return digest.hexdigest()
