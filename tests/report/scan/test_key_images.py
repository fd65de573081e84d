"""Key images: the right plane, the right way round, the right place of contours, on any grid."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from result_examples import LPS, diameters, lesion, patient, place, result

from pancascade.errors import GeometryError
from pancascade.imaging.volume import Volume, reorient
from pancascade.labels import COLOURS, Label
from pancascade.report.scan.key_images import LONG_COLOUR, MOST_LESIONS, SHORT_COLOUR, KeyImage, draw_key_images
from pancascade.report.scan.planes import AXIAL, CORONAL, SAGITTAL, cut_plane
from pancascade.results.measurements import Measurements

FOUND = result().pancreas_and_lesions
RED, GREEN = COLOURS[Label.TUMOUR], COLOURS[Label.PANCREAS]


def pixels(image: KeyImage) -> np.ndarray:
    kind, data = image.address.split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (image.width, image.height)
        return np.asarray(picture.convert("RGB")).astype(int)


def where(image: KeyImage, colour: str) -> tuple[float, float]:
    """Mean place of a colour in shares of the picture, to the right and down; NaN where it is not."""
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    found = np.argwhere(np.abs(pixels(image) - rgb).max(axis=-1) < 45)
    if len(found) < 20:
        return float("nan"), float("nan")
    row, column = found.mean(axis=0)
    return column / image.width, row / image.height


def named(images, title: str) -> KeyImage:
    return next(image for image in (*images.planes, *images.lesions) if image.title == title)


def test_a_lesion_on_the_patients_left_is_on_the_right_of_the_picture_front_and_head_up():
    images = draw_key_images(*patient(), FOUND)
    assert [image.title for image in images.planes] == ["Axial", "Coronal", "Sagittal"]
    for title in ("Axial", "Coronal"):
        across, _ = where(named(images, title), RED)
        organ, _ = where(named(images, title), GREEN)
        assert across > 0.6, title
        assert across > organ + 0.1, title
    assert where(named(images, "Axial"), RED)[1] < where(named(images, "Axial"), GREEN)[1], "anterior is up"
    assert where(named(images, "Coronal"), RED)[1] < where(named(images, "Coronal"), GREEN)[1], "the head is up"
    sagittal = named(images, "Sagittal")
    assert where(sagittal, RED)[0] < where(sagittal, GREEN)[0], "the front is on the left"
    assert where(sagittal, RED)[1] < where(sagittal, GREEN)[1], "the head is up"


def test_a_mirrored_mask_is_drawn_on_the_other_side():
    scan, mask = patient()
    across, _ = where(draw_key_images(scan, mask.with_voxels(mask.voxels[::-1]), Measurements()).planes[0], RED)
    assert across < 0.4


@pytest.mark.parametrize("codes", ["RAS", "PIR", "LSA", "RPI"])
def test_a_turned_scan_gives_the_same_pictures(codes):
    scan, mask = patient()
    one = draw_key_images(scan, mask, FOUND)
    other = draw_key_images(reorient(scan, codes), reorient(mask, codes), FOUND)
    assert one == other


def test_millimetres_are_as_long_down_as_across():
    scan, mask = patient()  # 120 mm across, 100 mm down, 100 mm high
    images = draw_key_images(scan, mask.with_voxels(np.zeros_like(mask.voxels)), Measurements())
    axial, coronal, sagittal = images.planes
    assert axial.width / axial.height == pytest.approx(120 / 100, rel=0.01)
    assert coronal.width / coronal.height == pytest.approx(120 / 100, rel=0.01)
    assert sagittal.width / sagittal.height == pytest.approx(1, rel=0.01)


def test_each_lesion_is_shown_in_its_slice_with_both_diameters():
    images = draw_key_images(*patient(), FOUND)
    (image,) = images.lesions
    assert (image.title, image.note) == ("Lesion 1", "slice 13 of 20 from the feet")
    for colour in (LONG_COLOUR, SHORT_COLOUR, RED):
        across, down = where(image, colour)
        assert 0.2 < across < 0.9, colour
        assert 0.2 < down < 0.9, colour


def test_no_more_lesions_than_six_are_shown_and_the_rest_is_named():
    many = FOUND.model_copy(update={"lesions": tuple(lesion(number) for number in range(1, 9))})
    images = draw_key_images(*patient(), many)
    assert len(images.lesions) == MOST_LESIONS == 6
    assert "2 more are only in the table" in " ".join(images.sentences)


def test_the_planes_cross_in_the_largest_lesion_that_was_measured():
    scan, mask = patient()
    labels = mask.voxels.copy()
    labels[14:16, 24:26, 9:11] = Label.TUMOUR
    far = FOUND.model_copy(update={"lesions": (lesion(centroid_mm=place(14.5, 24.5, 9)),)})
    axial, coronal, sagittal = draw_key_images(scan, mask.with_voxels(labels), far).planes
    assert axial.note == "slice 10 of 20 from the feet"
    assert coronal.note.startswith(("slice 25 of 50", "slice 26 of 50"))
    assert sagittal.note.startswith(("slice 15 of 60", "slice 16 of 60"))


def test_without_a_lesion_the_planes_cross_in_the_organ_even_a_ring():
    scan, mask = patient()
    ring = np.zeros_like(mask.voxels)
    ring[10:50, 10:40, 8:12] = Label.PANCREAS
    ring[14:46, 14:36, 8:12] = 0
    images = draw_key_images(scan, mask.with_voxels(ring), Measurements())
    assert images.sentences == ("No tumour was marked; the three planes cross in the pancreas.",)
    assert all(np.isfinite(where(image, GREEN)).all() for image in images.planes)
    assert all(np.isnan(where(image, RED)).all() for image in images.planes)


def test_where_nothing_was_found_three_middle_slices_and_the_sentence_say_so():
    scan, mask = patient()
    images = draw_key_images(scan, mask.with_voxels(np.zeros_like(mask.voxels)), Measurements())
    assert len(images.planes) == 3
    assert not images.lesions
    assert images.sentences[0].startswith("Nothing was found")
    assert {image.note.split(" of ")[0] for image in images.planes} <= {
        "slice 10",
        "slice 25",
        "slice 30",
        "slice 11",
        "slice 26",
        "slice 31",
    }
    assert all(np.isnan(where(image, GREEN)).all() for image in images.planes)
    assert pixels(images.planes[0]).std() > 3


def test_oblique_sheared_and_mirrored_grids_keep_sides_and_lengths():
    turn = np.deg2rad(25)
    oblique, sheared = np.eye(4), np.eye(4)
    oblique[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    sheared[1, 2] = 0.3  # a gantry tilt
    for change in (oblique, sheared):
        affine = change @ LPS
        scan, mask = patient(affine=affine)
        ends = tuple(place(index, 20.5, 12, affine=affine) for index in (42, 47))
        across = tuple(place(44.5, index, 12, affine=affine) for index in (16, 25))
        there = lesion(diameters=diameters(12, 10).model_copy(update={"long_ends_mm": ends, "short_ends_mm": across}))
        images = draw_key_images(scan, mask, FOUND.model_copy(update={"lesions": (there,)}))
        assert where(named(images, "Axial"), RED)[0] > 0.6
        assert len(images.lesions) == 1
        for plane, first, last in ((CORONAL, (0, 25, 19), (59, 25, 0)), (SAGITTAL, (30, 0, 19), (30, 49, 0))):
            plane_image = cut_plane(scan, mask, plane, through_mm=place(30, 25, 10, affine=affine))
            ends = np.array([place(*first, affine=affine), place(*last, affine=affine)])
            corners = plane_image.place(ends)
            assert np.allclose(corners[0], 0, atol=1e-9), plane.name
            assert np.linalg.norm(corners[1]) == pytest.approx(np.linalg.norm(ends[1] - ends[0])), plane.name


@pytest.mark.parametrize(
    "shape", [(40, 30, 1), (40, 1, 30), (1, 40, 30), (1, 1, 9), (1, 1, 1), (2, 2, 2), (3, 200, 2), (400, 2, 2)]
)
def test_flat_tiny_and_thin_scans_are_drawn_as_far_as_they_have_planes(shape):
    for label in (0, Label.PANCREAS, Label.TUMOUR):
        scan = Volume(np.full(shape, 50, np.int16), LPS)
        mask = scan.with_voxels(np.full(shape, label, np.uint8))
        images = draw_key_images(scan, mask, Measurements() if label == 0 else FOUND)
        wide = [
            name
            for name, axes in (("Axial", (0, 1)), ("Coronal", (0, 2)), ("Sagittal", (1, 2)))
            if all(shape[axis] > 1 for axis in axes)
        ]
        assert [image.title for image in images.planes] == wide
        assert len([sentence for sentence in images.sentences if "too thin" in sentence]) == 3 - len(wide)
        assert all(pixels(image).shape[0] >= 100 for image in images.planes)


def test_voxels_that_are_no_numbers_are_drawn_black():
    scan, mask = patient()
    hu = scan.voxels.astype(np.float32)
    hu[:30] = np.nan
    assert pixels(draw_key_images(scan.with_voxels(hu), mask, FOUND).planes[0]).min() == 0


def test_a_mask_of_another_shape_is_refused():
    scan, mask = patient()
    with pytest.raises(GeometryError, match="new voxels have shape"):
        draw_key_images(scan, Volume(mask.voxels[:-1], LPS), FOUND)


def test_values_between_voxels_are_linear_and_outside_is_air():
    ramp = np.broadcast_to(np.arange(60)[:, None, None] * 10, (60, 50, 20)).astype(np.int16)
    scan, mask = Volume(ramp, LPS), patient()[1]
    plane_image = cut_plane(scan, mask, AXIAL, through_mm=place(30, 25, 10))
    from pancascade.report.scan.planes import FieldOfView

    row = plane_image.sample(FieldOfView(10, 14, 20, 22), pixel_mm=1.0)[0]
    np.testing.assert_allclose(row, [52.5, 57.5, 62.5, 67.5], atol=1e-3)
    assert plane_image.sample(FieldOfView(-30, -20, 0, 10), pixel_mm=1.0).max() == -1024
    side = cut_plane(scan, mask, SAGITTAL, through_mm=place(30, 25, 10))
    assert side.count == 60
    assert side.index == 30
