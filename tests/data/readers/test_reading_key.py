import shutil

import nibabel as nib
import numpy as np
import pytest

from pancascade.data.readers import region_folder
from pancascade.data.readers.reading_key import MISSING, reading_key


@pytest.fixture
def regions(tmp_path):
    folder = tmp_path / "regions"
    folder.mkdir()
    grey = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    for what, voxels in (("ct", grey), ("label", (grey > 60).astype(np.uint8))):
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"p1_{what}.nii.gz")
    write_index(folder, 250)
    return folder


def write_index(folder, hu_at_255):
    (folder / "index.csv").write_text(f"case,hu_at_0,hu_at_255\np1,-150,{hu_at_255}\n")


def key_of(folder, **options):
    (case,) = region_folder(folder, **options)
    return reading_key(case)


def test_a_copy_elsewhere_has_the_same_key(regions, tmp_path):
    assert key_of(shutil.copytree(regions, tmp_path / "copy")) == key_of(regions)


def test_another_window_another_meaning_and_another_content_have_other_keys(regions):
    keys = [key_of(regions), key_of(regions, meaning={1: "pancreas"})]
    write_index(regions, 200)
    keys.append(key_of(regions))
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), regions / "p1_label.nii.gz")
    keys.append(key_of(regions))
    assert all(one != other for n, one in enumerate(keys) for other in keys[:n])


def test_a_file_that_is_not_there_is_told(regions):
    (regions / "p1_label.nii.gz").unlink()
    assert key_of(regions)["files"][1] == MISSING
