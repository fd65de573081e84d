import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pancascade.datasets import region_folder, slice_folder, volume_list
from pancascade.errors import DataError
from pancascade.labels import Label
from pancascade.preprocessing import Window
from pancascade.volume import Volume, reorient

GREY = Window(lower_hu=0, upper_hu=255)


@pytest.fixture
def pictures(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    grey, mask = np.arange(30 * 40).reshape(30, 40).astype(np.uint8), np.zeros((30, 40), bool)
    mask[3:9, 20:30] = True
    Image.fromarray(grey).save(tmp_path / "images" / "a.png")
    Image.fromarray(grey).save(tmp_path / "images" / "b.jpg")
    for name in ("a", "b"):
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "index.csv").write_text("name,patient\na,p1\nb,p2\n")
    return tmp_path, grey, mask


def test_a_slice_folder_gives_hounsfield_units_and_labels(pictures):
    folder, grey, mask = pictures
    a, b = slice_folder(folder, window=Window(lower_hu=-100, upper_hu=155))
    assert (a.patient, b.patient) == ("p1", "p2")
    axial = a.read_slices()[0]
    assert np.array_equal(axial.hu, grey.astype(int) - 100)
    assert np.array_equal(axial.labels, mask * Label.PANCREAS)
    assert axial.spacing_mm is None
    assert np.array_equal(b.read_slices()[0].labels, mask)


def test_pictures_with_the_back_at_the_top_are_turned_over(pictures):
    folder, grey, mask = pictures
    axial = slice_folder(folder, window=GREY, flip_rows=True)[0].read_slices()[0]
    assert np.array_equal(axial.hu, grey[::-1])
    assert np.array_equal(axial.labels > 0, mask[::-1])


def test_pictures_can_be_cut_to_the_region_of_their_mask(pictures):
    folder, grey, _ = pictures
    axial = slice_folder(folder, window=GREY, region_margin=5)[0].read_slices()[0]
    assert np.array_equal(axial.hu, grey[0:14, 15:35])


@pytest.mark.parametrize("fault", ["no index", "columns", "empty", "no mask", "no image", "shape", "text"])
def test_a_faulty_slice_folder_is_refused_by_the_file_s_name(pictures, fault):
    folder, _, _ = pictures
    named = {"no mask": "a.png", "no image": "a.png", "shape": "a.png", "text": "a.png"}.get(fault, "index.csv")
    if fault == "no index":
        (folder / "index.csv").unlink()
    if fault == "columns":
        (folder / "index.csv").write_text("file,patient\na,p\n")
    if fault == "empty":
        (folder / "index.csv").write_text("name,patient\n")
    if fault == "no mask":
        (folder / "masks" / "a.png").unlink()
    if fault == "no image":
        (folder / "images" / "a.png").unlink()
    if fault == "shape":
        Image.fromarray(np.zeros((5, 5), bool)).save(folder / "masks" / "a.png")
    if fault == "text":
        (folder / "images" / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=named.replace(".", r"\.")):
        slice_folder(folder, window=GREY)[0].read_slices()


def volume_with_a_mark(codes):
    """A mark at the front, on the patient's right, in the lowest slice."""
    grey, labels = np.zeros((12, 10, 6), np.uint8), np.zeros((12, 10, 6), np.uint8)
    grey[1, 2, 0], labels[1, 2, 0] = 255, 1
    labels[5, 5, 3], labels[6, 5, 3], labels[7, 5, 3] = 4, 5, 2
    affine = np.diag((-0.5, -0.7, 3.0, 1.0))
    return [reorient(Volume(voxels, affine), codes) for voxels in (grey, labels)]


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAI", "PIR", "SLA"])
def test_a_region_s_slices_look_the_same_however_the_file_is_oriented(tmp_path, codes):
    for name, volume in zip(("ct", "label"), volume_with_a_mark(codes), strict=True):
        nib.save(nib.Nifti1Image(np.ascontiguousarray(volume.voxels), volume.affine), tmp_path / f"x_1_{name}.nii.gz")
    (tmp_path / "index.csv").write_text("case,hu_at_0,hu_at_255\nx_1,-56,180\n")
    case = region_folder(tmp_path)[0]
    slices = case.read_slices()
    assert len(slices) == 6
    assert slices[0].hu.shape == (10, 12)
    assert slices[0].spacing_mm == pytest.approx((0.7, 0.5))
    assert [tuple(map(int, place)) for place in np.argwhere(slices[0].hu == 180)] == [(2, 1)]
    assert slices[0].labels[2, 1] == Label.TUMOUR
    assert slices[3].labels[5, 5:8].tolist() == [Label.PANCREAS, Label.PANCREAS, Label.BACKGROUND]
    assert {slices[0].patient, case.patient} == {"x"}


def test_a_label_map_on_another_grid_is_refused(tmp_path):
    grey, labels = volume_with_a_mark("LPS")
    nib.save(nib.Nifti1Image(grey.voxels, grey.affine), tmp_path / "x_ct.nii.gz")
    nib.save(nib.Nifti1Image(labels.voxels, np.diag((-0.5, -0.7, 2.0, 1.0))), tmp_path / "x_label.nii.gz")
    (tmp_path / "index.csv").write_text("case,hu_at_0,hu_at_255\nx,0,255\n")
    with pytest.raises(DataError, match="not on the grid"):
        region_folder(tmp_path)[0].read_slices()


def test_a_volume_list_gives_the_slices_that_it_names(tmp_path):
    hu = np.zeros((12, 10, 8), np.int16) + np.arange(8, dtype=np.int16)
    nib.save(nib.Nifti1Image(hu, np.diag((-1.0, -1.0, 2.0, 1.0))), tmp_path / "scan.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("image,label,patient,first_slice,last_slice\nscan.nii.gz,none,p_1,2,4\n")
    case = volume_list(table, root=tmp_path)[0]
    slices = case.read_slices()
    assert [int(axial.hu.max()) for axial in slices] == [2, 3, 4]
    assert all(axial.labels.max() == 0 for axial in slices)
    assert {slices[0].patient, case.patient} == {"p_1"}
    table.write_text("image,label,patient,first_slice,last_slice\nscan.nii.gz,none,p,2,8\n")
    with pytest.raises(DataError, match="the scan has 0–7"):
        volume_list(table, root=tmp_path)[0].read_slices()
