"""What is measured of a case, and how a bad one tells why it cannot be."""

import base64
import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from abdomen_set import SPACING_MM, abdomen, affine, save, write_msd
from PIL import Image

from pancascade.data.checking.case_statistics import CaseStatistics, FaultKind, measure
from pancascade.data.readers import PictureReading, msd, read_data_set, volume_list
from pancascade.data.readers.label_flips import clearly_better
from pancascade.data.readers.structure import Structure


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_msd(tmp_path / "Task07", patients=1)


def facts_of(folder: Path) -> CaseStatistics:
    (case,) = msd(folder)
    return measure(case)


def test_a_sound_case_is_measured_in_patient_units(folder):
    statistics = facts_of(folder)
    hu, labels = abdomen()
    assert statistics.fault is None
    assert (statistics.name, statistics.patient, statistics.source, statistics.field) == ("p0", "p0", "Task07", "scan")
    assert (statistics.shape, statistics.orientation, statistics.label_orientation) == (hu.shape, "RAS", "RAS")
    assert statistics.spacing_mm == pytest.approx(SPACING_MM)
    assert statistics.hu[0] < -950 < statistics.hu[3] < 300 < statistics.hu[-1]
    voxel_ml = np.prod(SPACING_MM) / 1000
    assert statistics.label.pancreas_ml == pytest.approx((labels == 1).sum() * voxel_ml)
    assert statistics.label.tumour_ml == pytest.approx((labels == 2).sum() * voxel_ml)
    assert statistics.label.voxels == {"1": int((labels == 1).sum()), "2": int((labels == 2).sum())}
    (lesion,) = statistics.label.lesions
    assert (lesion.voxels, lesion.extent_mm, lesion.touches_pancreas) == (80, 5 * 4.5, True)
    assert (statistics.label.start, statistics.label.stop) == ((26, 34, 8), (46, 43, 19))
    assert statistics.label.border_voxels == {"left": 26, "right": 26, "back": 34, "front": 21, "feet": 8, "head": 11}
    assert statistics.label.outside_body == 0
    assert clearly_better(statistics.label.turned) is None


def test_facts_survive_a_record(folder):
    statistics = facts_of(folder)
    assert CaseStatistics.model_validate_json(statistics.model_dump_json()) == statistics


def test_ends_of_the_scan_are_named_whatever_the_order_of_its_axes(folder):
    hu, labels = abdomen()
    turned = affine() @ nib.affines.from_matvec(np.diag((-1, 1, -1)), (hu.shape[0] - 1, 0, hu.shape[2] - 1))
    save(hu[::-1, :, ::-1], folder / "imagesTr/p0.nii.gz", turned)
    save(labels[::-1, :, ::-1], folder / "labelsTr/p0.nii.gz", turned)
    statistics = facts_of(folder)
    assert statistics.orientation == "LAI"
    assert statistics.label.border_voxels == {"left": 26, "right": 26, "back": 34, "front": 21, "feet": 8, "head": 11}


def test_the_picture_shows_the_organ_in_its_contour(folder):
    with Image.open(io.BytesIO(base64.b64decode(facts_of(folder).thumbnail))) as picture:
        pixels = np.array(picture.convert("RGB")).astype(int)
    assert max(pixels.shape[:2]) <= 256
    red, green, blue = np.moveaxis(pixels, -1, 0)
    assert ((green - red > 80) & (green - blue > 40)).sum() > 20  # pancreas
    assert ((red - green > 80) & (red - blue > 80)).sum() > 5  # tumour


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flip_is_seen_in_the_label_as_it_is(folder, axis):
    _, labels = abdomen()
    save(np.flip(labels, axis), folder / "labelsTr/p0.nii.gz")
    better = clearly_better(facts_of(folder).label.turned)
    assert better.best.directions == (("left and right", "front and back", "head and feet")[axis],)


def damage(folder: Path, what: str) -> None:
    image, label = folder / "imagesTr/p0.nii.gz", folder / "labelsTr/p0.nii.gz"
    hu, labels = abdomen()
    if what in ("no image", "nothing"):
        image.unlink()
    if what in ("no label", "nothing"):
        label.unlink()
    elif what == "truncated":
        image.write_bytes(image.read_bytes()[:3000])
    elif what == "label truncated":
        label.write_bytes(label.read_bytes()[:200])
    elif what == "no intercept":
        save((hu + 1024).clip(0), image)
    elif what == "constant":
        save(np.full_like(hu, 7), image)
    elif what == "four axes":
        save(np.stack([labels, labels], axis=-1), label)
    elif what == "shifted":
        save(labels, label, affine() @ nib.affines.from_matvec(np.eye(3), (2, 0, 0)))
    elif what == "other size":
        save(labels[:-1], label)


@pytest.mark.parametrize(
    ("what", "kind", "named"),
    [
        ("no image", FaultKind.MISSING_FILE, "p0.nii.gz: "),
        ("no label", FaultKind.MISSING_FILE, "label map p0.nii.gz: "),
        ("nothing", FaultKind.MISSING_FILE, "p0.nii.gz and label map p0.nii.gz: "),
        ("truncated", FaultKind.UNREADABLE, "p0.nii.gz: "),
        ("label truncated", FaultKind.UNREADABLE, "label map p0.nii.gz: "),
        ("no intercept", FaultKind.NOT_CT, "p0.nii.gz: "),
        ("constant", FaultKind.NOT_CT, "p0.nii.gz: "),
        ("four axes", FaultKind.GEOMETRY, "label map p0.nii.gz: "),
        ("shifted", FaultKind.OTHER_GRID, "label map p0.nii.gz: "),
        ("other size", FaultKind.OTHER_GRID, "label map p0.nii.gz: "),
    ],
)
def test_a_fault_is_named_by_kind_and_file(folder, what, kind, named):
    damage(folder, what)
    fault = facts_of(folder).fault
    assert fault.kind is kind
    assert fault.message.startswith(named)
    assert "\n" not in fault.message


def test_a_label_that_cannot_be_read_leaves_the_image_measured(folder):
    damage(folder, "shifted")
    statistics = facts_of(folder)
    assert statistics.shape == abdomen()[0].shape
    assert statistics.image_hash
    assert statistics.label is None


def test_whatever_a_reader_raises_is_a_fault(folder, monkeypatch):
    (case,) = msd(folder)
    monkeypatch.setattr("pancascade.data.checking.case_statistics.require_ct", lambda volume: 1 / 0)
    fault = measure(case).fault
    assert fault.kind is FaultKind.UNREADABLE
    assert "ZeroDivisionError" in fault.message


def test_values_without_meaning_are_counted_and_the_rest_is_measured(folder):
    _, labels = abdomen()
    labels[0, 0, :3] = 7
    save(labels, folder / "labelsTr/p0.nii.gz")
    label = facts_of(folder).label
    assert (label.unknown, label.voxels["7"]) == (("7",), 3)
    assert label.start == (26, 34, 8)


def test_values_that_are_no_whole_numbers_are_unknown(folder):
    _, labels = abdomen()
    save(labels * np.float32(0.5), folder / "labelsTr/p0.nii.gz")
    assert facts_of(folder).label.unknown == ("0.5",)


def test_lesions_are_measured_one_by_one(folder):
    _, labels = abdomen()
    labels[10, 30, 5] = 2
    save(labels, folder / "labelsTr/p0.nii.gz")
    label = facts_of(folder).label
    assert [(one.voxels, one.touches_pancreas) for one in label.lesions] == [(80, True), (1, False)]
    assert label.pieces == (872, 1)


def test_a_label_in_the_air_lies_outside_the_body(folder):
    _, labels = abdomen()
    save(np.roll(labels, (-26, 20), axis=(0, 1)), folder / "labelsTr/p0.nii.gz")
    assert facts_of(folder).label.outside_body > 0.9


def test_a_scan_without_a_label_has_no_label_facts(tmp_path):
    save(abdomen()[0], tmp_path / "scan.nii.gz")
    (tmp_path / "list.csv").write_text("image,label,patient\nscan.nii.gz,none,a\n")
    (case,) = volume_list(tmp_path / "list.csv", root=tmp_path)
    statistics = measure(case)
    assert statistics.fault is None
    assert statistics.label is None
    assert statistics.thumbnail


def write_slice(folder: Path, *, hu: np.ndarray, mask: np.ndarray) -> None:
    for name, pixels in (("images", ((hu + 100) / 340 * 255).clip(0, 255)), ("masks", mask * 255)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / "s1.png")
    (folder / "index.csv").write_text("name,patient\ns1,a\n")


def test_slices_are_measured_without_millilitres_or_body(tmp_path):
    hu, labels = abdomen()
    write_slice(tmp_path, hu=hu[:, ::-1, 16].T, mask=labels[:, ::-1, 16].T > 0)
    (case,) = read_data_set(tmp_path, pictures=PictureReading())
    statistics = measure(case)
    assert (statistics.field, statistics.fault, statistics.spacing_mm) == ("slice", None, None)
    assert statistics.shape == (72, 64, 1)
    assert statistics.label.structures == {Structure.PANCREAS: 100}
    assert statistics.label.pancreas_ml is None
    assert statistics.label.outside_body is None
    assert statistics.image_hash
    assert statistics.thumbnail


@pytest.mark.parametrize(
    ("what", "kind"), [("damaged", FaultKind.UNREADABLE), ("size", FaultKind.OTHER_GRID), ("black", FaultKind.NOT_CT)]
)
def test_faults_of_pictures(tmp_path, what, kind):
    hu, labels = abdomen()
    write_slice(tmp_path, hu=hu[:, :, 16] if what != "black" else np.full((72, 64), -500), mask=labels[:, :, 16] > 0)
    if what == "damaged":
        (tmp_path / "images/s1.png").write_bytes(b"no picture")
    if what == "size":
        Image.new("L", (5, 5)).save(tmp_path / "masks/s1.png")
    (case,) = read_data_set(tmp_path)
    assert measure(case).fault.kind is kind
