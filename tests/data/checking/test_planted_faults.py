"""Faults planted one at a time in replicas of real data sets: each is named, and nobody else is accused."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import replicas
from PIL import Image
from replicas import NIH_LABELS, Patient, demo_patient, dicom, header_of, invented, nifti, thinned

from pancascade.data.checking.check import check
from pancascade.data.checking.issues import Issue, Severity
from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Volume, reorient, resample_to_spacing
from pancascade.labels import Label

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
WRITERS = {
    "msd": replicas.write_msd,
    "nnunet": replicas.write_nnunet,
    "panorama": replicas.write_panorama,
    "nih": replicas.write_nih,
    "slices": replicas.write_slices,
    "list": replicas.write_list,
}
FAULTY = "pancreas_002"


@dataclass(frozen=True)
class Replica:
    """A decathlon's folder to plant faults in; the second of its three patients gets them."""

    folder: Path
    records: Path

    @property
    def image(self) -> Path:
        return self.folder / "imagesTr" / f"{FAULTY}.nii.gz"

    @property
    def label(self) -> Path:
        return self.folder / "labelsTr" / f"{FAULTY}.nii.gz"

    def relabel(self, labels: np.ndarray) -> None:
        nib.save(nib.Nifti1Image(labels, header_of(self.label)[1]), self.label)

    def accusations(self) -> list[Issue]:
        return accusations(self.folder, records=self.records)


def accusations(*folders: Path, records: Path | None = None) -> list[Issue]:
    """What is worse than a note."""
    return [one for one in check(folders, records=records).issues if one.severity is not Severity.NOTE]


def named(issues: list[Issue]) -> list[tuple[str, str | None]]:
    return [(one.kind, one.case) for one in issues]


@pytest.fixture(scope="session")
def patients() -> list[Patient]:
    """Three people, of whom only the first ever lay in a scanner as shown."""
    real = demo_patient()
    return [invented(real, seed) for seed in range(3)]


@pytest.fixture(scope="session")
def faultless(tmp_path_factory, patients) -> Replica:
    folder = tmp_path_factory.mktemp("planted")
    return Replica(replicas.write_msd(folder / "Task07_Pancreas", patients), folder / "records")


@pytest.fixture
def replica(faultless, tmp_path) -> Replica:
    """A copy; its unchanged cases are known from the records and not measured again."""
    return Replica(Path(shutil.copytree(faultless.folder, tmp_path / "Task07_Pancreas")), faultless.records)


@pytest.mark.parametrize("layout", WRITERS)
def test_a_faultless_replica_is_accused_of_nothing(tmp_path, patients, layout):
    found = check([WRITERS[layout](tmp_path / layout, patients)])
    assert [one for one in found.issues if one.severity is not Severity.NOTE] == []
    assert all(statistics.label is not None and statistics.image_hash for statistics in found.statistics)


def test_a_right_nih_label_is_not_turned_round_where_bone_and_air_would_shine_more(tmp_path, patients):
    found = check([replicas.write_nih(tmp_path, patients[:1])]).issues
    assert [one.kind for one in found] == ["mixed-orientation"]


def test_layouts_of_the_same_patients_are_found_to_be_the_same(tmp_path, patients):
    folders = [WRITERS[layout](tmp_path / layout, patients[1:2]) for layout in ("msd", "panorama")]
    (found,) = accusations(*folders)
    assert (found.kind, {found.case, *found.others}) == ("duplicate-patient", {"pancreas_001", "100000_00001"})


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_turned_round_along_any_axis_is_named(replica, axis):
    replica.relabel(np.flip(header_of(replica.label)[0], axis))
    assert named(replica.accusations()) == [("flipped-label", FAULTY)]


@pytest.mark.parametrize(("axis", "direction"), [(0, "left and right"), (1, "front and back"), (2, "head and feet")])
def test_an_nih_label_whose_header_lies_is_read_right_and_noted(tmp_path, patients, axis, direction):
    folder = replicas.write_nih(tmp_path, patients[:2])
    label = folder / NIH_LABELS / "label0002.nii.gz"
    voxels, affine = header_of(label)
    nib.save(nib.Nifti1Image(np.flip(voxels, axis), affine), label)
    found = check([folder]).issues
    assert [one for one in found if one.severity is not Severity.NOTE] == []
    (note,) = [one for one in found if one.kind == "flipped-label"]
    assert note.case == "PANCREAS_0002"
    assert direction in note.message


@pytest.mark.parametrize("move", [(14, 0, 0), (0, -10, 0), (-12, 8, 2)])
def test_a_label_that_was_moved_to_another_place_of_the_body_is_named(replica, move):
    replica.relabel(np.roll(header_of(replica.label)[0], move, axis=(0, 1, 2)))
    assert ("misplaced-label", FAULTY) in named(replica.accusations())


@pytest.mark.parametrize("how", ["origin", "spacing", "shape"])
def test_a_label_on_another_grid_is_named(replica, how):
    voxels, affine = header_of(replica.label)
    if how == "origin":
        affine = affine.copy()
        affine[:3, 3] += (12, 0, 0)
    elif how == "spacing":
        affine = affine @ np.diag((1, 1, 5 / 3, 1))
    else:
        voxels = voxels[:, :, :-1]
    nib.save(nib.Nifti1Image(voxels, affine), replica.label)
    assert named(replica.accusations()) == [("other-grid", FAULTY)]


def test_a_value_without_a_meaning_is_named(replica):
    labels = header_of(replica.label)[0].copy()
    labels[tuple(np.argwhere(labels == Label.PANCREAS)[:20].T)] = 7
    replica.relabel(labels)
    (found,) = replica.accusations()
    assert (found.kind, found.case) == ("unknown-label", FAULTY)
    assert "7 (20 voxels)" in found.message


def test_an_empty_label_is_named(replica):
    replica.relabel(np.zeros_like(header_of(replica.label)[0]))
    assert named(replica.accusations()) == [("empty-label", FAULTY)]


def test_a_label_without_pancreas_is_named(replica):
    labels = header_of(replica.label)[0]
    replica.relabel(np.where(labels == Label.TUMOUR, labels, 0).astype(np.uint8))
    assert named(replica.accusations()) == [("no-pancreas", FAULTY)]


def test_a_label_outside_the_body_is_named(replica):
    labels = header_of(replica.label)[0]
    low = np.argwhere(labels).min(axis=0)
    replica.relabel(np.roll(labels, (-low[0] + 1, -low[1] + 1), axis=(0, 1)))
    assert named(replica.accusations()) == [("label-outside-body", FAULTY)]


def test_a_speck_of_a_tumour_is_named(replica):
    labels = np.minimum(header_of(replica.label)[0], Label.PANCREAS).astype(np.uint8)
    inside = np.argwhere(labels)
    labels[tuple(inside[len(inside) // 2])] = Label.TUMOUR
    replica.relabel(labels)
    assert named(replica.accusations()) == [("tiny-lesion", FAULTY)]


@pytest.mark.parametrize("which", ["image", "label"])
def test_a_missing_file_is_named(replica, which):
    getattr(replica, which).unlink()
    (found, *others) = replica.accusations()
    assert (found.kind, found.case) == ("missing-file", FAULTY)
    assert getattr(replica, which).name in found.message
    assert [one.kind for one in others] == []


@pytest.mark.parametrize("which", ["image", "label"])
def test_a_truncated_file_is_named(replica, which):
    path = getattr(replica, which)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (found,) = replica.accusations()
    assert (found.kind, found.case) == ("unreadable", FAULTY)
    assert path.name in found.message


def test_a_scan_stored_without_its_intercept_is_named(replica):
    hu, affine = header_of(replica.image)
    nib.save(nib.Nifti1Image((hu + 1024).astype(np.int16), affine), replica.image)
    assert named(replica.accusations()) == [("not-ct", FAULTY)]


@pytest.mark.parametrize("how", ["axes", "resampled", "cropped", "windowed", "noisy", "mirrored"])
def test_a_patient_under_another_name_is_named(replica, patients, how):
    image = patients[1].image
    nifti(copied(image, how), replica.folder / "imagesTr" / "pancreas_004.nii.gz")
    nifti(copied(patients[1].labels, how, label=True), replica.folder / "labelsTr" / "pancreas_004.nii.gz")
    path = replica.folder / "dataset.json"
    content = json.loads(path.read_text())
    names = {part: f"./{part}sTr/pancreas_004.nii.gz" for part in ("image", "label")}
    path.write_text(json.dumps({**content, "training": [*content["training"], names]}))
    (found,) = replica.accusations()
    assert (found.kind, found.case, found.others) == ("duplicate-patient", FAULTY, ("pancreas_004",))


def copied(volume: Volume, how: str, *, label: bool = False) -> Volume:
    """The same patient, exported another time."""
    voxels = volume.voxels
    changed = volume
    if how == "axes":
        changed = reorient(volume, "PSR")
    elif how == "resampled":
        fewer = resample_to_spacing(volume, (2.5, 2.5, 4.0), order=0 if label else 1)
        changed = fewer.with_voxels(np.rint(fewer.voxels).astype(voxels.dtype))
    elif how == "cropped":
        changed = Volume(voxels[8:-8, 6:, 1:-1], volume.affine)
    elif how == "mirrored":
        changed = volume.with_voxels(voxels[::-1].copy())
    elif how == "windowed" and not label:
        changed = volume.with_voxels(np.where(voxels < -900, voxels, np.clip(voxels, -150, 250)))
    elif how == "noisy" and not label:
        changed = volume.with_voxels((voxels + np.random.default_rng(5).normal(0, 15, volume.shape)).astype(np.int16))
    return changed


def test_a_slice_missing_in_a_series_is_named(tmp_path, patients):
    folder = replicas.write_nih(tmp_path, patients[:2])
    series = next(folder.rglob("PANCREAS_0002")).rglob("*.dcm")
    sorted(series)[20].unlink()
    assert named(accusations(folder)) == [("geometry", "PANCREAS_0002")]


def test_a_truncated_slice_of_a_series_is_named(tmp_path, patients):
    folder = replicas.write_nih(tmp_path, patients[:2])
    path = sorted(next(folder.rglob("PANCREAS_0002")).rglob("*.dcm"))[20]
    path.write_bytes(path.read_bytes()[:5000])
    (found,) = accusations(folder)
    assert (found.kind, found.case) == ("unreadable", "PANCREAS_0002")


def test_an_nih_label_that_is_missing_is_named(tmp_path, patients):
    folder = replicas.write_nih(tmp_path, patients[:2])
    (folder / NIH_LABELS / "label0001.nii.gz").unlink()
    assert named(accusations(folder)) == [("missing-file", "PANCREAS_0001")]


def test_a_panorama_image_without_label_map_is_named(tmp_path, patients):
    folder = replicas.write_panorama(tmp_path, patients)
    next(folder.rglob("100001_00001.nii.gz")).unlink()
    (found,) = [one for one in check([folder]).issues if one.kind != "tiny-lesion"]
    assert found.kind == "loose-file"
    assert "100001_00001_0000.nii.gz" in found.message


def test_an_nnunet_image_that_is_missing_is_named(tmp_path, patients):
    folder = replicas.write_nnunet(tmp_path, patients)
    (folder / "imagesTr" / "case_003_0000.nii.gz").unlink()
    assert named(accusations(folder)) == [("missing-file", "case_003")]


def test_a_panorama_value_that_the_study_does_not_know_is_named(tmp_path, patients):
    folder = replicas.write_panorama(tmp_path, patients)
    label = next(folder.rglob("100001_00001.nii.gz"))
    classes, affine = header_of(label)
    nib.save(nib.Nifti1Image(np.where(classes == 6, 9, classes).astype(np.uint8), affine), label)
    assert named(accusations(folder)) == [("unknown-label", "100001_00001")]


def test_a_series_exported_again_as_nifti_is_found_across_data_sets(tmp_path, patients):
    downloads = replicas.write_nih(tmp_path / "nih", patients[1:])
    own = replicas.write_list(tmp_path / "own", patients[2:])
    (found,) = accusations(downloads, own)
    assert (found.kind, {found.case, *found.others}) == ("duplicate-patient", {"PANCREAS_0002", "own_1"})


def test_slices_of_a_patient_under_another_name_are_named(tmp_path, patients):
    folder = replicas.write_slices(tmp_path / "slices", patients, every=4)
    names = sorted(path.stem for path in (folder / "images").glob("p2_*"))
    with (folder / "index.csv").open("a") as lines:
        for name in names:
            Image.open(folder / "images" / f"{name}.png").save(folder / "images" / f"again_{name}.jpg", quality=80)
            shutil.copy(folder / "masks" / f"{name}.png", folder / "masks" / f"again_{name}.png")
            lines.write(f"again_{name},p9\n")
    found = accusations(folder)
    assert {one.kind for one in found} == {"duplicate-patient"}
    pairs = {frozenset((one.case, *one.others)) for one in found}
    assert pairs == {frozenset((name, f"again_{name}")) for name in names}


@pytest.mark.parametrize("fault", ["mask missing", "picture truncated", "mask of another size"])
def test_a_damaged_slice_is_named(tmp_path, patients, fault):
    folder = replicas.write_slices(tmp_path / "slices", patients[:2], every=4)
    name = sorted(path.stem for path in (folder / "images").glob("p2_*"))[1]
    image, mask = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
    if fault == "mask missing":
        mask.unlink()
    elif fault == "picture truncated":
        image.write_bytes(image.read_bytes()[:2000])
    else:
        Image.open(mask).resize((60, 60)).save(mask)
    kind = {"mask missing": "missing-file", "picture truncated": "unreadable"}.get(fault, "other-grid")
    assert named(accusations(folder)) == [(kind, name)]


@pytest.mark.shared
def test_the_nih_patient_written_as_tcia_does_is_sound_and_its_faults_are_named(tmp_path):
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not at {SHARED}")
    files = (SHARED / "nih_volumes" / f"PANCREAS_0001_{what}.nii.gz" for what in ("ct", "label"))
    real = thinned(*map(read_volume, files), in_plane=3, along=3)
    folder = replicas.write_nih(tmp_path / "nih", [real, invented(real, 4)])
    assert accusations(folder) == []
    label = folder / NIH_LABELS / "label0001.nii.gz"
    voxels, affine = header_of(label)
    nib.save(nib.Nifti1Image(np.flip(voxels, 2), affine), label)
    (note,) = [one for one in check([folder]).issues if one.kind == "flipped-label"]
    assert (note.case, note.severity) == ("PANCREAS_0001", Severity.NOTE)
    dicom(real.image, folder / "manifest-1599750808610" / "Pancreas-CT" / "PANCREAS_0044" / "a" / "b", patient_id="x")
    shutil.copy(label, folder / NIH_LABELS / "label0044.nii.gz")
    (found,) = accusations(folder)
    assert (found.kind, found.case, found.others) == ("duplicate-patient", "PANCREAS_0001", ("PANCREAS_0044",))
