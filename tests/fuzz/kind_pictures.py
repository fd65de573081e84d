"""Pictures of slices and of masks, as slice folders hold them."""

import io
import json
import warnings
from pathlib import Path
from random import Random

import numpy as np
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_recipe import RECIPE, training_answer, write_slices
from PIL import Image


class Pictures(Kind):
    """A picture of a slice folder that is described, prepared and trained on."""

    name = "pictures"
    share = 10
    commands = (
        "data describe slices --picture-window 0 255 --workers 1 --out out",
        "data prepare slices --picture-window 0 255 --workers 1 --out out",
        "data check slices --picture-window 0 255 --workers 1 --out out",
        "train recipe.yaml --data . --out out",
    )
    left = frozenset({"cases", "records", "manifest.json", "images", "masks", "arrays"})

    def build(self, folder: Path) -> None:
        write_slices(folder)
        (folder / "recipe.yaml").write_bytes(RECIPE)

    def mutate(self, folder: Path, random: Random) -> str:
        path = random.choice(sorted((folder / "slices").rglob("*.png")))
        name = str(path.relative_to(folder))
        if random.random() < 0.5:
            what, content = damaged(path.read_bytes(), random)
        else:
            what = random.choice(list(PICTURES))
            content = saved_picture(PICTURES[what](Image.open(io.BytesIO(path.read_bytes()))))
        path.write_bytes(content)
        return f"{name} {what}"

    def answer(self, folder: Path, command: str) -> Answer:
        out = folder / "out"
        if command.startswith("train"):
            return training_answer(out)
        if command.startswith("data check"):
            return {}
        if command.startswith("data prepare"):
            found = json.loads((out / "manifest.json").read_text())["cases"]
            return {case: [file["digest"] for file in files["files"]] for case, files in found.items()}
        found = json.loads((out / "fingerprint.json").read_text())["cases"]
        return {case["case"]: {"patient": case["patient"], "hu": case["hu"]} for case in found}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """Pillow sees another picture, and has nothing to say against it."""
        paths = [path.relative_to(good) for path in sorted((good / "slices").rglob("*.png"))]
        seen = [seen_by_pillow(folder / path) for path in paths]
        return None not in seen and seen != [seen_by_pillow(good / path) for path in paths]


def seen_by_pillow(path: Path) -> tuple[tuple[int, int], bytes] | None:
    """Size and pixels; None where the picture is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = Image.open(io.BytesIO(path.read_bytes()))
            return picture.size, np.asarray(picture.convert("F")).tobytes()
    except Exception:
        return None


def saved_picture(picture: Image.Image) -> bytes:
    memory = io.BytesIO()
    picture.save(memory, "PNG")
    return memory.getvalue()


PICTURES = {
    "in colours": lambda picture: picture.convert("RGB"),
    "with transparency": lambda picture: picture.convert("RGBA"),
    "of a palette": lambda picture: picture.convert("L").convert("P"),
    "of one bit": lambda picture: picture.convert("1"),
    "of sixteen bits": lambda picture: Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257),
    "smaller": lambda picture: picture.resize((31, 16)),
    "one pixel": lambda picture: picture.resize((1, 1)),
    "turned": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "all black": lambda picture: Image.new("L", picture.size),
    "all white": lambda picture: Image.new("L", picture.size, 255),
}
