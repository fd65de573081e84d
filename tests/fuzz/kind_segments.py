"""DICOM-SEG files of a pancreas, as `segment --pancreas` takes them."""

import json
import warnings
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

import numpy as np
import pydicom
from byte_mutations import damaged
from file_mutations import replace_file
from fuzz_kind import Answer, Kind
from kind_dicom import FOLDER, ODD_TEXTS, write_series
from kind_networks import OTHERS
from pydicom.dataelem import RawDataElement
from tiny_model import mask_answer, scan_and_labels, write_weights

from pancascade.imaging.io import find_source, read_volume, write_dicom_seg

MASK = "seg.dcm"


class GivenSegments(Kind):
    """A DICOM-SEG of a series in a folder."""

    name = "segments"
    share = 8
    commands = (
        f"segment {FOLDER} --pancreas {MASK} --model model/w.safetensors --backend torch --out out",
        f"segment {FOLDER} --pancreas {MASK} --pancreas-label 1 --model model/w.safetensors --backend torch --out out",
    )
    needs = ("highdicom",)

    def build(self, folder: Path) -> None:
        copytree(_segmented(), folder, dirs_exist_ok=True)

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / MASK
        draw = random.random()
        if draw < 0.5:
            return f"attribute: {_change_attribute(path, random)}"
        if draw < 0.65:
            return f"file: {replace_file(path, random, OTHERS)}"
        content = path.read_bytes()
        what, content = damaged(content, random, end=random.choice((len(content), 3000)))
        path.write_bytes(content)
        return what

    def answer(self, folder: Path, command: str) -> Answer:
        record = json.loads((folder / "out" / "result.json").read_text())["pancreas_mask"]
        return {**mask_answer(folder / "out"), "values": record["values"], "volume": record["volume_ml"]}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The file says something else, by pydicom alone, on the scan's own grid."""
        scan = read_volume(good / FOLDER)
        grid = (scan.shape, np.round(scan.affine, 3).tolist())
        seen = _seen_by_pydicom(folder / MASK)
        return answer["grid"] == grid and seen is not None and seen != _seen_by_pydicom(good / MASK)


def _change_attribute(path: Path, random: Random) -> str:
    """Any bytes as the value of any attribute, however deep; or none of it."""
    content = pydicom.dcmread(path)
    places = [(part, one.tag) for part in _parts(content) for one in part if one.VR != "SQ" and one.tag != 0x7FE00010]
    part, tag = random.choice(places)
    reported = f"{part[tag].keyword or tag}"
    if random.random() < 0.25:
        del part[tag]
    else:
        value = random.choice(ODD_TEXTS)
        value += b" " * (len(value) % 2)
        reported += f" = {value!r}"
        part[tag] = RawDataElement(tag, part[tag].VR, len(value), value, 0, False, True, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content.save_as(path)
    return reported[:100]


def _parts(content: pydicom.Dataset) -> list[pydicom.Dataset]:
    found = [content]
    for one in content:
        if one.VR == "SQ":
            found += [part for item in one.value for part in _parts(item)]
    return found


def _seen_by_pydicom(path: Path) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path).to_json(suppress_invalid_tags=True)
    except Exception:
        return None


@cache
def _segmented() -> Path:
    """The series, the weights, and the phantom's own labels as DICOM-SEG."""
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_series(folder / FOLDER)
    write_weights(folder / "model" / "w.safetensors")
    scan = read_volume(folder / FOLDER)
    _, labels, _ = scan_and_labels()
    source = find_source(folder / FOLDER)
    write_dicom_seg(scan.with_voxels(labels), folder / MASK, source=source, model="m", version="1")
    return folder
