"""Masks of the pancreas that was made elsewhere, as `segment --pancreas` takes them."""

import gzip
import json
from pathlib import Path
from random import Random

import kind_nifti
import nibabel as nib
import numpy as np
from byte_mutations import damaged
from file_mutations import replace_file
from fuzz_kind import Answer, Kind
from kind_masks import VALUES
from kind_results import tree, voxels
from text_mutations import mutated_json
from tiny_model import mask_answer, scan_and_labels, write_scan, write_weights

MASK, NAMES = "masks/m.nii.gz", "masks/dataset.json"


class GivenMasks(Kind):
    """A label map on the grid of a scan, and the table of its labels beside it."""

    name = "given-masks"
    share = 10
    commands = (
        f"segment scan.nii.gz --pancreas {MASK} --model model/w.safetensors --backend torch --out out",
        f"segment scan.nii.gz --pancreas {MASK} --pancreas-label 1 --pancreas-label 2 --model model/w.safetensors "
        "--backend torch --out out",
        f"segment scan.nii.gz --pancreas {MASK} --pancreas-label pancreas --model model/w.safetensors "
        "--backend torch --out out",
    )

    def build(self, folder: Path) -> None:
        write_scan(folder / "scan.nii.gz")
        write_weights(folder / "model" / "w.safetensors")
        _, labels, affine = scan_and_labels()
        (folder / "masks").mkdir()
        nib.save(nib.Nifti1Image(labels, affine), folder / MASK)
        named = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "pancreas": 1, "tumour": 2}}
        (folder / NAMES).write_text(json.dumps(named, indent=1))

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / MASK
        draw = random.random()
        if draw < 0.15:
            what, content = mutated_json((folder / NAMES).read_bytes(), random)
            (folder / NAMES).write_bytes(content)
            return f"names: {what}"
        if draw < 0.4:
            return f"field: {kind_nifti.change_field(path, random)}"
        if draw < 0.65:
            name, image = random.choice(list(VALUES)), nib.load(path)
            values = VALUES[name](np.asarray(image.dataobj))
            nib.save(nib.Nifti1Image(values, image.affine, dtype=values.dtype), path)
            return name
        if draw < 0.75:
            return f"file: {replace_file(path, random, kind_nifti.FILES)}"
        if draw < 0.87:
            what, content = damaged(path.read_bytes(), random)
        else:
            what, content = damaged(gzip.decompress(path.read_bytes()), random)
            content = kind_nifti.packed(content)
        path.write_bytes(content)
        return what

    def answer(self, folder: Path, command: str) -> Answer:
        record = json.loads((folder / "out" / "result.json").read_text())["pancreas_mask"]
        return {**mask_answer(folder / "out"), "values": record["values"], "volume": record["volume_ml"]}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The label map or its table says something else, by nibabel and Python; the scan's grid is the same."""
        image = nib.load(good / "scan.nii.gz")
        same_grid = answer["grid"] == (image.shape, np.round(image.affine, 3).tolist())
        return same_grid and (
            voxels(folder / MASK) != voxels(good / MASK)
            or _affine(folder / MASK) != _affine(good / MASK)
            or tree(folder / NAMES) != tree(good / NAMES)
        )


def _affine(path: Path) -> list[list[float]] | None:
    try:
        return nib.load(path).affine.tolist()
    except Exception:
        return None
