"""What the page fetches: words, places in mm, files."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from pancascade.errors import UnreadableError
from pancascade.imaging.io.nifti import write_nifti
from pancascade.results.result import read_result, write_result
from pancascade.services.viewer import CT, MASK, PROBABILITIES, Pictures, page_files, viewer_document
from pancascade.services.viewer.page_files import POLICY


def test_a_lesion_s_place_is_in_the_scan_s_own_millimetres(result):
    folder, scan = result
    lesions = viewer_document(folder)["lesions"]
    assert len(lesions) == 2
    voxels = np.argwhere(np.asarray(nib.load(folder / "segmentation.nii.gz").dataobj)[:12] == 2)
    centre = nib.affines.apply_affine(scan.affine, voxels.mean(axis=0))
    assert lesions[0]["centre_mm"] == pytest.approx(centre.tolist())
    assert lesions[0]["cells"][0] == "1"


def test_warnings_come_first(result):
    notices = viewer_document(result[0])["notices"]
    assert [one["severity"] for one in notices] == ["warning", "information"]


def test_the_document_names_the_files_that_are_there(result):
    folder, scan = result
    document = viewer_document(folder, scan=False, corrections=True, author="AB")
    assert document["files"] == {"ct": None, "mask": MASK, "probabilities": dict(PROBABILITIES)}
    assert (document["corrections"], document["author"]) == (True, "AB")
    assert document["voxel_ml"] == pytest.approx(abs(np.linalg.det(scan.affine[:3, :3])) / 1000)
    (folder / "probability_tumour.nii.gz").unlink()
    assert list(viewer_document(folder)["files"]["probabilities"]) == ["pancreas"]


@pytest.mark.parametrize("kept", [True, False], ids=["exchanged", "added"])
@pytest.mark.parametrize("name", ["segmentation.nii.gz", "probability_tumour.nii.gz"])
def test_files_of_another_result_are_not_shown(result, name, kept):
    folder, scan = result
    read = read_result(folder)
    if not kept:
        files = {known: digest for known, digest in read.files.items() if known != name}
        write_result(read.model_copy(update={"files": files}), folder / "result.json")
    write_nifti(scan.with_voxels(np.ones(scan.shape, np.uint8)), folder / name)
    with pytest.raises(UnreadableError, match=f"{name} beside it is not what was written with it"):
        viewer_document(folder)


def test_a_result_of_an_older_version_without_digests_is_shown(result):
    folder, _ = result
    write_result(read_result(folder).model_copy(update={"files": {}}), folder / "result.json")
    assert len(viewer_document(folder)["files"]["probabilities"]) == 2


def test_the_scan_leaves_on_its_own_grid_without_words_of_its_header(result):
    folder, scan = result
    content = Pictures(folder, scan).content(CT)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    assert np.array_equal(np.asarray(image.dataobj), scan.voxels)
    assert np.allclose(image.affine, scan.affine, atol=1e-4)
    assert not any((*image.header["descrip"].tobytes(), *image.header["aux_file"].tobytes()))
    assert Pictures(folder).content(CT) is None


@pytest.mark.parametrize("address", ["result.json", "files/../result.json", "/etc/passwd", "", "files/ct.nii"])
def test_no_other_address_opens_a_file(result, address):
    assert Pictures(*result).content(address) is None


def test_a_result_without_mask_says_how_to_get_one(result):
    folder, _ = result
    (folder / "segmentation.nii.gz").unlink()
    with pytest.raises(UnreadableError, match="--format nifti"):
        Pictures(folder).content(MASK)


def test_an_edited_mask_is_refused(result):
    folder, _ = result
    (folder / "segmentation.nii.gz").write_bytes(b"other")
    with pytest.raises(UnreadableError, match="edited"):
        viewer_document(folder)


def test_the_page_has_no_script_of_its_own_inside_and_asks_nobody_else():
    page = page_files()["page.html"].content.decode()
    assert "<script>" not in page
    assert "http" not in page
    assert "unsafe-inline" not in POLICY
    assert "http" not in page_files()["viewer.js"].content.decode()
