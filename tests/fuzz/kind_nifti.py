"""Scans as NIfTI: headers, voxels, compression."""

import gzip
import struct
import warnings
from pathlib import Path
from random import Random

import nibabel as nib
import numpy as np
from byte_mutations import damaged
from file_mutations import replace_file
from fuzz_kind import Answer, Kind
from tiny_model import mask_answer, scan_and_labels, write_scan, write_weights

NAME = "scan.nii.gz"
# Offset and format of the fields of a NIfTI-1 header.
FIELDS = {
    **{"sizeof_hdr": (0, "i"), "dim_info": (39, "B"), "intent_code": (68, "h"), "datatype": (70, "h")},
    **{"bitpix": (72, "h"), "vox_offset": (108, "f"), "scl_slope": (112, "f"), "scl_inter": (116, "f")},
    **{"xyzt_units": (123, "B"), "cal_max": (124, "f"), "qform_code": (252, "h"), "sform_code": (254, "h")},
    **{f"dim{n}": (40 + 2 * n, "h") for n in range(8)},
    **{f"pixdim{n}": (76 + 4 * n, "f") for n in range(8)},
    **{f"quatern{n}": (256 + 4 * n, "f") for n in range(6)},
    **{f"srow{n}": (280 + 4 * n, "f") for n in range(12)},
}
ODD_FLOATS = (0.0, -1.0, 1.0, 2.0, 1e-30, 1e30, -1e30, float("nan"), float("inf"), 1024.0, 0.001)
ODD_INTEGERS = (0, 1, 2, 3, 4, 7, 8, 16, 255, 512, 32767, -1, -32768)


class NiftiScan(Kind):
    """A scan that `segment` reads."""

    name = "nifti"
    share = 22
    commands = (f"segment {NAME} --model model/w.safetensors --backend torch --out out",)

    def build(self, folder: Path) -> None:
        write_scan(folder / NAME)
        write_weights(folder / "model" / "w.safetensors")

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / NAME
        what = random.choice(
            (_bytes, _plain_bytes, change_field, change_field, change_field, _voxels, _voxels, _stored, _file)
        )
        return f"{what.__name__.strip('_')}: {what(path, random)}"

    def answer(self, folder: Path, command: str) -> Answer:
        return mask_answer(folder / "out")

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The mask is the one that nibabel's reading of the file gives."""
        seen = seen_by_nibabel(folder / NAME)
        return seen is not None and same_mask(seen, folder, answer)


def packed(content: bytes) -> bytes:
    """Compressed, the same in every run."""
    return gzip.compress(content, compresslevel=1, mtime=0)


def seen_by_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Voxels and affine by the peer, of the file as it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = nib.load(path)
            return np.asanyarray(image.dataobj), image.affine
    except Exception:
        return None


def same_mask(seen: tuple[np.ndarray, np.ndarray], folder: Path, answer: Answer) -> bool:
    """Whether a mask is what the model says to these voxels on this grid."""
    from pancascade.imaging.volume import Volume
    from pancascade.segmentation import segment

    voxels, affine = seen
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3 or answer["grid"] != (voxels.shape, np.round(affine, 3).tolist()):
        return False
    found = segment(Volume(voxels, affine), model=[str(folder / "model" / "w.safetensors")], backend="torch")
    return found.mask.voxels.astype(np.uint8).tobytes() == answer["mask"]


def _bytes(path: Path, random: Random) -> str:
    what, content = damaged(path.read_bytes(), random)
    path.write_bytes(content)
    return what


def _plain_bytes(path: Path, random: Random) -> str:
    """Damage below a sound compression."""
    plain = gzip.decompress(path.read_bytes())
    what, content = damaged(plain, random, end=random.choice((352, None)))
    path.write_bytes(packed(content))
    return what


def change_field(path: Path, random: Random) -> str:
    """Write an odd value into one or two fields of a header."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    reported = []
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice(list(FIELDS))
        offset, code = FIELDS[name]
        value = random.choice(ODD_FLOATS if code == "f" else ODD_INTEGERS)
        if code == "B":
            value &= 255
        struct.pack_into(f"<{code}", content, offset, value)
        reported.append(f"{name} = {value}")
    path.write_bytes(packed(bytes(content)))
    return ", ".join(reported)


def _voxels(path: Path, random: Random) -> str:
    """Voxels that are no Hounsfield units, or hardly any."""
    hu, labels, affine = scan_and_labels()
    place = tuple(random.randrange(size) for size in hu.shape)
    name = random.choice(list(VOXELS))
    values = VOXELS[name](hu.astype(np.float32), place)
    if name == "labels":
        values = labels
    kind = values.dtype if values.dtype != np.float32 else random.choice((np.float32, np.float64))
    nib.save(nib.Nifti1Image(values.astype(kind), affine), path)
    return f"{name}, {np.dtype(kind)}"


def _one(hu: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    hu[place] = value
    return hu


VOXELS = {
    "a NaN": lambda hu, place: _one(hu, place, np.nan),
    "an infinity": lambda hu, place: _one(hu, place, -np.inf),
    "a huge one": lambda hu, place: _one(hu, place, 3e38),
    "padding of -66000": lambda hu, place: np.where(hu < -900, -66000, hu).astype(np.float32),
    "1024 too high": lambda hu, _: (hu + 1024).astype(np.uint16),
    "divided by a thousand": lambda hu, _: (hu / 1000).astype(np.float32),
    "all the same": lambda hu, _: np.full_like(hu, 40),
    "labels": lambda hu, _: hu,
    "upside down values": lambda hu, _: (-hu).astype(np.float32),
    "grey values": lambda hu, _: (np.clip((hu + 100) / 340, 0, 1) * 255).astype(np.uint8),
    "booleans": lambda hu, _: (hu > 0).astype(np.uint8),
    "colours": lambda hu, _: np.stack([hu] * 3, -1),
    "complex": lambda hu, _: hu.astype(np.complex64),
    "one slice": lambda hu, _: hu[..., :1],
    "two dimensions": lambda hu, _: hu[..., 0],
    "a fifth dimension": lambda hu, _: hu[..., None, None],
    "two scans in one": lambda hu, _: np.stack([hu, hu], -1),
}


def _stored(path: Path, random: Random) -> str:
    """The same voxels on the same grid, stored in another way: nothing may change."""
    hu, _, affine = scan_and_labels()
    how = random.choice(
        ("big-endian", "int32", "float64", "slope", "NIfTI-2", "extension", "qform only", "4-D", "turned")
    )
    image = nib.Nifti1Image(hu, affine)
    if how == "big-endian":
        image = nib.Nifti1Image(hu, affine, nib.Nifti1Header(endianness=">"))
    elif how in ("int32", "float64"):
        image = nib.Nifti1Image(hu.astype(how), affine)
    elif how == "slope":
        image.header.set_slope_inter(1, -1024)
        image = nib.Nifti1Image(hu.astype(np.float32), affine, image.header)
        image.set_data_dtype(np.uint16)
    elif how == "NIfTI-2":
        image = nib.Nifti2Image(hu, affine)
    elif how == "extension":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"anything" * 9))
    elif how == "qform only":
        image.set_sform(None, 0)
        image.set_qform(affine, 1)
    elif how == "4-D":
        image = nib.Nifti1Image(hu[..., None], affine)
    else:
        image = image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    nib.save(image, path)
    return how


def _file(path: Path, random: Random) -> str:
    """No file of this kind at all."""
    return replace_file(path, random, FILES)


FILES = {
    "gone": lambda _: b"gone",
    "a folder": lambda _: None,
    "empty": lambda _: b"",
    "text": lambda _: b"this is no scan",
    "page of HTML": lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "an LFS pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "compressed twice": packed,
    "not compressed": gzip.decompress,
    "something after it": lambda content: content + b"\0" * 100,
    "a bomb": lambda content: packed(gzip.decompress(content)[:352] + bytes(2**24)),
}
