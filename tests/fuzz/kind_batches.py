"""Lists of scans that `batch` works on, and the ledger that it goes on from."""

import json
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_tables import read_by_python
from table_mutations import mutated_table
from text_mutations import mutated_json
from tiny_model import mask_answer, write_scan, write_weights
from typer.testing import CliRunner

from pancascade.cli.app import app

LIST, LEDGER = "list.csv", "ledger.jsonl"
MODEL = "--model model/w.safetensors --backend torch --names file"


class Batches(Kind):
    """A list of two scans, one of which is refused; and a batch of them that was ended."""

    name = "batches"
    share = 10
    commands = (
        f"batch {LIST} {MODEL} --out out",
        f"batch scans.csv {MODEL} --out outbegun --resume",
        f"batch scans.csv {MODEL} --out outbegun --resume",
    )
    left = frozenset({LEDGER, "cohort.html", "cohort.csv", "scan", "bad"})

    def build(self, folder: Path) -> None:
        copytree(_begun(), folder, dirs_exist_ok=True)

    def mutate(self, folder: Path, random: Random) -> str:
        what, content = mutated_table((folder / LIST).read_bytes(), random)
        (folder / LIST).write_bytes(content)
        reported = [f"list: {what}"]
        path = folder / "outbegun" / LEDGER
        if random.random() < 0.5:
            what, content = damaged(path.read_bytes(), random)
        else:
            lines = path.read_bytes().splitlines()
            place = random.randrange(len(lines))
            what, content = mutated_json(lines[place], random)
            # A ledger's line holds no line break.
            lines[place] = b" ".join(content.splitlines())
            content = b"".join(line + b"\n" for line in lines)
        path.write_bytes(content)
        return "; ".join([*reported, f"ledger: {what}"])

    def answer(self, folder: Path, command: str) -> Answer:
        out = folder / ("outbegun" if "--resume" in command else "out")
        states = {}
        for line in (out / LEDGER).read_bytes().splitlines():
            try:
                entry = json.loads(line)
                states[entry["case"]] = entry["state"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # a line that was damaged stays where it is
        found: dict[str, object] = {case: state for case, state in states.items() if case in ("scan", "bad")}
        if (out / "scan" / "segmentation.nii.gz").exists():
            found["mask"] = mask_answer(out / "scan")
        return found

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The list says something else."""
        return "--resume" not in command and read_by_python(folder / LIST) != read_by_python(good / LIST)


@cache
def _begun() -> Path:
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_scan(folder / "scan.nii.gz")
    (folder / "bad.nii.gz").write_bytes(b"nothing")
    write_weights(folder / "model" / "w.safetensors")
    for name in (LIST, "scans.csv"):
        (folder / name).write_text("image,patient\nscan.nii.gz,p1\nbad.nii.gz,p2\n")
    options = MODEL.replace("model/", f"{folder}/model/").split()
    ended = CliRunner().invoke(app, ["batch", str(folder / "scans.csv"), *options, "--out", str(folder / "outbegun")])
    assert ended.exit_code == 1, ended.output
    return folder
