"""Check, prepare, train and segment refuse the same scans for the same reason."""

import numpy as np
import pytest
from abdomen_set import abdomen, affine, save, write_msd

from pancascade.data.checking.case_issues import find_case_issues
from pancascade.data.checking.case_statistics import FaultKind, measure
from pancascade.data.preparing.prepare import prepare
from pancascade.data.readers import msd, region_folder
from pancascade.errors import DataError, NotCTError, ScanError
from pancascade.imaging.io import read_volume, require_ct

NOT_CT = {
    "not_finite": lambda hu: np.where(hu < -900, np.nan, hu).astype(np.float32),
    "rescale_missing": lambda hu: hu + 1024,
    "values_impossible": lambda hu: np.where(hu < -900, -66000, hu.astype(np.float32)),
    "labels_not_hu": lambda hu: np.clip(hu, 0, 255).astype(np.uint8),
}


@pytest.fixture
def with_scan(tmp_path):
    """A data set of two patients whose second has these voxels and this affine."""

    def make(voxels, matrix=None):
        folder = write_msd(tmp_path / "Task07_Pancreas")
        save(voxels, folder / "imagesTr" / "p1.nii.gz", matrix)
        if matrix is not None:
            save(abdomen(1)[1], folder / "labelsTr" / "p1.nii.gz", matrix)
        return msd(folder)

    return make


@pytest.mark.parametrize("code", NOT_CT)
def test_what_is_no_ct_is_refused_by_all_with_one_sentence(with_scan, tmp_path, code):
    cases = with_scan(NOT_CT[code](abdomen(1)[0]))
    bad = cases[1]
    with pytest.raises(NotCTError) as segmented:
        require_ct(read_volume(bad.files[0]))
    assert segmented.value.code == code
    fault = measure(bad).fault
    assert (fault.kind, fault.message) == (FaultKind.NOT_CT, str(segmented.value))
    with pytest.raises(NotCTError) as trained:
        bad.read_slices()
    assert str(trained.value) == str(segmented.value)
    manifest = prepare(cases, tmp_path / "store").manifest
    assert [(one.case, one.message) for one in manifest.failures] == [("p1", str(segmented.value))]
    assert list(manifest.cases) == ["p0"]


def test_a_leaning_stack_is_refused_by_all(with_scan, tmp_path):
    leaning = affine()
    leaning[1, 2] = 1.2
    cases = with_scan(abdomen(1)[0], leaning)
    assert measure(cases[1]).fault.kind == FaultKind.GEOMETRY
    with pytest.raises(ScanError, match="gantry tilt"):
        cases[1].read_slices()
    assert "gantry tilt" in prepare(cases, tmp_path / "store").manifest.failures[0].message


def test_doubled_values_are_told_by_check_and_before_training(with_scan, caplog):
    cases = with_scan(2 * abdomen(1)[0])
    assert [issue.kind for issue in find_case_issues(measure(cases[1])) if "doubled" in issue.message] == [
        "unusual-scan"
    ]
    cases[1].read_slices()
    assert "the values look doubled" in caplog.text
    caplog.clear()
    assert not [issue for issue in find_case_issues(measure(cases[0])) if "doubled" in issue.message]
    cases[0].read_slices()
    assert caplog.text == ""


def test_a_label_map_whose_header_contradicts_itself_is_a_warning(with_scan, caplog):
    import nibabel as nib

    cases = with_scan(abdomen(1)[0])
    labels = nib.Nifti1Image(abdomen(1)[1], affine())
    labels.set_qform(affine() * [[-1], [1], [1], [1]], 1)
    labels.set_sform(affine(), 2, update_affine=False)
    nib.save(labels, cases[1].files[1])
    (issue,) = [issue for issue in find_case_issues(measure(cases[1])) if issue.kind == "unusual-label"]
    assert "sform and qform contradict each other (they are mirror images)" in issue.message
    cases[1].read_slices()
    assert "mirror images" in caplog.text


@pytest.mark.parametrize("value", [np.nan, -1, 256, 70000])
def test_a_region_whose_grey_values_are_none_is_refused(tmp_path, value):
    grey = np.full((8, 8, 4), 100, np.float32)
    save(grey, tmp_path / "x_1_label.nii.gz")
    grey[2, 3, 1] = value
    save(grey, tmp_path / "x_1_ct.nii.gz")
    (tmp_path / "index.csv").write_text("case,hu_at_0,hu_at_255\nx_1,-56,180\n")
    (case,) = region_folder(tmp_path)
    with pytest.raises(NotCTError, match="grey values are not all from 0 to 255"):
        case.read_slices()
    assert measure(case, region=True).fault.kind == FaultKind.NOT_CT


def test_of_nothing_but_bad_scans_there_is_no_store(with_scan, tmp_path):
    cases = with_scan(abdomen(1)[0] + 1024)
    with pytest.raises(DataError, match="the rescale intercept is missing"):
        prepare(cases[1:], tmp_path / "store")
