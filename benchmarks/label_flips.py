"""Measure how often the orientation of a label map is recognised among all eight orientations.

    python benchmarks/label_flips.py --data DATA --out docs/results/label_flips.json

Data: the regions of `pdac_roi` (all patients). Nothing is trained or chosen here.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pancascade.data.readers import region_folder
from pancascade.data.readers.label_flips import ALL_FLIPS, right_way_round, show_turned, turned
from pancascade.files.atomic import written_whole
from pancascade.imaging.volume import Box


def main() -> None:
    """Measure every region, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    right, wrong, found, left = [], [], 0, 0
    for case in track(region_folder(arguments.data / "pdac_roi"), description="regions"):
        if case.scan is None:
            continue
        image, labels = case.scan.read()
        mask = labels.voxels > 0
        box = Box.around(mask)
        if box is None:
            continue
        ways = show_turned(image.voxels, mask[box.slices], box, orientation=image.orientation)
        right += [way.clarity for way in ways if not way.directions]
        wrong.append(max(way.clarity for way in ways if way.directions))
        answers = {
            flips: right_way_round(image.voxels, turned(mask, flips), orientation=image.orientation)
            for flips in ALL_FLIPS
        }
        found += sum(answer == flips for flips, answer in answers.items())
        left += sum(answer == (False, False, False) != flips for flips, answer in answers.items())
    result = {
        "regions": len(right),
        "masks, each of 8 ways round": 8 * len(right),
        "turned to the right way": found,
        "left as they were, wrongly": left,
        "turned to a wrong way": 8 * len(right) - found - left,
        "clarity as it is": [float(q) for q in np.quantile(right, [0, 0.5, 1])],
        "best clarity of a wrong way": [float(q) for q in np.quantile(wrong, [0, 0.5, 1])],
        "largest share of the right one's": float(np.max(np.array(wrong) / np.array(right))),
    }
    table = Table("number", "minimum, median, maximum")
    for name, value in result.items():
        table.add_row(name, ", ".join(f"{v:.2f}" for v in value) if isinstance(value, list) else f"{value:.4g}")
    Console().print(table)
    if arguments.out is not None:
        with written_whole(arguments.out) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
