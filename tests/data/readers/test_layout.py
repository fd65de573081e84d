import json

import numpy as np
import pytest
from PIL import Image

from pancascade.data.readers import Layout, PictureReading, read_data_set, recognise
from pancascade.errors import DataError
from pancascade.imaging.preprocessing import Window


def make(folder, *names, folders=()):
    for name in folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def make_slices(folder):
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(folder / name / "one.png")
    (folder / "index.csv").write_text("name,patient\none,p1\n")
    return folder


@pytest.mark.parametrize(
    ("content", "layout"), [({"training": []}, Layout.MSD), ({"file_ending": ".nii.gz"}, Layout.NNUNET_RAW)]
)
def test_two_layouts_have_a_dataset_json_and_only_the_decathlon_lists_its_cases(tmp_path, content, layout):
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert recognise(tmp_path) is layout


def test_layouts_are_recognised_by_the_names_in_the_folder(tmp_path):
    nih = make(tmp_path / "nih", folders=["manifest/Pancreas-CT/PANCREAS_0001"])
    panorama = make(tmp_path / "panorama", "batch_1/100000_00001_0000.nii.gz")
    regions = make(tmp_path / "regions", "index.csv")
    mine = make(tmp_path / "mine", "list.csv") / "list.csv"
    slices = make_slices(tmp_path / "slices")
    found = [recognise(path) for path in (nih, panorama, regions, mine, slices)]
    assert found == [
        Layout.NIH_PANCREAS_CT,
        Layout.PANORAMA,
        Layout.REGION_FOLDER,
        Layout.VOLUME_LIST,
        Layout.SLICE_FOLDER,
    ]


def test_pictures_are_read_as_told(tmp_path):
    folder = make_slices(tmp_path / "slices")
    (case,) = read_data_set(folder, pictures=PictureReading(Window(lower_hu=0, upper_hu=255), flip_rows=True))
    (axial,) = case.read_slices()
    assert np.array_equal(axial.hu[::-1], np.arange(256).reshape(16, 16))
    assert [path.name for path in case.files] == ["one.png", "one.png"]


def test_paths_of_a_list_are_relative_to_it(tmp_path):
    (tmp_path / "list.csv").write_text("image,label,patient\nscans/a.nii.gz,none,a\n")
    (case,) = read_data_set(tmp_path / "list.csv")
    assert case.files == (tmp_path / "scans" / "a.nii.gz",)


def test_what_is_no_data_set_is_refused_and_a_folder_of_them_names_its_own(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        recognise(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no known layout\. Known are MSD"):
        recognise(tmp_path)
    make(tmp_path, "Task07_Pancreas/dataset.json")
    with pytest.raises(DataError, match="Give one of its data sets: Task07_Pancreas"):
        recognise(tmp_path)
    with pytest.raises(DataError, match="Layout msd is a folder"):
        read_data_set(tmp_path / "list.csv", layout=Layout.MSD)
