"""What `Segmentation.save` leaves behind, above all when it fails."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import abdomen
from matplotlib.figure import Figure

from pancascade.errors import OutputError
from pancascade.imaging.volume import Box
from pancascade.messages.notices import Notice
from pancascade.segmentation import Segmentation

FULL = OSError(28, "No space left on device")


@pytest.fixture
def found() -> Segmentation:
    scan, truth = abdomen()
    region = Box.around(truth)
    labels = truth[region.slices]
    probabilities = np.stack([labels == 1, labels == 2]).astype(np.float32)
    careful = Notice(code="careful", about="input", sentence="Be careful.")
    return Segmentation(scan, scan.with_voxels(truth), region, probabilities, "m", (careful,), {"read": 0.1})


def fail_in(monkeypatch, what: str) -> None:
    """Write half of one of the files, then find the disk full."""

    def half(*arguments, **_):
        path = next(given for given in arguments if hasattr(given, "write_bytes"))
        path.write_bytes(b"half")
        raise FULL

    if what == "overview":
        monkeypatch.setattr(Figure, "savefig", half)
    elif what == "result":
        write = Path.write_text
        fail = lambda path, text, **how: half(path) if what in path.name else write(path, text, **how)  # noqa: E731
        monkeypatch.setattr(Path, "write_text", fail)
    else:
        save = nib.save
        monkeypatch.setattr("nibabel.save", lambda image, path: half(path) if what in str(path) else save(image, path))


WRITERS = ["segmentation", "overview", "probability_tumour", "result"]


@pytest.mark.parametrize("what", WRITERS)
def test_no_file_is_ever_half_written(found, tmp_path, monkeypatch, what):
    fail_in(monkeypatch, what)
    with pytest.raises(OutputError, match=f"{what}.*cannot be written, the disk is full"):
        found.save(tmp_path / "out", save_probabilities=True)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert not [name for name in left if what in name or name.startswith(".") or "tmp" in name], left
    assert "result.json" not in left, "result.json comes last: where it is, all the others are"


@pytest.mark.parametrize("what", WRITERS)
def test_a_failed_save_leaves_former_results_all_together(found, tmp_path, monkeypatch, what):
    """A new mask beside the old numbers would be worse than either."""
    out = tmp_path / "out"
    out.mkdir()
    names = ("segmentation.nii.gz", "overview.png", "probability_pancreas.nii.gz", "result.json")
    for name in names:
        (out / name).write_bytes(b"former")
    fail_in(monkeypatch, what)
    with pytest.raises(OutputError):
        found.save(out, save_probabilities=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == dict.fromkeys(names, b"former")


def test_maps_of_an_earlier_scan_do_not_stay_beside_the_new_mask(found, tmp_path):
    (tmp_path / "probability_tumour.nii.gz").write_bytes(b"former")
    found.save(tmp_path)
    assert not (tmp_path / "probability_tumour.nii.gz").exists()


def test_saving_twice_is_saving_once(found, tmp_path):
    found.save(tmp_path)
    before = (tmp_path / "segmentation.nii.gz").read_bytes()
    found.save(str(tmp_path))
    assert np.array_equal(np.asarray(nib.load(tmp_path / "segmentation.nii.gz").dataobj), found.mask.voxels)
    assert len(before) == (tmp_path / "segmentation.nii.gz").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {
        "segmentation.nii.gz",
        "overview.png",
        "report.html",
        "result.json",
    }


def test_probabilities_fill_the_whole_grid(found):
    background, pancreas, tumour = found.probabilities
    assert np.array_equal(pancreas == 1, found.mask.voxels == 1)
    assert np.array_equal(tumour == 1, found.mask.voxels == 2)
    assert np.array_equal(background == 1, found.mask.voxels == 0)


def test_a_folder_that_is_a_file_is_refused(found, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written"):
        found.save(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
