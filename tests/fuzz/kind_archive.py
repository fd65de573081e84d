"""A CT series in a zip archive: damaged, hostile, or packed in an unusual way."""

import io
import stat
import zipfile
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from byte_mutations import damaged
from fuzz_kind import Answer, Kind
from kind_dicom import write_series
from tiny_model import mask_answer, write_weights

NAME = "study.zip"


class Archive(Kind):
    """An archive that `segment` reads. Members have checksums: what is damaged is refused."""

    name = "archive"
    share = 12
    commands = (f"segment {NAME} --model model/w.safetensors --backend torch --out out",)

    def build(self, folder: Path) -> None:
        with TemporaryDirectory() as place:
            write_series(Path(place))
            members = {path.name: path.read_bytes() for path in sorted(Path(place).iterdir())}
        (folder / NAME).write_bytes(packed(members))
        write_weights(folder / "model" / "w.safetensors")

    def mutate(self, folder: Path, random: Random) -> str:
        path = folder / NAME
        if random.random() < 0.55:
            content = path.read_bytes()
            # The directory of the archive lies at its end.
            what, content = damaged(content, random, start=random.choice((0, len(content) - 900, len(content) - 22)))
            path.write_bytes(content)
            return what
        name = random.choice(list(PACKINGS))
        with zipfile.ZipFile(path) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        path.write_bytes(PACKINGS[name](members))
        return name

    def answer(self, folder: Path, command: str) -> Answer:
        return mask_answer(folder / "out")


def packed(members: dict[str, bytes], *, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these members, the same in every run."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=kind)
    return memory.getvalue()


def _encrypted(members: dict[str, bytes]) -> bytes:
    content = bytearray(packed(members))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    return bytes(content)


def _claims(members: dict[str, bytes]) -> bytes:
    """A member that says it holds 4 GB."""
    content = bytearray(packed(members))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = b"\xf0\xff\xff\xff"
    return bytes(content)


def _link(members: dict[str, bytes]) -> bytes:
    memory = io.BytesIO(packed(members))
    with zipfile.ZipFile(memory, "a") as archive:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return memory.getvalue()


def _second(members: dict[str, bytes]) -> bytes:
    name = next(iter(members))
    return packed({**members, f"again/{name}": members[name]})


PACKINGS = {
    "not compressed": lambda members: packed(members, kind=zipfile.ZIP_STORED),
    "compressed by LZMA": lambda members: packed(members, kind=zipfile.ZIP_LZMA),
    "compressed by BZ2": lambda members: packed(members, kind=zipfile.ZIP_BZIP2),
    "in folders": lambda members: packed({f"a/b/{name}": content for name, content in members.items()}),
    "names that lead out": lambda members: packed({f"../../{name}": each for name, each in members.items()}),
    "names from the root": lambda members: packed({f"/tmp/out/{name}": each for name, each in members.items()}),
    "names of Windows": lambda members: packed({f"C:\\scan\\{name}": each for name, each in members.items()}),
    "very long names": lambda members: packed({f"{'x' * 300}{name}": each for name, each in members.items()}),
    "a member twice": _second,
    "a zip in a zip": lambda members: packed({"inner.zip": packed(members)}),
    "encrypted": _encrypted,
    "claims 4 GB": _claims,
    "a link": _link,
    "one member empty": lambda members: packed({**members, next(iter(members)): b""}),
    "nothing in it": lambda _: packed({}),
    "something before it": lambda members: b"#!/bin/sh\n" + packed(members),
    "something after it": lambda members: packed(members) + b"\0" * 64,
    "a note beside": lambda members: packed({**members, "note.txt": b"hello", "__MACOSX/._x": b"\0"}),
}
