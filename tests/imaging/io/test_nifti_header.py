"""Headers that say one thing twice and differently, and grids that are no boxes."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pancascade.errors import GeometryError
from pancascade.imaging.io import read_volume, require_ct, require_hounsfield, write_volume
from pancascade.imaging.io.label_table import embedded_label_names
from pancascade.imaging.io.nifti_header import contradictions
from pancascade.imaging.volume import Volume, reorient

AFFINE = np.array([[-3.0, 0, 0, 90], [0, -3, 0, 80], [0, 0, 5, -40], [0, 0, 0, 1]])
MIRRORED = AFFINE * [[-1], [1], [1], [1]]


def header_of(path, *, sform=AFFINE, qform=AFFINE, codes=(1, 1), pixdim=None, shape=(20, 18, 12)):
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_qform(qform, codes[1])
    header.set_sform(sform, codes[0])
    if pixdim is not None:
        header["pixdim"][1:4] = pixdim
    return saved(np.zeros(shape, np.int16), header, path)


def saved(voxels, header, path):
    """With this header; given an affine, nibabel would mend it."""
    header.set_data_dtype(voxels.dtype)
    nib.save(nib.Nifti1Image(voxels, None, header), path)
    return path


def sentences(path):
    return [(notice.code, notice.severity, notice.sentence) for notice in read_volume(path).notices]


def moved(mm):
    other = AFFINE.copy()
    other[:3, 3] += mm
    return other


@pytest.mark.parametrize(
    ("qform", "how"),
    [
        (MIRRORED, "they are mirror images"),
        (AFFINE @ np.diag((1, 1, 1.2, 1)), "3 x 3 x 5 against 3 x 3 x 6 mm"),
        (moved((10, 0, 0)), "up to 10 mm apart"),
    ],
)
def test_a_qform_that_contradicts_the_sform_is_told_with_what_was_taken(tmp_path, qform, how):
    path = header_of(tmp_path / "scan.nii.gz", qform=qform)
    ((code, severity, sentence),) = sentences(path)
    assert (code, severity) == ("header_contradicts", "warning")
    assert f"sform and qform contradict each other ({how}); the sform was taken" in sentence
    assert len(sentence.replace(str(path), path.name)) <= 200
    assert np.allclose(read_volume(path).affine, AFFINE)


def test_the_other_way_round_the_qform_of_an_unused_sform_is_taken_without_a_word(tmp_path):
    path = header_of(tmp_path / "scan.nii.gz", sform=MIRRORED, codes=(0, 1))
    assert sentences(path) == []
    assert np.allclose(read_volume(path).affine, AFFINE)


@pytest.mark.parametrize("pixdim", [(1, 1, 1), (3, 3, 2.5)])
def test_without_a_qform_the_spacing_is_compared(tmp_path, pixdim):
    path = header_of(tmp_path / "scan.nii.gz", codes=(2, 0), pixdim=pixdim)
    ((_, _, sentence),) = sentences(path)
    assert "sform and spacing (pixdim) contradict each other (3 x 3 x 5 against" in sentence


@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (1, 0), (0, 1), (0, 0)])
def test_a_header_that_agrees_with_itself_is_silent(tmp_path, codes):
    assert sentences(header_of(tmp_path / "scan.nii.gz", codes=codes)) == []


def test_rounding_of_the_quaternion_is_no_contradiction(tmp_path):
    turned = AFFINE.copy()
    turned[:3, :3] = nib.eulerangles.euler2mat(0.3, -0.2, 0.4) @ AFFINE[:3, :3]
    path = header_of(tmp_path / "scan.nii.gz", sform=turned, qform=turned, shape=(400, 400, 100))
    assert sentences(path) == []


def test_what_is_written_here_agrees_with_itself(ct, tmp_path):
    write_volume(ct, tmp_path / "scan.nii.gz")
    assert read_volume(tmp_path / "scan.nii.gz").notices == ()


def test_notices_of_reading_come_with_the_judgement_and_stay_with_a_reoriented_scan(ct, tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape(ct.shape)
    header.set_qform(ct.affine * [[-1], [1], [1], [1]], 1)
    header.set_sform(ct.affine, 2)
    scan = read_volume(saved(ct.voxels, header, tmp_path / "scan.nii.gz"))
    for volume in (scan, reorient(scan, "SAR"), scan.with_voxels(scan.voxels.astype(np.float32))):
        assert [notice.code for notice in require_ct(volume)] == ["header_contradicts"]


def sheared(ct, degrees, *, rows=False):
    affine, axis = ct.affine.copy(), 1 if rows else 2
    beside = np.array((1.0, 0, 0) if rows else (0, 1.0, 0))
    affine[:3, axis] += np.tan(np.radians(degrees)) * np.linalg.norm(affine[:3, axis]) * beside
    return Volume(ct.voxels, affine, ct.source)


@pytest.mark.parametrize("degrees", [15, -15, 1])
@pytest.mark.parametrize("judge", [require_ct, require_hounsfield])
def test_a_leaning_stack_is_refused_as_in_dicom(ct, degrees, judge):
    with pytest.raises(GeometryError, match=rf"leans by {abs(degrees)}\.0 degrees \(gantry tilt\)") as caught:
        judge(sheared(ct, degrees))
    assert caught.value.code == "gantry_tilt"


def test_rows_and_columns_must_be_at_right_angles(ct):
    with pytest.raises(GeometryError, match=r"rows and columns are 5\.0 degrees off a right angle") as caught:
        require_ct(sheared(ct, 5, rows=True))
    assert caught.value.code == "directions_impossible"


def test_a_shear_that_rounding_leaves_passes(ct):
    assert require_ct(sheared(ct, 0.4)) == require_ct(sheared(ct, 0.4, rows=True)) == []


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (0, 3), (2, 3)])
@pytest.mark.parametrize("value", [1e30, -1e12, 1e7])
def test_an_entry_of_the_affine_beyond_all_measure_is_one_sentence(tmp_path, place, value):
    affine = AFFINE.copy()
    affine[place] = value
    path = header_of(tmp_path / "scan.nii.gz", sform=affine)
    with pytest.raises(GeometryError, match=r"an entry of the affine .* the header is damaged") as caught:
        read_volume(path)
    assert caught.value.code == "directions_impossible"


def test_reading_a_label_table_prints_nothing_about_a_damaged_header(tmp_path, capfd, caplog):
    path = tmp_path / "m.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[80:92] = np.zeros(3, np.float32).tobytes()  # pixdim
    path.write_bytes(content)
    assert embedded_label_names(path) == {}
    assert (capfd.readouterr().err, caplog.text) == ("", "")


def test_the_sentence_about_a_contradiction_stays_short():
    header = nib.Nifti1Header()
    header.set_data_shape((9, 9, 9))
    header.set_sform(np.diag((0.7123, 0.8456, 2.5123, 1)), code=1)
    header["pixdim"][1:4] = 1.2345e-6
    (notice,) = contradictions(Path("a_name_of_a_scan_as_written.nii.gz"), header)
    assert len(notice.sentence) <= 200
