"""Results: result.json and the files beside it, as `threshold`, `cohort` and `compare-dates` read them."""

import json
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

import kind_nifti
import nibabel as nib
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from text_mutations import mutated_json
from tiny_model import mask_answer, write_scan, write_weights

from pancascade.segmentation import segment

NAME, EARLIER = "result.json", "earlier"
IMAGES = ("segmentation.nii.gz", "probability_pancreas.nii.gz", "probability_tumour.nii.gz")


class Results(Kind):
    """A folder of results."""

    name = "results"
    share = 16
    commands = (
        "threshold result --tumour 0.4 --scan scan.nii.gz --out out",
        "threshold result --tumour 0.4 --scan scan.nii.gz --out out",
        "cohort result earlier --out out.html --csv out.csv",
        "compare-dates earlier result --out out.html --json out.json",
    )

    def build(self, folder: Path) -> None:
        write_scan(folder / "scan.nii.gz")
        for name in ("result", EARLIER):
            copytree(_segmented(), folder / name)

    def mutate(self, folder: Path, random: Random) -> str:
        result = folder / "result"
        draw = random.random()
        if draw < 0.65:
            what, content = mutated_json((result / NAME).read_bytes(), random)
            (result / NAME).write_bytes(content)
            return f"{NAME} {what}"
        path = result / random.choice([name for name in IMAGES if (result / name).exists()])
        if draw < 0.75:
            path.unlink()
            return f"{path.name} gone"
        if draw < 0.9:
            return f"{path.name} {kind_nifti.change_field(path, random)}"
        what, content = damaged(path.read_bytes(), random)
        path.write_bytes(content)
        return f"{path.name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        if command.startswith("threshold"):
            return mask_answer(folder / "out")
        if command.startswith("cohort"):
            return {"rows": (folder / "out.csv").read_text()}
        return {"changes": json.loads((folder / "out.json").read_text())}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The result says something else; of a mask, that a threshold or a probability does."""
        changed, was = (tree(each / "result" / NAME) for each in (folder, good))
        if not command.startswith("threshold"):
            return changed != was
        if isinstance(changed, dict) and changed.get("thresholds") != was["thresholds"]:
            return True
        return any(voxels(folder / "result" / name) != voxels(good / "result" / name) for name in IMAGES[1:])


@cache
def _segmented() -> Path:
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_scan(folder / "scan.nii.gz")
    write_weights(folder / "w.safetensors")
    found = segment(folder / "scan.nii.gz", model=[str(folder / "w.safetensors")], backend="torch")
    found.save(folder / "result", formats=["nifti"], save_probabilities=True)
    return folder / "result"


def tree(path: Path) -> Any:
    """What Python reads in it; None where it is nothing."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        return None


def voxels(path: Path) -> bytes | None:
    """Stored numbers of an image, by the peer."""
    try:
        return nib.load(path).get_fdata().tobytes()
    except Exception:
        return None
