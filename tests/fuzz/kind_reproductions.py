"""Tables of a paper, and what `reproduce` keeps of the rows that it has made."""

import json
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

import yaml
from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_recipe import LOADER
from text_mutations import mutated_json, mutated_yaml
from tiny_tables import tiny_paper, write_tiny_msd
from typer.testing import CliRunner

from pancascade.cli.app import app

PAPER, TABLE = "paper.yaml", "table.json"
OPTIONS = "--scale small --rows U --epochs 1 --workers 1"


class Reproductions(Kind):
    """A file of one table, and a folder that its row U was made in."""

    name = "reproductions"
    share = 6
    commands = (
        f"reproduce {PAPER} 3 --list",
        f"reproduce {PAPER} 3 --data set --out outtable {OPTIONS} --resume",
        f"reproduce qiu.yaml 3 --data set --out outtable {OPTIONS} --resume",
    )

    def build(self, folder: Path) -> None:
        copytree(_made(), folder, dirs_exist_ok=True)

    def mutate(self, folder: Path, random: Random) -> str:
        what, content = mutated_yaml((folder / PAPER).read_bytes(), random)
        (folder / PAPER).write_bytes(content)
        kept = sorted((folder / "outtable").rglob("measured.json"))
        path = random.choice([*kept, *kept, folder / "outtable" / TABLE])
        change = mutated_json if random.random() < 0.6 else damaged
        other, content = change(path.read_bytes(), random)
        path.write_bytes(content)
        return f"{PAPER}: {what}; {path.name}: {other}"

    def answer(self, folder: Path, command: str) -> Answer:
        if "--list" in command:
            return {}
        rows = json.loads((folder / "outtable" / TABLE).read_text())["rows"]
        return {row["name"]: _without_hours(row) for row in rows}

    def excused(self, folder: Path, command: str, answer: Answer, good: Path) -> bool:
        """The tables say something else, or what was kept does, which nothing could tell."""
        return PAPER in command and _tree(folder / PAPER) != _tree(good / PAPER)


def _without_hours(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if "hours" not in key}


def _tree(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader=LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


@cache
def _made() -> Path:
    folder = Path(mkdtemp(prefix="pancascade-fuzz-"))
    write_tiny_msd(folder / "set")
    paper = tiny_paper("qiu2024", folder)
    content = yaml.load(paper.read_bytes(), Loader=LOADER)
    content["tables"] = {"3": content["tables"]["3"]}
    paper.unlink()
    for name in (PAPER, "qiu.yaml"):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    command = ["reproduce", str(folder / PAPER), "3", "--data", str(folder / "set"), "--out", str(folder / "outtable")]
    ended = CliRunner().invoke(app, [*command, *OPTIONS.split()])
    assert ended.exit_code == 0, ended.output
    return folder
