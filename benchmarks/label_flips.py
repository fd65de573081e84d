"""How surely the contrast of a pancreas tells the right way round of its label map from the seven wrong ones.

    python benchmarks/label_flips.py --data DATA --out docs/results/label_flips.json

Data: the regions of `pdac_roi` (all patients; nothing is trained or chosen here).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.datasets import region_folder
from pancascade.datasets.label_flips import AS_IT_IS, best_flips, contrast_of_flips
from pancascade.io import written_whole


def main() -> None:
    """Measure every region, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    right, wrong, found = [], [], 0
    for case in track(region_folder(arguments.data / "pdac_roi"), description="regions"):
        if case.scan is None:
            continue
        image, labels = case.scan.read()
        contrasts = contrast_of_flips(image.voxels, labels.voxels > 0)
        right.append(contrasts.pop(AS_IT_IS))
        wrong.append(max(contrasts.values()))
        found += best_flips(image.voxels, labels.voxels > 0) == AS_IT_IS
    result = {
        "regions": len(right),
        "right way round found": found,
        "contrast as it is [HU]": [float(q) for q in np.quantile(right, [0, 0.5, 1])],
        "best contrast of a wrong way [HU]": [float(q) for q in np.quantile(wrong, [0, 0.5, 1])],
        "largest share of the right one's": float(np.max(np.array(wrong) / np.array(right))),
    }
    table = Table("number", "minimum, median, maximum")
    for name, value in result.items():
        table.add_row(name, ", ".join(f"{v:.1f}" for v in value) if isinstance(value, list) else f"{value:.4g}")
    Console().print(table)
    if arguments.out is not None:
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
