"""Indices and lists as people save them, and what they name."""

import unicodedata

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pancascade.data.readers import recognise, region_folder, slice_folder, volume_list
from pancascade.data.readers.case_names import distinct_names
from pancascade.data.splits.splits import read_split
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import Window

GREY = Window(lower_hu=0, upper_hu=255)
COMPOSED, APART = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def image(path, value=0, *, air=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.full((4, 4, 3), value, np.int16)
    if air:
        voxels[0] = -1000
    nib.save(nib.Nifti1Image(voxels, np.diag((-1.0, -1.0, 2.0, 1.0))), path)
    return path


def test_a_list_of_excel_is_read(tmp_path):
    image(tmp_path / "ct" / "a.nii.gz", 7, air=True)
    image(tmp_path / "lab" / "a.nii.gz", 1)
    text = "\ufeffImage;Label;Patient;First Slice\r\nct\\A.nii.gz;lab/a.nii.gz; Müller ;1,0\r\n;;;\r\n"
    (tmp_path / "list.csv").write_bytes(text.encode("utf-16"))
    assert recognise(tmp_path / "list.csv") == "volume_list"
    (case,) = volume_list(tmp_path / "list.csv", root=tmp_path)
    assert (case.name, case.patient) == ("A_1_", "Müller")
    slices = case.read_slices()
    assert [(axial.hu.max(), axial.labels.max()) for axial in slices] == [(7, 1), (7, 1)]


@pytest.mark.parametrize("label", ["", " "])
def test_a_blank_label_is_refused_and_none_is_not(tmp_path, label):
    table = tmp_path / "list.csv"
    table.write_text(f"image,label,patient\na.nii.gz,{label},1\n")
    with pytest.raises(DataError, match=r"list\.csv, line 2: no label\. Name its file, or write none"):
        volume_list(table, root=tmp_path)
    table.write_text("image,label,patient\na.nii.gz,None,1\n")
    assert volume_list(table, root=tmp_path)[0].scan.label is None


def test_cases_of_one_file_name_are_called_after_their_folders(tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("image,label,patient\np1/ct.nii.gz,none,1\np2/ct.nii.gz,none,2\nother.nii.gz,none,3\n")
    assert [case.name for case in volume_list(table, root=tmp_path)] == ["p1_ct", "p2_ct", "other"]
    table.write_text("image,label,patient,case\np1/ct.nii.gz,none,1,one\np2/ct.nii.gz,none,2,\n")
    assert [case.name for case in volume_list(table, root=tmp_path)] == ["one", "p2_ct"]


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["a/x.nii", "b/x.nii.gz"], ["a_x", "b_x"]),
        (["1/ct/x.nii", "2/ct/x.nii", "y.nii"], ["1_ct_x", "2_ct_x", "y"]),
        (["x.nii", "./b/x.nii"], ["x", "b_x"]),
        (["a\\X.nii", "b\\x.nii"], ["a_X", "b_x"]),
        (["x.nii", "x.nii"], ["x", "x"]),
        (["/d/x.nii", "/e/x.nii"], ["d_x", "e_x"]),
    ],
)
def test_names_tell_files_apart_by_as_few_folders_as_it_takes(images, names):
    assert distinct_names(images) == names


def test_a_slice_folder_of_a_mac_is_found_by_its_composed_names(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        Image.fromarray(np.ones((8, 8), np.uint8)).save(tmp_path / part / f"{APART}.png")
    (tmp_path / "index.csv").write_bytes(f"Name;Patient\r\n{COMPOSED};{APART}\r\n".encode())
    (case,) = slice_folder(tmp_path, window=GREY)
    assert (case.name, case.patient) == (COMPOSED, COMPOSED)
    assert case.read_slices()[0].labels.all()


def test_an_index_in_latin_1_is_read(tmp_path):
    (tmp_path / "index.csv").write_bytes("name,patient\na,Müller\n".encode("latin-1"))
    assert [case.patient for case in slice_folder(tmp_path, window=GREY)] == ["Müller"]


def test_a_split_of_the_other_spelling_names_the_same_patients(tmp_path):
    (tmp_path / "split.json").write_bytes(f'{{"train": ["{APART}"], "validation": [], "test": []}}'.encode("utf-16"))
    assert read_split(tmp_path / "split.json")["train"] == {COMPOSED}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"train": [[1]], "validation": [], "test": []}', "{", "\x00\x01"])
def test_a_damaged_split_is_one_short_sentence(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(DataError, match=r"^split\.json") as raised:
        read_split(tmp_path / "split.json")
    assert len(str(raised.value)) <= 200


@pytest.mark.parametrize("name", ["x" * 400, "x\x07y"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    for header, row in (
        ("name,patient", f"{name},1"),
        ("case,hu_at_0,hu_at_255", f"{name},0,255"),
        ("image,label,patient", f"{name},none,1"),
    ):
        (tmp_path / "index.csv").write_text(f"{header}\n{row}\n")
        read = {"name": lambda: slice_folder(tmp_path, window=GREY), "case": lambda: region_folder(tmp_path)}
        with pytest.raises(DataError, match=r"^index\.csv, line 2: ") as raised:
            read.get(header.split(",")[0], lambda: volume_list(tmp_path / "index.csv", root=tmp_path))()
        assert len(str(raised.value)) <= 200


@pytest.mark.parametrize(("numbers", "window"), [("-56,5;180", (-56.5, 180)), ("−56;180,25", (-56, 180.25))])
def test_a_region_s_window_may_have_decimal_commas(tmp_path, numbers, window):
    image(tmp_path / "x_ct.nii.gz", 255)
    image(tmp_path / "x_label.nii.gz", 0)
    (tmp_path / "index.csv").write_text(f"CASE;HU at 0;HU at 255\nx;{numbers}\n", encoding="utf-8")
    (case,) = region_folder(tmp_path)
    assert case.read_slices()[0].hu.max() == np.rint(window[1])


def test_a_region_s_window_that_is_none_names_its_line(tmp_path):
    (tmp_path / "index.csv").write_text("case,hu_at_0,hu_at_255\nx,180,-56\n")
    with pytest.raises(DataError, match=r"index\.csv, line 2: hu_at_0 is 180, hu_at_255 -56"):
        region_folder(tmp_path)
