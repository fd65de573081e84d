"""A tiny result on an oblique, mirrored grid, with two lesions and both probability maps."""

import numpy as np
import pytest

from pancascade.files.digests import content_digest
from pancascade.imaging.io.nifti import write_nifti
from pancascade.messages.notices import Notice
from pancascade.results.measurements import label_sizes, measure_scan
from pancascade.results.result import read_result, write_result
from result_folders import make_result

SHAPE = (24, 20, 12)


def mask():
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[4:20, 5:15, 3:9] = 1
    drawn[6:10, 7:11, 4:7] = 2
    drawn[15:18, 11:13, 6:8] = 2
    return drawn


@pytest.fixture
def result(tmp_path):
    """Folder of the result, and its scan."""
    hu = np.random.default_rng(3).integers(-100, 160, SHAPE).astype(np.int16)
    folder, scan = make_result(tmp_path / "result", hu=hu, mask=mask())
    found = scan.with_voxels(mask())
    for name, label in (("pancreas", 1), ("tumour", 2)):
        steps = np.where(mask() == label, 700, 0).astype(np.uint16)
        write_nifti(scan.with_voxels(steps), folder / f"probability_{name}.nii.gz", slope=0.001)
    reported = read_result(folder).model_copy(
        update={
            "measurements": label_sizes(found),
            "pancreas_and_lesions": measure_scan(found, scan=scan),
            "notices": (
                Notice(code="located", severity="information", about="location", sentence="It was located."),
                Notice(code="pancreas_cut_off", severity="warning", about="result", sentence="It is cut off."),
            ),
            "files": {
                name: content_digest(folder / name)
                for name in ("segmentation.nii.gz", "probability_pancreas.nii.gz", "probability_tumour.nii.gz")
            },
        }
    )
    write_result(reported, folder / "result.json")
    return folder, scan
