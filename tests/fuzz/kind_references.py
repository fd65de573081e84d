"""Label maps beside a scan: references of `attribute` and `calibrate`, and masks of vessels."""

import gzip
import json
from pathlib import Path
from random import Random

import kind_nifti
import nibabel as nib
import numpy as np
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_masks import VALUES
from kind_model import MODEL
from kind_results import voxels
from tiny_model import mask_answer, scan_and_labels, write_weights

LABELS, FOUND = "labels/a.nii.gz", "model/tiny.json"


class References(Kind):
    """A label map on the grid of a scan."""

    name = "references"
    share = 12
    commands = (
        f"attribute scans labels --model {FOUND} --out out",
        "calibrate model/unsure.safetensors scans labels --out out.json",
        f"segment scans/a.nii.gz --model model/w.safetensors --backend torch --vessels artery={LABELS}:1 --out out",
    )

    def build(self, folder: Path) -> None:
        (folder / "scans").mkdir()
        (folder / "labels").mkdir()
        hu, labels, affine = scan_and_labels()
        noise = np.random.default_rng(0).normal(0, 45, hu.shape) * (
            labels > 0
        )  # so that there is something to calibrate
        nib.save(nib.Nifti1Image((hu + noise).astype(np.int16), affine), folder / "scans" / "a.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), folder / LABELS)
        write_weights(folder / "model" / "w.safetensors")
        write_weights(folder / "model" / "unsure.safetensors", steps=10)
        (folder / FOUND).write_text(json.dumps(MODEL, indent=1))

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / LABELS
        draw = random.random()
        if draw < 0.3:
            return f"field: {kind_nifti.change_field(path, random)}"
        if draw < 0.6:
            name, image = random.choice(list(VALUES)), nib.load(path)
            values = VALUES[name](np.asarray(image.dataobj))
            nib.save(nib.Nifti1Image(values, image.affine, dtype=values.dtype), path)
            return name
        if draw < 0.8:
            what, content = damaged(path.read_bytes(), random)
        else:
            what, content = damaged(gzip.decompress(path.read_bytes()), random)
            content = kind_nifti.packed(content)
        path.write_bytes(content)
        return what

    def answer(self, folder: Path, command: str) -> Answer:
        if command.startswith("attribute"):
            targets = json.loads((folder / "out" / "attribution.json").read_text())["targets"]
            return {target: found["cases"] for target, found in targets.items()}
        if command.startswith("calibrate"):
            return dict(json.loads((folder / "out.json").read_text())["calibration"])
        lesions = json.loads((folder / "out" / "result.json").read_text())["pancreas_and_lesions"]
        return {**mask_answer(folder / "out"), "lesions": lesions}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The label map holds something else, by nibabel; the scan and its mask are the same in any case."""
        same = "mask" not in answer or answer["mask"] == mask_answer_of(good)
        return same and voxels(folder / LABELS) != voxels(good / LABELS)


def mask_answer_of(good: Path) -> object:
    """Of the good input, segmented here."""
    from pancascade.segmentation import segment

    found = segment(good / "scans" / "a.nii.gz", model=[str(good / "model" / "w.safetensors")], backend="torch")
    found.save(good.parent / "vessels-mask", formats=["nifti"])
    return mask_answer(good.parent / "vessels-mask")["mask"]
