"""The same patient is found under another name, and nobody else is."""

import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from replicas import demo_patient, invented

from pancascade.data.checking.duplicates import (
    SAME_SCAN,
    SAME_SLICE,
    HashedImage,
    find_duplicates,
    scan_similarity,
    slice_similarity,
)
from pancascade.data.checking.image_hash import image_hash, landmarks_of, picture_of, slice_hash
from pancascade.data.readers import region_folder
from pancascade.imaging.volume import Volume, reorient, resample_to_spacing

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
SEEDS = 3


@pytest.fixture(scope="module")
def scans() -> list[Volume]:
    """A real patient and invented ones, RAS."""
    real = demo_patient()
    return [reorient(invented(real, seed).image, "RAS") for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def listed(scans) -> list[HashedImage]:
    return [HashedImage(f"scan {n}", f"patient {n}", "ours", image_hash(scan)) for n, scan in enumerate(scans)]


def noisy(scan: Volume) -> Volume:
    return scan.with_voxels(scan.voxels + np.random.default_rng(2).normal(0, 25, scan.shape).astype(np.float32))


COPIES = {
    "feet cut off": lambda scan: Volume(scan.voxels[:, :, 16:], scan.affine),
    "field of view cut": lambda scan: Volume(scan.voxels[10:-10, 7:-7], scan.affine),
    "1.5 x 1.5 x 5 mm": lambda scan: resample_to_spacing(scan, (1.5, 1.5, 5)),
    "4 mm": lambda scan: resample_to_spacing(scan, 4),
    "right and left exchanged": lambda scan: scan.with_voxels(scan.voxels[::-1]),
    "front and feet exchanged": lambda scan: scan.with_voxels(scan.voxels[:, ::-1, ::-1]),
}
WHOLE_COPIES = {
    "other axes": lambda scan: reorient(scan, "IPL"),
    "window": lambda scan: scan.with_voxels(np.clip(scan.voxels, -150, 250)),
}


@pytest.mark.parametrize("how", [*COPIES, *WHOLE_COPIES])
@pytest.mark.parametrize("which", range(SEEDS))
def test_a_copy_is_found_and_nothing_else(scans, listed, how, which):
    change = (COPIES | WHOLE_COPIES)[how]
    copy = HashedImage("again", "somebody", "theirs", image_hash(change(scans[which])))
    (pair,) = find_duplicates([*listed, copy])
    assert (pair.first, pair.second) == (listed[which], copy)
    assert pair.kind == ("same-image" if how in WHOLE_COPIES else "near-duplicate")
    assert pair.similarity > 1.4 * SAME_SCAN


@pytest.mark.parametrize("which", range(SEEDS))
def test_a_noisier_copy_is_found_whatever_its_kind(scans, listed, which):
    (pair,) = find_duplicates([*listed, HashedImage("again", "x", "theirs", image_hash(noisy(scans[which])))])
    assert (pair.first, pair.second.name) == (listed[which], "again")
    assert pair.similarity > 0.7


def test_a_mirrored_copy_is_never_the_same_image(scans):
    coarse = resample_to_spacing(scans[0], 4)
    mirrored = coarse.with_voxels(coarse.voxels[::-1])
    (pair,) = find_duplicates([HashedImage(n, n, "", image_hash(v)) for n, v in (("a", coarse), ("b", mirrored))])
    assert (pair.similarity, pair.kind) == (1, "near-duplicate")


def test_landmarks_that_look_alike_at_other_places_do_not_agree(listed):
    known = landmarks_of(listed[0].hash)
    elsewhere = replace(known, places_mm=np.random.default_rng(1).permutation(known.places_mm))
    assert scan_similarity(known, known) == 1
    assert scan_similarity(known, elsewhere) < SAME_SCAN / 2


def test_different_patients_are_far_from_the_threshold(listed):
    known = [landmarks_of(image.hash) for image in listed]
    assert max(scan_similarity(a, b) for a, b in itertools.combinations(known, 2)) < SAME_SCAN / 2
    assert find_duplicates(listed) == []


def test_equal_hashes_are_all_paired_in_the_order_given(listed):
    one = listed[0]
    three = [HashedImage(name, name, "ours", one.hash) for name in "abc"]
    pairs = find_duplicates([*three, *listed[1:]])
    assert [(pair.first.name, pair.second.name) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert {(pair.similarity, pair.kind) for pair in pairs} == {(1.0, "same-image")}


def test_a_scan_of_the_same_patient_is_a_pair_too(scans, listed):
    again = HashedImage("again", listed[0].patient, "ours", image_hash(noisy(scans[0])))
    assert len(find_duplicates([listed[0], again])) == 1


def test_scans_that_show_nothing_resemble_nobody(listed):
    nothing = image_hash(Volume(np.zeros((30, 30, 20), np.int16), np.eye(4)))
    texts = {"a": nothing, "b": nothing, "c": "slice1:", "d": "slice1:", "e": "", "f": ""}
    empty = [HashedImage(name, name, "ours", text) for name, text in texts.items()]
    assert find_duplicates([*empty, *listed]) == []
    assert find_duplicates([]) == []


def seen(scans: list[Volume], which: int) -> dict[int, np.ndarray]:
    """Slices as a radiologist sees them."""
    return {k: reorient(scans[which], "LPS").voxels[:, :, k].T for k in range(8, 40, 4)}


def grey(hu: np.ndarray) -> np.ndarray:
    return np.clip((hu + 150) / 400 * 255, 0, 255).astype(np.uint8)


def as_jpeg(hu: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(grey(hu)).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream)) / 255 * 400 - 150


SLICE_COPIES = {
    "JPEG": as_jpeg,
    "larger": lambda hu: np.asarray(Image.fromarray(grey(hu)).resize((512, 400))) / 255 * 400 - 150,
    "window": lambda hu: np.clip(hu, 0, 200),
    "upside down": lambda hu: hu[::-1],
    "turned by half": lambda hu: hu[::-1, ::-1],
    "cropped": lambda hu: hu[6:-6, 9:-9],
}


@pytest.mark.parametrize("how", SLICE_COPIES)
def test_each_slice_is_paired_with_its_copy_only(scans, how):
    ours = [
        HashedImage(f"{which}_{k}", str(which), "ours", slice_hash(hu))
        for which in range(SEEDS)
        for k, hu in seen(scans, which).items()
    ]
    copies = [
        HashedImage(f"1_{k}", "other", "theirs", slice_hash(SLICE_COPIES[how](hu))) for k, hu in seen(scans, 1).items()
    ]
    pairs = find_duplicates([*ours, *copies])
    assert {(pair.first.name, pair.second.name) for pair in pairs} == {(copy.name, copy.name) for copy in copies}
    assert {(pair.first.source, pair.second.source) for pair in pairs} == {("ours", "theirs")}


def test_a_slice_is_not_paired_with_the_neighbours_of_its_copy(scans):
    low, high = (scans[0].voxels[:, :, k].T.astype(np.float32) for k in (20, 21))
    shares = {"z0": 0.0, "z1": 0.25, "z2": 0.5}
    hashes = {name: slice_hash(low + share * (high - low)) for name, share in shares.items()}
    images = [HashedImage(name, who, who, text) for who in ("one", "other") for name, text in hashes.items()]
    assert slice_similarity(*(picture_of(hashes[name]) for name in ("z0", "z1"))) > SAME_SLICE
    assert sorted((pair.first.name, pair.second.name) for pair in find_duplicates(images)) == [
        (name, name) for name in sorted(hashes)
    ]


def test_neighbouring_slices_of_a_patient_are_no_pair(scans):
    hu = seen(scans, 0)[20]
    images = [HashedImage(name, "one", "ours", slice_hash(hu)) for name in "ab"]
    assert find_duplicates(images) == []


def test_slices_of_different_patients_are_below_the_threshold(scans):
    pictures = [{k: picture_of(slice_hash(hu)) for k, hu in seen(scans, which).items()} for which in range(SEEDS)]
    likest = max(
        slice_similarity(a, b)
        for one, other in itertools.combinations(pictures, 2)
        for a, b in itertools.product(one.values(), other.values())
    )
    assert likest < SAME_SLICE - 0.05


@pytest.mark.shared
def test_63_patients_cut_around_the_pancreas_are_63_patients():
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not at {SHARED}")
    cases = region_folder(SHARED / "pdac_roi")
    images = [HashedImage(c.name, c.patient, c.source, image_hash(c.scan.read_image())) for c in cases]
    assert find_duplicates(images) == []
    again = noisy(cases[7].scan.read_image())
    (pair,) = find_duplicates([*images, HashedImage("again", "x", "theirs", image_hash(again))])
    assert pair.first.name == cases[7].name
