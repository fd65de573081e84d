import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pancascade.data.readers import region_folder, slice_folder, volume_list
from pancascade.data.readers.structure import Structure
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import Window
from pancascade.labels import Label

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
    assert (a.name, a.source, axial.name) == ("a", folder.name, "a")
    from_jpeg = b.read_slices()[0]
    assert np.array_equal(from_jpeg.labels, mask)
    assert np.array_equal(from_jpeg.hu, np.asarray(Image.open(folder / "images" / "b.jpg")).astype(int) - 100)


def test_a_mask_can_mean_tumour(pictures):
    folder, _, mask = pictures
    axial = slice_folder(folder, window=GREY, label=Label.TUMOUR)[0].read_slices()[0]
    assert np.array_equal(axial.labels, mask * Label.TUMOUR)


def test_pictures_with_the_back_at_the_top_are_turned_over(pictures):
    folder, grey, mask = pictures
    axial = slice_folder(folder, window=GREY, flip_rows=True)[0].read_slices()[0]
    assert np.array_equal(axial.hu, grey[::-1])
    assert np.array_equal(axial.labels > 0, mask[::-1])


def test_pictures_can_be_cut_to_the_region_of_their_mask(pictures):
    folder, grey, mask = pictures
    axial = slice_folder(folder, window=GREY, region_margin=5)[0].read_slices()[0]
    assert np.array_equal(axial.hu, grey[0:14, 15:35])
    assert np.array_equal(axial.labels > 0, mask[0:14, 15:35])
    turned = slice_folder(folder, window=GREY, region_margin=5, flip_rows=True)[0].read_slices()[0]
    assert np.array_equal(turned.hu, grey[0:14, 15:35][::-1])
    assert np.array_equal(turned.labels > 0, mask[0:14, 15:35][::-1])


def test_a_picture_with_an_empty_mask_is_not_cut(pictures):
    folder, grey, mask = pictures
    Image.fromarray(np.zeros_like(mask)).save(folder / "masks" / "a.png")
    axial = slice_folder(folder, window=GREY, region_margin=5)[0].read_slices()[0]
    assert axial.hu.shape == grey.shape
    assert not axial.labels.any()


@pytest.mark.parametrize("fault", ["no index", "columns", "empty", "no mask", "no image", "shape", "text", "chunk"])
def test_a_faulty_slice_folder_is_refused_by_the_file_s_name(pictures, fault):
    folder, _, _ = pictures
    named = {"no mask": "a.png", "no image": "a.png", "shape": "a.png", "text": "a.png", "chunk": "a.png"}.get(
        fault, "index.csv"
    )
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
    if fault == "chunk":
        content = (folder / "images" / "a.png").read_bytes()
        place = content.index(b"IDAT")
        (folder / "images" / "a.png").write_bytes(content[: place - 1] + b"\x05" + content[place:])
    with pytest.raises(DataError, match=named.replace(".", r"\.")):
        slice_folder(folder, window=GREY)[0].read_slices()


def test_nothing_is_read_before_it_is_asked_for(pictures):
    folder, _, _ = pictures
    (folder / "images" / "b.jpg").unlink()
    a, b = slice_folder(folder, window=GREY)
    assert len(a.read_slices()) == 1
    with pytest.raises(DataError, match=r"b\.png"):
        b.read_slices()


def volume_with_a_mark(codes):
    """NIfTI images with a mark at the front, on the patient's right, in the lowest slice; oriented by nibabel."""
    grey, labels = np.zeros((12, 10, 6), np.uint8), np.zeros((12, 10, 6), np.uint8)
    grey[1, 2, 0], labels[1, 2, 0] = 255, 1
    labels[5, 5, 3], labels[6, 5, 3], labels[7, 5, 3] = 4, 5, 2
    affine = np.diag((-0.5, -0.7, 3.0, 1.0))
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    images = [nib.Nifti1Image(voxels, affine).as_reoriented(turn) for voxels in (grey, labels)]
    assert nib.aff2axcodes(images[0].affine) == tuple(codes)
    return images


def as_ct(image):
    """The same marks in soft tissue below air, as a list of scans must show."""
    grey = np.asarray(image.dataobj).astype(np.int16)
    hu = np.where(grey > 0, grey, 40).astype(np.int16)
    hu[..., ::2][grey[..., ::2] == 0] = -1000
    return nib.Nifti1Image(hu, image.affine)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAI", "PIR", "SLA"])
def test_a_region_s_slices_look_the_same_however_the_file_is_oriented(tmp_path, codes):
    for name, volume in zip(("ct", "label"), volume_with_a_mark(codes), strict=True):
        nib.save(volume, tmp_path / f"x_1_{name}.nii.gz")
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
    nib.save(grey, tmp_path / "x_ct.nii.gz")
    elsewhere = nib.Nifti1Image(np.asarray(labels.dataobj), np.diag((-0.5, -0.7, 2.0, 1.0)))
    nib.save(elsewhere, tmp_path / "x_label.nii.gz")
    (tmp_path / "index.csv").write_text("case,hu_at_0,hu_at_255\nx,0,255\n")
    with pytest.raises(DataError, match="not on the grid"):
        region_folder(tmp_path)[0].read_slices()


def test_the_meaning_of_a_region_s_ids_can_be_given(tmp_path):
    for name, image in zip(("ct", "label"), volume_with_a_mark("RAS"), strict=True):
        nib.save(image, tmp_path / f"x_{name}.nii.gz")
    (tmp_path / "index.csv").write_text("case,hu_at_0,hu_at_255\nx,0,255\n")
    meaning = {1: Structure.OTHER, 2: Structure.TUMOUR, 4: Structure.BILE_DUCT, 5: Structure.PANCREAS}
    slices = region_folder(tmp_path, meaning=meaning)[0].read_slices()
    assert slices[3].labels[5, 5:8].tolist() == [Label.BACKGROUND, Label.PANCREAS, Label.TUMOUR]
    assert not slices[0].labels.any()


@pytest.mark.parametrize("text", [None, "case,hu_at_0\nx,0\n", "case,hu_at_0,hu_at_255\n"])
def test_a_region_folder_without_its_index_or_columns_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "index.csv").write_text(text)
    with pytest.raises(DataError, match=r"index\.csv"):
        region_folder(tmp_path)


@pytest.mark.parametrize("text", [None, "image,label,first_slice\na,none,0\n", ""])
def test_a_volume_list_without_its_file_or_columns_is_refused(tmp_path, text):
    table = tmp_path / "list.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(DataError, match=r"list\.csv"):
        volume_list(table, root=tmp_path)


def test_labels_of_a_volume_list_may_be_oriented_otherwise_but_lie_on_the_scan_s_grid(tmp_path):
    scan, _ = volume_with_a_mark("LPS")
    _, foreign = volume_with_a_mark("PIR")
    nib.save(as_ct(scan), tmp_path / "scan.nii.gz")
    nib.save(foreign, tmp_path / "label.nii.gz")
    labels = nib.Nifti1Image(np.minimum(np.asarray(foreign.dataobj), 2), foreign.affine)
    table = tmp_path / "list.csv"
    table.write_text("image,label,patient,first_slice,last_slice\nscan.nii.gz,label.nii.gz,p,0,0\n")
    with pytest.raises(DataError, match=r"label\.nii\.gz: holds 4, 5, which has no meaning"):
        volume_list(table, root=tmp_path)[0].read_slices()
    nib.save(labels, tmp_path / "label.nii.gz")
    (axial,) = volume_list(table, root=tmp_path)[0].read_slices()
    assert np.argwhere(axial.hu == 255).tolist() == np.argwhere(axial.labels).tolist() == [[2, 1]]
    nib.save(nib.Nifti1Image(np.asarray(labels.dataobj), np.diag((1.0, 1.0, 1.0, 1.0))), tmp_path / "label.nii.gz")
    with pytest.raises(DataError, match="not on the grid"):
        volume_list(table, root=tmp_path)[0].read_slices()


def test_a_volume_list_gives_the_slices_that_it_names(tmp_path):
    hu = np.zeros((12, 10, 8), np.int16) + np.arange(8, dtype=np.int16)
    hu[:5] = -1000
    nib.save(nib.Nifti1Image(hu, np.diag((-1.0, -1.0, 2.0, 1.0))), tmp_path / "scan.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("image,label,patient,first_slice,last_slice\nscan.nii.gz,none,p_1,2,4\n")
    case = volume_list(table, root=tmp_path)[0]
    slices = case.read_slices()
    assert [int(axial.hu.max()) for axial in slices] == [2, 3, 4]
    assert all(axial.labels.max() == 0 for axial in slices)
    assert {slices[0].patient, case.patient} == {"p_1"}
    for wrong in ("2,8", "-1,3", "4,2"):
        table.write_text(f"image,label,patient,first_slice,last_slice\nscan.nii.gz,none,p,{wrong}\n")
        with pytest.raises(DataError, match="the scan has 0–7"):
            volume_list(table, root=tmp_path)[0].read_slices()


def test_a_volume_list_needs_no_slices_and_gives_whole_scans(tmp_path):
    scan = as_ct(volume_with_a_mark("RAS")[0])
    nib.save(scan, tmp_path / "one.nii.gz")
    nib.save(scan, tmp_path / "two.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("image,label,patient\none.nii.gz,none,p\ntwo.nii.gz,none,p\n")
    cases = volume_list(table, root=tmp_path)
    assert [(case.name, case.patient) for case in cases] == [("one", "p"), ("two", "p")]
    assert [len(case.read_slices()) for case in cases] == [6, 6]
    image, labels = cases[0].scan.read()
    assert np.array_equal(image.voxels, np.asarray(scan.dataobj))
    assert not labels.voxels.any()


def test_pictures_of_sixteen_bits_are_refused_instead_of_cut_off(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), 1200, np.uint16)).save(tmp_path / name / "a.png")
    (tmp_path / "index.csv").write_text("name,patient\na,p\n")
    (case,) = slice_folder(tmp_path, window=Window(lower_hu=0, upper_hu=255))
    with pytest.raises(DataError, match=r"a\.png: has more than 8 bits a pixel"):
        case.read_slices()
