"""Compare masks with nnU-Net's: python examples/evaluate_folder.py REFERENCE OURS NNUNET OUT [--scans SCANS].

The folders contain label maps of the same names: 1 pancreas, 2 tumour. OUT gets report.html and tables. If the CT scans
are given, it also gets figure.png: the methods side by side on the same slices.
"""

import argparse
from pathlib import Path

import pancascade


def compare_folders(
    reference: Path, ours: Path, nnunet: Path, out: Path, *, scans: Path | None = None
) -> pancascade.Evaluated:
    """Compare two methods on the same cases with nnU-Net's protocol.

    Args:
        reference: Folder of reference label maps.
        ours: Folder of our masks.
        nnunet: Folder of nnU-Net's masks, as `nnUNetv2_predict` writes them.
        out: Folder for report and tables.
        scans: Folder of the CT scans, for the pictures.

    Returns:
        All numbers; a case that is missing in a folder is listed in its failures.
    """
    pictures = {} if scans is None else {file.name.removesuffix(".nii.gz"): file for file in scans.glob("*.nii.gz")}
    methods = {"ours": ours, "nnU-Net": nnunet}
    figure = out / "figure.png" if pictures else None
    return pancascade.compare(reference, methods, out=out, protocol="nnunet", scans=pictures, figure=figure)


def describe(found: pancascade.Evaluated) -> str:
    """Return means with their intervals, and the p values of the differences."""
    lines = [repr(found)]
    for entry in found.comparison.metrics[:1]:
        for pair in entry.pairs:
            lines.append(f"{entry.target}, {entry.metric}: p = {pair.holm_p:.3f} (Wilcoxon signed-rank, Holm)")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("reference", "ours", "nnunet", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--scans", type=Path)
    print(describe(compare_folders(**vars(parser.parse_args()))))
