"""Designs of patient splits of papers and others; drawn by seed, because no paper lists its cases."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancascade.data.readers.nih_pancreas_ct import WITHDRAWN
from pancascade.data.splits.splits import PARTS, write_split
from pancascade.data.splits.stratified_draw import deal_patients, joined_groups, sizes_of
from pancascade.errors import DataError

RSTN_BLOCKS = ((1, 20), (21, 40), (41, 61), (62, 82))
"""First and last patient number of NIH Pancreas-CT in each of four folds; two numbers no longer exist."""

_NIH_NUMBER = re.compile(r"(?:PANCREAS_)?0*(\d{1,2})")


@dataclass(frozen=True)
class Design:
    """Design of a patient split.

    Attributes:
        name: Name for ``--design``.
        origin: Origin of the design, in words.
        shares: Shares of train, validation and test; numbers of patients if their sum is `patients`. For a
            cross-validation one share per fold.
        folds: Whether the parts are folds.
        patients: Number of patients of the design; None for any number.
        blocks: First and last NIH patient number of each fold, instead of a draw.
        nih: Whether the design is for NIH Pancreas-CT.
        remark: Open points of the paper and our choice; empty if none.
    """

    name: str
    origin: str
    shares: tuple[float, ...]
    folds: bool = False
    patients: int | None = None
    blocks: tuple[tuple[int, int], ...] = ()
    nih: bool = False
    remark: str = ""


@dataclass(frozen=True)
class DrawnSplit:
    """Patients of each part of a design.

    Attributes:
        design: The design.
        parts: Patients of train, validation and test, or of each fold; sorted.
        note: Note for the split file about the origin of the sizes.
        remarks: Remarks, such as a different number of patients; one sentence each.
    """

    design: Design
    parts: tuple[tuple[str, ...], ...]
    note: str
    remarks: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The note and the remarks."""
        return (f"{self.note[0].upper()}{self.note[1:]}.", *self.remarks)

    def write(self, path: Path, *, about: Mapping[str, Any]) -> None:
        """Write the split file, which `pancascade.data.splits.splits.read_split` reads.

        Args:
            path: File to write.
            about: Record of the origin; written first.

        Raises:
            OutputError: The file cannot be written.
        """
        write_split(path, self.parts if self.design.folds else dict(zip(PARTS, self.parts, strict=True)), about=about)


_UNPUBLISHED = "seeded draw of the sizes of {}, not the paper's lists, which are unpublished"

DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (
        Design("qiu2024-msd", "Qiu et al. 2024 (MSD)", (216, 0, 65), patients=281),
        Design("qiu2024-nih", "Qiu et al. 2024 (NIH)", (62, 0, 20), patients=82, nih=True),
        Design(
            "lsnet",
            "L-SNet",
            (60, 0, 20),
            patients=80,
            nih=True,
            remark="L-SNet names 80 scans and no split; 60 and 20 are one fold of the usual four.",
        ),
        Design(
            "dsms",
            "DSMS U-Net",
            (70, 10, 20),
            patients=281,
            remark="DSMS U-Net counts 283 patients; MSD has 281.",
        ),
        Design(
            "zhao2019",
            "Zhao et al. 2019",
            (20, 20, 21, 21),
            folds=True,
            patients=82,
            blocks=RSTN_BLOCKS,
            nih=True,
            remark="The paper does not list its four folds; these are RSTN's: 1-20, 21-40, 41-61, 62-82.",
        ),
        Design("five-fold", "five-fold cross-validation", (1, 1, 1, 1, 1), folds=True),
        Design("70-10-20", "70, 10 and 20 % of the patients", (70, 10, 20)),
    )
}


def find_design(name: str) -> Design:
    """Return a design by name.

    Raises:
        DataError: No design has this name.
    """
    if name not in DESIGNS:
        raise DataError(f"--design {name}: there is no such design; known are {', '.join(DESIGNS)}, or give --parts.")
    return DESIGNS[name]


def custom_design(shares: Sequence[float]) -> Design:
    """Return a design with the user's shares of train, validation and test.

    Raises:
        DataError: A share is negative, or the share of train is 0.
    """
    if any(share < 0 for share in shares) or shares[0] <= 0:
        listed = " ".join(f"{share:g}" for share in shares)
        raise DataError(f"--parts {listed}: shares are 0 or more, and train has one. Give three, such as 80 10 10.")
    name = "-".join(f"{share:g}" for share in shares)
    return Design(name, f"shares {name} of the patients", tuple(shares))


def draw_design(
    design: Design,
    patients: Iterable[str],
    *,
    seed: int,
    strata: Mapping[str, str] | None = None,
    groups: Iterable[Collection[str]] = (),
) -> DrawnSplit:
    """Draw a design's parts; the same patients and seed give the same parts, independent of their order.

    For another number of patients the design's proportions are used, with a remark. In a design for NIH Pancreas-CT the
    patients 2, 25 and 70, who are one person, stay together.

    Args:
        design: Design to draw.
        patients: Patients in any order, with or without repetition.
        seed: Seed of the draw.
        strata: Stratum of each patient, spread evenly; None, or one stratum for all, draws without strata.
        groups: Patients that stay together.

    Raises:
        DataError: There are fewer patients than parts, or a patient is not of NIH in a design by NIH numbers.
    """
    names = sorted(set(patients))
    groups = [*groups, *_repeated_scans(names, nih=design.nih)]
    wanted = sum(1 for share in design.shares if share > 0)
    if len(names) < wanted:
        raise DataError(f"{len(names)} patients cannot be split into {wanted} parts by {design.name}. Add patients.")
    remarks = [design.remark] if design.remark else []
    if design.blocks:
        parts = _in_blocks(design, names, groups)
        expected = [len(part) for part in parts]
        note = f"{design.origin}: fixed folds by patient number, nothing was drawn"
    else:
        expected = sizes_of(design.shares, len(names))
        parts = deal_patients(_strata_of(names, strata, remarks), expected, seed=seed, groups=groups)
        note = _note(design)
    remarks += _number_remarks(design, names, parts, expected)
    return DrawnSplit(design, tuple(tuple(part) for part in parts), note, tuple(remarks))


def names_of_parts(design: Design) -> list[str]:
    """Return the name of each part."""
    return [f"fold {number}" for number in range(len(design.shares))] if design.folds else list(PARTS)


def _note(design: Design) -> str:
    return _UNPUBLISHED.format(design.origin) if design.patients is not None else f"seeded draw of {design.origin}"


def _strata_of(names: Sequence[str], strata: Mapping[str, str] | None, remarks: list[str]) -> dict[str, str]:
    if strata is None:
        remarks.append("Not stratified: nothing is known of the tumours.")
        return dict.fromkeys(names, "")
    found = {name: strata[name] for name in names}
    if len(set(found.values())) == 1:
        remarks.append(f"Not stratified: all patients are of one stratum ({next(iter(found.values()))}).")
    return found


def _number_remarks(
    design: Design, names: Sequence[str], parts: Sequence[Sequence[str]], expected: Sequence[int]
) -> list[str]:
    remarks = []
    sizes = ", ".join(f"{what} {len(part)}" for what, part in zip(names_of_parts(design), parts, strict=True))
    if design.patients is not None and len(names) != design.patients:
        how = "its blocks hold" if design.blocks else "split in proportion"
        remarks.append(f"{design.name} is for {design.patients} patients, here are {len(names)}: {how} ({sizes}).")
    if [len(part) for part in parts] != list(expected):
        remarks.append(f"A group of patients that stay together fits into no part; the sizes differ for it ({sizes}).")
    return remarks


def _repeated_scans(names: Sequence[str], *, nih: bool) -> list[list[str]]:
    """Return groups of NIH patients with the same scan; plain numbers count only in designs for NIH."""
    pairs = [(one, other) for one, other in WITHDRAWN.items()]
    if nih:
        pairs += [(one.removeprefix("PANCREAS_"), other.removeprefix("PANCREAS_")) for one, other in pairs]
    return joined_groups(pairs, names)


def _in_blocks(design: Design, names: Sequence[str], groups: Iterable[Collection[str]]) -> list[list[str]]:
    blocks: dict[str, int] = {}
    for name in names:
        match = _NIH_NUMBER.fullmatch(name)
        number = int(match[1]) if match else 0
        block = next((place for place, (first, last) in enumerate(design.blocks) if first <= number <= last), None)
        if block is None:
            raise DataError(
                f"{name}: not a patient of NIH Pancreas-CT, PANCREAS_0001 to PANCREAS_0082, by whose numbers "
                f"{design.name} goes. Choose five-fold, or another data set."
            )
        blocks[name] = block
    for group in joined_groups(groups, names):  # all go to the lowest number's block: 25 and 70 to that of 2
        home = min(blocks[name] for name in group)
        blocks |= dict.fromkeys(group, home)
    return [[name for name in names if blocks[name] == block] for block in range(len(design.blocks))]
